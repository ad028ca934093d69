"""The Selection: picks in order, and why each was picked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.files import write_json_lines
from usl.core.words import counted, html_table
from usl.run.picks import write_picks

if TYPE_CHECKING:
    import pyarrow as pa

METRICS = "metrics.jsonl"
SHOWN = 10  # picks in a printed selection
FIGURES = ("cluster_size", "density", "nearest_distance")  # of each in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """The picks, best first, with what is known about each.

    Attributes
    ----------
    indices : int64 [m], rows of the features, best first.
    representative : int64 [n], for every item the rank (from 0) of the pick that stands for it,
        or -1 where a labelled item does.
    columns : per pick, in rank order: ``cluster``, ``cluster_size``, ``density``, ``confidence``,
        ``utility``, ``regularizer``, ``nearest_earlier`` (rank of the nearest better pick, -1 for
        none) and ``nearest_distance``; a method that has no such figure leaves its column out.
    propagated : int64 [n], for every item the rank of the pick whose label it shall receive, or
        -1; None when labels are not passed on.
    history : figures recorded while the method trained, one dict per record.
    method, parameters, seed : what made the selection; parameters with presets resolved.
    backbone : the network that the method trained, or None.
    """

    indices: NDArray[np.int64]
    representative: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]
    method: str
    parameters: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    propagated: NDArray[np.int64] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    backbone: Any = None

    def __len__(self) -> int:
        """Number of picks."""
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        """The picked rows, best first."""
        return iter(self.indices.tolist())

    def __getitem__(self, place: int | slice) -> Any:
        """The row of the pick of a rank (from 0), or of several: any prefix is a selection."""
        found = self.indices[place]
        return found if isinstance(place, slice) else int(found)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The picked rows, so that ``features[picks]`` are those that were picked."""
        return np.array(self.indices, dtype=dtype)

    def __repr__(self) -> str:
        """How many of how many, by what, and the first few."""
        total, shown = len(self.representative), self.indices[:SHOWN].tolist()
        more = ", ..." if len(self) > len(shown) else ""
        return (
            f"{len(self):,} of {counted(total, 'row')} picked by {self.method} (seed {self.seed}), "
            f"best first: {', '.join(map(str, shown))}{more}"
        )

    def _repr_html_(self) -> str:
        """The same with a table of the first picks, for notebooks."""
        names = [name for name in FIGURES if name in self.columns]
        heads = ["rank", "row", *names, "represents"]
        represents = np.bincount(self.representative + 1, minlength=len(self) + 1)[1:]
        rows = []
        for rank in range(min(len(self), SHOWN)):
            figures = [f"{self.columns[name][rank]:.4g}" for name in names]
            rows.append([rank + 1, self[rank], *figures, int(represents[rank])])
        return html_table(repr(self), heads, rows)

    def stands_for(self, rank: int) -> NDArray[np.int64]:
        """Rows of the items that the pick of this rank (from 0) speaks for, itself included."""
        return np.flatnonzero(self.representative == rank)

    def table(self, ids: ArrayLike | None = None) -> pa.Table:
        """One row per pick, best first, as an Arrow table.

        Columns: ``rank`` (from 1), ``image_id`` (with ``ids``, str [n]), ``index``, those of
        ``columns`` (``nearest_earlier`` as such a rank, null for the first), ``represents`` (how
        many items it stands for), ``represented`` (which: ids with ``ids``, else row numbers) and,
        where labels are passed on, ``propagated_to`` (likewise).
        """
        import pyarrow as pa

        m = len(self)
        names = np.arange(len(self.representative)) if ids is None else np.asarray(ids)
        kind = pa.int64() if ids is None else pa.string()

        def lists(rank_of: NDArray[np.int64]) -> pa.Array:
            order = np.argsort(rank_of, kind="stable")
            bounds = np.searchsorted(rank_of[order], np.arange(m + 1))
            members = [names[order[bounds[r] : bounds[r + 1]]].tolist() for r in range(m)]
            return pa.array(members, pa.list_(kind))

        table: dict[str, Any] = {"rank": np.arange(1, m + 1)}
        if ids is not None:
            table["image_id"] = pa.array(names[self.indices].tolist(), pa.string())
        table["index"] = self.indices
        table.update(self.columns)
        earlier, distance = table["nearest_earlier"], table["nearest_distance"]
        table["nearest_earlier"] = pa.array(earlier + 1, mask=earlier < 0)
        table["nearest_distance"] = pa.array(distance, mask=earlier < 0)
        table["represents"] = np.bincount(self.representative + 1, minlength=m + 1)[1:]
        table["represented"] = lists(self.representative)
        if self.propagated is not None:
            table["propagated_to"] = lists(self.propagated)
        return pa.table(table)

    def save(self, folder: str | os.PathLike[str], ids: ArrayLike | None = None) -> None:
        """Write ``selection.parquet`` (all of :meth:`table`) and ``selection.csv`` (no lists).

        A method that trains also leaves ``metrics.jsonl``.
        """
        write_picks(Path(folder), self.table(ids))
        if self.history:
            write_json_lines(Path(folder) / METRICS, self.history)
