"""Pick as if no image were audited, then pass over those that are, and say which.

Audited images stay out of training. A rule that never saw them would leave an audit with more of
the images that it likes best, the doubtful ones, than the rest of the collection holds; who counts
those that it passed over can tell (:mod:`usl.labeling.answers.audit`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query

Passed = list[tuple[int, int]]


def pick_past(
    pick: Callable[[int, NDArray[np.int64]], Query],
    budget: int,
    candidates: NDArray[np.int64],
    audited: NDArray[np.int64],
) -> tuple[Query, Passed]:
    """The ``budget`` picks among ``candidates``, and what was passed over for the audit's sake.

    Parameters
    ----------
    pick : picks so many of the rows it is given, the most wanted first.
    candidates, audited : int64 [c] and [a], sorted rows that may be asked for, and those that could
        be, were they not audited.

    Returns
    -------
    The picks, and each audited row that was wanted, with the number of picks wanted more.
    """
    every = np.union1d(candidates, audited)
    more = 0
    while True:
        found = pick(budget + more, every)
        kept = ~np.isin(found.indices, audited)
        if int(kept.sum()) >= budget:
            break
        more += budget - int(kept.sum())
    places = np.cumsum(kept)
    passed = [
        (int(row), int(place))
        for row, place, own in zip(found.indices, places, kept, strict=True)
        if not own and place < budget
    ]
    rows = np.flatnonzero(kept)[:budget]
    return _taken(found, rows), passed


def _taken(found: Query, rows: NDArray[np.int64]) -> Query:
    """Those of the picks, in that order."""
    figures: dict[str, NDArray[Any]] = {
        name: np.asarray(values)[rows] for name, values in found.figures.items()
    }
    reasons = tuple(found.reasons[row] for row in rows) if found.reasons else ()
    return replace(found, indices=np.asarray(found.indices)[rows], reasons=reasons, figures=figures)
