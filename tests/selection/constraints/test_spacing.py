from __future__ import annotations

import itertools

import numpy as np
import pytest

from support import unit
from usl.selection.constraints import spacing as apart
from usl.selection.constraints.spacing import Room, keep_apart, place, widest

NONE = np.empty(0, dtype=np.int64)


def gaps(points):
    points = points.astype(np.float64)
    found = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return found[~np.eye(len(points), dtype=bool)]


def most_apart(points, distance):
    """The largest set of points at mutual distance, by trying all pairs in and out."""
    near = np.linalg.norm(points[:, None] - points[None], axis=-1) < distance

    def largest(rows):
        if not rows:
            return 0
        row, rest = rows[0], rows[1:]
        without = [other for other in rest if not near[row, other]]
        if len(without) == len(rest):
            return 1 + largest(rest)
        return max(1 + largest(without), largest(rest))

    return largest(list(range(len(points))))


def test_keep_apart_takes_each_that_is_far_from_those_before(cloud):
    kept = keep_apart(cloud, 0.9, 1000)
    naive = []
    for row, point in enumerate(cloud.astype(np.float64)):
        if all(np.linalg.norm(point - cloud[other]) >= 0.9 for other in naive):
            naive.append(row)
    assert kept.tolist() == naive
    assert keep_apart(cloud, 0.9, 3).tolist() == naive[:3]


def test_packing_finds_nearly_as_many_as_there_can_be():
    rng = np.random.default_rng(0)
    found, best = [], []
    for _ in range(40):
        points = unit(rng.normal(size=(18, 3)))
        distance = rng.uniform(0.4, 1.4)
        (rows,) = place(points, [Room(np.arange(18), 18)], NONE, distance, tight=True)
        assert len(rows) < 2 or gaps(points[rows]).min() >= distance - 1e-5
        found.append(len(rows))
        best.append(most_apart(points, distance))
    assert all(x <= y for x, y in zip(found, best, strict=True))
    assert np.mean(np.array(found) == best) >= 0.9
    assert sum(found) >= 0.98 * sum(best)


def test_a_large_room_is_sampled_and_then_filled(cloud, monkeypatch):
    monkeypatch.setattr(apart, "CROWD", 50)
    (rows,) = place(cloud, [Room(np.arange(300), 300)], NONE, 1.0, tight=True)
    others = np.setdiff1d(np.arange(300), rows)
    distances = np.linalg.norm(cloud[others][:, None] - cloud[rows][None], axis=-1)
    assert gaps(cloud[rows]).min() >= 1.0 - 1e-5
    assert (distances.min(axis=1) < 1.0 + 1e-5).all()  # nothing more fits


@pytest.mark.parametrize("tight", [False, True])
def test_rooms_keep_apart_from_each_other_and_from_what_is_taken(cloud, tight):
    rooms = [Room(np.arange(0, 290, 2), 6), Room(np.arange(1, 290, 2), 4)]
    taken = np.array([295, 299])
    rows = place(cloud, rooms, taken, 0.8, tight=tight)
    assert [len(found) for found in rows] == [6, 4]
    assert all(np.isin(found, room.free).all() for found, room in zip(rows, rooms, strict=True))
    joined = np.concatenate([*rows, taken])
    apart_ = [pair for pair in itertools.combinations(joined, 2) if set(pair) != {295, 299}]
    assert min(np.linalg.norm(cloud[a] - cloud[b]) for a, b in apart_) >= 0.8 - 1e-5


def test_the_widest_distance_leaves_room_for_all(cloud):
    rooms = [Room(np.arange(150), 10), Room(np.arange(150, 300), 20)]
    wide = widest(cloud, rooms, NONE)
    rows = place(cloud, rooms, NONE, wide - 1e-4, tight=False)
    assert [len(found) for found in rows] == [10, 20]
    assert gaps(cloud[np.concatenate(rows)]).min() == pytest.approx(wide, abs=1e-4)
    assert widest(cloud, [Room(np.arange(3), 4)], NONE) is None
