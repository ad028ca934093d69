"""``usl select --exclude-quality``: leave poor pictures, and copies, out of the choice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.core.progress import Progress
from usl.data.collection import Collection
from usl.data.quality import COLUMN, Figures, later_copies, measure, poor
from usl.run.columns import add_columns
from usl.selection.prepare import Prepared

Rows = NDArray[np.int64]


def without_poor(ready: Prepared, rows: Rows, progress: Progress) -> tuple[Prepared, Figures]:
    """Exclude the poor pictures among ``rows`` of the collection; and their figures.

    A copy is poor where the same picture stands before it. Must-includes and labelled images stay.

    Raises
    ------
    UsageError : the source holds no pictures, or too few are left for the budget.
    """
    collection = ready.collection
    if collection.images is None:
        raise UsageError(
            f"exclude_quality: {collection.source} holds features alone; there are no pictures to "
            "judge. Leave it out."
        )
    figures = measure(collection.images, rows, progress)
    digests = np.array([collection.images.digest(row) for row in rows.tolist()], dtype=object)
    bad = np.logical_or.reduce([*poor(figures).values(), later_copies(digests)])
    wanted = ready.wanted
    places = np.setdiff1d(np.searchsorted(ready.train, rows[bad]), wanted.known)
    free = wanted.free.copy()
    free[places] = False
    exclude = np.union1d(wanted.exclude, places)
    return replace(ready, wanted=replace(wanted, exclude=exclude, free=free)), figures


def keep_figures(folder: Path, collection: Collection, rows: Rows, figures: Figures) -> None:
    """Keep the figures as columns of a run, for ``usl look``."""
    named = {f"{COLUMN}{name}": column.tolist() for name, column in figures.items()}
    add_columns(folder, collection.ids[rows].tolist(), named)
