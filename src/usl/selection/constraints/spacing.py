"""A minimum distance between picks.

How many points a set has at mutual distance r is a hard question (a largest independent set).
Always taking the one with the fewest others too near finds as many, or nearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Float32
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import half_distances, halved, squared_distances, squared_from_half
from usl.numeric.farthest import squared_to_points

Rows = NDArray[np.int64]
CROWD = 20_000  # rows that are compared all with all
FARTHEST = 4.0  # no squared distance inside the unit ball is larger


def keep_apart(
    points: Float32, distance: float, most: int, of: Rows | None = None
) -> NDArray[np.int64]:
    """Positions of the first ``most`` points that are ``distance`` from all kept before them.

    ``of`` int64 [p] : groups; at most one point of each is kept.
    """
    kept: list[int] = []
    near = np.zeros(len(points), dtype=bool)
    for position in range(len(points)):
        if near[position]:
            continue
        if len(kept) == most:
            break
        kept.append(position)
        near |= squared_distances(points[position : position + 1], points)[0] < distance**2
        if of is not None:
            near |= of == of[position]
    return np.array(kept, dtype=np.int64)


def squared_to(features: Float32, rows: Rows, anchors: Rows) -> Float32:
    """Squared distance of each of ``rows`` to the nearest of ``anchors``, float32 [r]."""
    return squared_to_points(features, rows, features[anchors])


@dataclass(frozen=True)
class Room:
    """Where further picks can go: ``free`` rows of one group, and how many it still ``needs``."""

    free: Rows
    needs: int


def place(
    features: Float32, rooms: Sequence[Room], taken: Rows, distance: float, *, tight: bool
) -> list[Rows]:
    """Rows at least ``distance`` from each other and from ``taken``, for each room, up to its need.

    ``tight`` packs many: always the row next to the fewest others; of more than ``CROWD`` rows
    first a regular sample, then what still fits. Else they spread out: always the row farthest
    from all placed; the first is the one farthest from the mean.
    """
    placed: list[Rows] = []
    for room in rooms:
        before = np.concatenate([taken, *placed])
        found: Rows = np.empty(0, dtype=np.int64)
        if tight:
            sample = room.free[:: -(-len(room.free) // CROWD)] if len(room.free) else room.free
            found = _packed(features, sample, room.needs, before, distance)
        before = np.concatenate([before, found])
        more = _spread(features, room.free, room.needs - len(found), before, distance)
        placed.append(np.concatenate([found, more]))
    return placed


def _packed(features: Float32, free: Rows, needs: int, taken: Rows, distance: float) -> Rows:
    """Greedily the row with the fewest others too near; ties go to the earlier one."""
    free = free[squared_to(features, free, taken) >= distance**2]
    points = features[free]
    open_ = np.ones(len(free), dtype=bool)

    def crowd(rows: Rows) -> NDArray[np.int64]:
        """How many of ``rows`` are too near to each point, int64 [f]; distances in blocks."""
        some = points[rows]
        base = halved(some)

        def block(start: int, stop: int) -> NDArray[np.int64]:
            squared = squared_from_half(
                half_distances(points[start:stop], base), points[start:stop]
            )
            return np.asarray(np.count_nonzero(squared < distance**2, axis=1))

        size = rows_per_block(12 * max(1, len(rows)))
        parts = list(map_blocks(block, len(points), size))
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    others = crowd(np.arange(len(free)))
    found: list[int] = []
    while len(found) < needs and open_.any():
        position = int(np.where(open_, others, len(free) + 1).argmin())
        found.append(int(free[position]))
        squared = squared_distances(points[position : position + 1], points)[0]
        gone = open_ & (squared < distance**2)
        gone[position] = True
        open_ &= ~gone
        others -= crowd(np.flatnonzero(gone))
    return np.array(found, dtype=np.int64)


def _spread(features: Float32, free: Rows, needs: int, taken: Rows, distance: float) -> Rows:
    """Greedily the row farthest from all placed; ties go to the earlier one."""
    found: list[int] = []
    if needs and len(free):
        points = features[free]
        reach = squared_to(features, free, taken)
        reach[np.isin(free, taken)] = -1.0
        if not len(taken):
            mean = points.mean(axis=0, keepdims=True)
            found.append(int(squared_distances(mean, points)[0].argmax()))
            reach = squared_distances(points[found], points)[0]
            reach[found] = -1.0
        while len(found) < needs and (reach >= distance**2).any():
            found.append(int(reach.argmax()))
            reach = np.minimum(reach, squared_distances(points[found[-1:]], points)[0])
            reach[found[-1]] = -1.0  # not again, even at a distance of 0
    return free[np.array(found, dtype=np.int64)]


def widest(features: Float32, rooms: Sequence[Room], taken: Rows) -> float | None:
    """A distance at which there is room for all, found by spreading out; None if there is none."""
    spread = place(features, rooms, taken, 0.0, tight=False)
    if any(len(rows) < room.needs for rows, room in zip(spread, rooms, strict=True)):
        return None
    squared = np.inf
    before = taken
    for rows in spread:
        for row in rows:
            if len(before):
                squared = min(squared, float(squared_to(features, row[None], before)[0]))
            before = np.append(before, row)
    return float(np.sqrt(squared)) if np.isfinite(squared) else None
