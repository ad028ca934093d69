"""The share of items of classes without a label: by the rule written out, and in two draws."""

from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.training.shared.unseen_classes import unseen_share


def rows(count, seed):
    return unit(np.random.default_rng(seed).normal(size=(count, 6)))


@pytest.mark.parametrize("alone", [0, 4, 5, 20, 30])
def test_the_rule_written_out(alone):
    labelled, items = rows(40, 0), rows(300, 1)
    numbers = np.r_[np.arange(alone), np.full(40 - alone, alone)]
    far = [max(labelled[i] @ labelled[j] for j in range(40) if j != i) for i in range(40)]
    sure = int(alone - 2 * alone**0.5)
    expected = 0.0
    if sure > 0:
        limit = sorted(far)[sure - 1]  # cosines, the farthest first
        expected = np.mean([max(labelled @ item) < limit for item in items])
    assert unseen_share(labelled, numbers, items) == pytest.approx(expected)
    assert (expected > 0) == (alone >= 20)


def test_a_random_draw_leaves_classes_out_and_spread_picks_do_not():
    rng = np.random.default_rng(2)
    truth = rng.integers(60, size=3000)
    features = unit(rows(60, 3)[truth] + 0.1 * rng.normal(size=(3000, 6)))
    drawn = rng.choice(3000, 60, replace=False)
    spread = np.unique(truth, return_index=True)[1][:58]
    found = []
    for picks in (drawn, spread):
        numbers = np.unique(truth[picks], return_inverse=True)[1]
        rest = np.setdiff1d(np.arange(3000), picks)
        found.append(unseen_share(features[picks], numbers, features[rest]))
        assert found[-1] <= (~np.isin(truth[rest], truth[picks])).mean() + 0.05
    assert found[0] > 0.1 > found[1]


def test_without_items_there_is_nothing_unseen():
    assert unseen_share(rows(20, 0), np.arange(20), rows(0, 1)) == 0
