"""One pick is one cluster, and all items in it is no collapse."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import unit


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_one_pick(preset):
    features = unit(np.random.default_rng(0).normal(size=(60, 8)))
    picks = usl.select(features, 1, method="usl_t", preset=preset, steps=600)
    assert len(picks.indices) == 1
    assert set(picks.representative.tolist()) == {0}


def test_one_pick_of_each_group():
    features = unit(np.random.default_rng(1).normal(size=(60, 8)))
    groups = [f"g{number % 3}" for number in range(60)]
    wanted = usl.Constraints(groups=groups, quotas="equal")
    picks = usl.select_within(features, 3, wanted, method="usl_t", steps=600, k=5)
    assert {groups[row] for row in picks.indices.tolist()} == {"g0", "g1", "g2"}
