"""The images likeliest to be of one class, spread out: how to find more of a rare one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.numeric.arrays import Float32
from usl.numeric.distances import squared_distances
from usl.numeric.lazy_table import of_rows
from usl.selection.constraints.select_within import NEAR_DUPLICATE

BLOCK = 1024


def likely(
    features: Float32,
    budget: int,
    *,
    wanted: int,
    labeled: NDArray[np.int64],
    predictions: Any,
    candidates: NDArray[np.int64],
    apart: float = NEAR_DUPLICATE,
) -> Query:
    """Ask for the rows that are most probably of the class ``wanted``, the surest first.

    One that is nearer than ``apart`` to a row taken before, or to a labelled one, would show the
    same once more; such rows come last, and only where nothing else is left.

    Parameters
    ----------
    features : float32 [n, d], unit rows.
    labeled, candidates : int64, rows, as in :mod:`usl.active.contract`.
    predictions : float64 [n, C], an array or a lazy table.
    apart : a distance of unit vectors.
    """
    chance = of_rows(lambda said: said[:, wanted], predictions, rows=candidates)
    order = candidates[np.argsort(-chance, kind="stable")]
    taken: list[int] = []
    doubles: list[int] = []
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        known = np.concatenate([labeled, np.array(taken, dtype=np.int64)])
        near = np.zeros(len(block), dtype=np.bool_)
        if len(known):
            near |= (squared_distances(features[block], features[known]) < apart**2).any(axis=1)
        among = squared_distances(features[block], features[block]) < apart**2
        for place, row in enumerate(block.tolist()):
            if near[place]:
                doubles.append(row)
                continue
            taken.append(row)
            near |= among[place]
            if len(taken) == budget:
                break
        if len(taken) == budget:
            break
    rows = np.array([*taken, *doubles][:budget], dtype=np.int64)
    return Query(
        rows,
        tuple(f"likely {{{wanted}}}" for _ in rows),
        {"probability": predictions[rows][:, wanted]},
        {"apart": apart},
    )
