"""What a linear head says of rows some of whose features drop out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Float32, Rows
from usl.numeric.table import Table
from usl.training.models import LinearModel

BLOCK = 8192  # rows; fixed, because what drops out is drawn block by block
Said = Callable[[Float32], NDArray[np.float64]]


def through_dropout(
    table: Table,
    rows: Rows,
    head: LinearModel,
    seed: int,
    dropout: float,
    figures: Callable[[Float32, Said], tuple[NDArray[Any], ...]],
) -> tuple[NDArray[Any], ...]:
    """``figures(points, said)`` of blocks of ``rows``, joined.

    ``said(points)`` are the head's probabilities, each time with other features set to 0 and the
    others divided by 1 - ``dropout``.
    """

    def block(points: Float32, own: Rows) -> tuple[NDArray[Any], ...]:
        rng = np.random.default_rng([seed, int(own[0])])

        def said(points: Float32) -> NDArray[np.float64]:
            stays = rng.random(points.shape, dtype=np.float32) >= dropout
            return head.probabilities(points * stays / np.float32(1 - dropout))

        return figures(points, said)

    parts = list(table.map(block, rows, block=BLOCK, rows=rows))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
