"""Scores in a new order, against trying out every set of scores that could stay."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from usl.active.label_studio.ascending import LEAST, ascending

TOP = 0.1


def most_that_can_stay(now):
    """The size of the largest ascending subset within (0, TOP)."""
    for size in range(len(now), 0, -1):
        for places in combinations(range(len(now)), size):
            kept = [now[place] for place in places]
            if all(0 < score < TOP for score in kept) and kept == sorted(set(kept)):
                return size
    return 0


@pytest.mark.parametrize("seed", range(40))
def test_it_ascends_and_as_many_stay_as_can(seed):
    rng = np.random.default_rng(seed)
    now = rng.choice([*np.linspace(0.005, 0.095, 12), 0.5, -1.0], size=7, replace=True).tolist()
    found = ascending(now, TOP)
    assert all(0 < one < TOP for one in found)
    assert all(later - one >= LEAST for one, later in pairwise(found))
    same = sum(one == before for one, before in zip(found, now, strict=True))
    assert same == most_that_can_stay(now)


def test_where_no_room_is_left_all_are_given_anew():
    assert ascending([0.01, 0.5, 0.0100001], TOP) == pytest.approx([0.025, 0.05, 0.075])
    assert ascending([], TOP) == []
