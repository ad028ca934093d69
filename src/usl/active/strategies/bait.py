"""BAIT: the batch that leaves a linear head the least uncertain about all rows, by Fisher.

Ash, Goel, Krishnamurthy, Kakade: Gone Fishing: Neural Active Learning with Fisher Embeddings
(NeurIPS 2021). The batch shall minimise tr(M^-1 F): F is the mean Fisher information of all rows in
the weights of the head, M = lam I + the information of the labelled rows and of the batch. Twice as
many rows as wanted are added, each time the one that lowers the trace the most; then those that
raise it the least are taken out again. Nothing is inverted anew: a row is a change of low rank
(:mod:`usl.active.shared.fisher`).

The information of all classes is a matrix [C d, C d]. Where that is large, it is that of the
likeliest class against all others, [d, d] (Huseljic, Hahn, Herde, Rauch, Sick: Fast Fishing, 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
from usl.active.shared.fisher import SUMMED, TRACED, Binary, Full, Kind, Traces, fisher_sum
from usl.core.errors import UsageError
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32
from usl.numeric.blocks import thread_count
from usl.numeric.table import as_table
from usl.selection.shared.memory import BASE, PER_ITEM
from usl.selection.shared.sample import draw_pool

NAME = "BAIT"
NEEDS_MODEL = True
FULL = 16, 4096  # C and C d up to which all classes are looked at by default
LARGEST = 64, 16_384  # and where that is asked for: C^2 numbers of every row, a matrix of 2 GiB
OVERSAMPLED = 2  # times the budget, before rows are taken out again


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64],
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    fisher: Literal["full", "binary"] | None = None,
    lam: Annotated[float, Positive] = 1.0,
    pool: Annotated[int, Positive] = 50_000,
) -> Query:
    """Add the rows that lower the trace the most, then take out those that raise it the least.

    The order is that of adding. As in the authors' code, with L labels and a budget B a labelled
    row has the weight 1 / (L + B), a new one B / (L + B). Rows of unit length are scaled to
    sqrt(d), so that ``lam`` weighs as much as with features whose coordinates have mean square 1.
    The figure ``fall`` is by how much a row lowered the trace.

    Parameters
    ----------
    fisher : ``full``, of all classes, or ``binary``, of the likeliest against all others; by
        default full for up to 16 classes where C d is at most 4,096.
    lam : what is known of every weight before any label.
    pool : most candidates considered, drawn by the seed; never below the budget.
    """
    table = as_table(features)
    width, n_classes = table.shape[1], predictions.shape[1]
    kind = _kind(fisher, n_classes, width)
    drawn = draw_pool(candidates, max(pool, budget), seed)
    scale, size = float(np.sqrt(width)), kind.size * width
    total = len(labeled) + budget
    known = fisher_sum(table, kind, predictions, scale, labeled) / total
    every = fisher_sum(table, kind, predictions, scale) / len(table)
    points = table.take(drawn) * np.float32(scale)
    p = kind.of(predictions[drawn])
    traces = Traces(kind, points, p, budget / total, lam * np.eye(size) + known, every)
    added: list[int] = []
    falls: list[float] = []
    count = min(OVERSAMPLED * budget, len(drawn))
    for done in range(1, count + 1):
        fall = traces.falls()
        fall[added] = -np.inf
        added.append(int(fall.argmax()))
        falls.append(float(fall[added[-1]]))
        traces.change(added[-1])
        progress(done, count, "picks")
    places = _thinned(traces, np.array(added), budget)
    chosen = np.array(added)[places]
    picks = drawn[chosen]
    first, second, _ = two_likeliest(predictions[picks])
    used = "binary" if isinstance(kind, Binary) else "full"
    return Query(
        picks,
        between(first, second),
        {"fall": np.array(falls)[places]},
        {"fisher": used, "lam": lam, "pool": pool},
    )


def _thinned(traces: Traces, added: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """Which of the added rows stay, as positions: those whose loss costs the least go."""
    some = traces.only(added)
    left = np.ones(len(added), dtype=bool)
    while left.sum() > budget:
        out = int(np.where(left, some.rises(), np.inf).argmin())
        left[out] = False
        some.change(out, back=True)
    return np.flatnonzero(left)


def _kind(fisher: str | None, n_classes: int, width: int) -> Kind:
    most_classes, most = LARGEST if fisher == "full" else FULL
    if fisher != "binary" and n_classes <= most_classes and n_classes * width <= most:
        return Full(n_classes)
    if fisher == "full":
        raise UsageError(
            f"fisher: 'full' given, but {n_classes:,} classes and {width:,} features are too many: "
            f"it takes at most {most_classes} classes, and a product of {most:,}. Use 'binary'."
        )
    return Binary()


def needed(n: int, width: int, budget: int, labeled: int, parameters: Mapping[str, Any]) -> int:
    """Bytes that a query takes beside its tables, with as many classes as ``fisher`` allows for."""
    rows = min(n, max(budget, parameters.get("pool", 50_000)))
    fisher = parameters.get("fisher")
    most_classes, most = LARGEST if fisher == "full" else FULL
    size = 1 if fisher == "binary" else max(1, min(most_classes, most // width))
    matrices = 6 * 8 * (size * width) ** 2
    per_row = 4 * width + 8 * (size + 2 * size**2)
    blocks = thread_count() * (SUMMED * 8 * width + TRACED * (4 * size * width + 64 * size**2))
    return int(BASE + PER_ITEM * n + matrices + per_row * rows + blocks)
