"""Farthest-first traversal against its definition in float64."""

from __future__ import annotations

import numpy as np
import pytest

from usl.numeric.table import as_table
from usl.selection.shared.farthest_first import farthest_first


@pytest.mark.parametrize("anchors", [[7], [7, 100, 3]])
def test_each_pick_is_the_farthest_from_all_before(cloud, anchors):
    candidates = np.arange(0, 300, 2)
    told = []
    found = farthest_first(
        as_table(cloud).farthest(np.array(anchors)),
        [12],
        candidates,
        20,
        lambda *now: told.append(now),
    )
    expected, known = [12], list(anchors)
    while len(expected) < 20:
        away = np.linalg.norm(cloud[candidates, None] - cloud[known].astype(float), axis=2)
        least = np.where(np.isin(candidates, expected), -1, away.min(axis=1))
        expected.append(int(candidates[least.argmax()]))
        known.append(expected[-1])
    assert found.tolist() == expected
    assert told[-1] == (20, 20, "picks")


def test_equally_far_candidates_go_by_the_lower_row_and_none_twice():
    points = np.eye(4, dtype=np.float32)[[0, 1, 1, 1]]
    reach = as_table(points).farthest(np.array([0]))
    found = farthest_first(reach, [], np.array([1, 2, 3]), 3, lambda *_: None)
    assert found.tolist() == [1, 2, 3]


def test_enough_picks_are_left_alone(cloud):
    reach = as_table(cloud).farthest(np.array([5]))
    assert farthest_first(reach, [5], np.arange(300), 1, lambda *_: None).tolist() == [5]
