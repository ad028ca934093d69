"""The one table type that every stage takes: ids, subsets, where the images are, known labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, did_you_mean, shortened
from usl.core.hashing import array_digest
from usl.core.words import counted
from usl.numeric.lazy_table import LazyTable, taken

if TYPE_CHECKING:
    from usl.data.image_source import Images

BLOCK = 4096  # rows read at once
SUBSETS = ("train", "val", "test")


@dataclass(frozen=True, eq=False, repr=False)
class Collection:
    """An ordered collection of n items, each an image or a row of features.

    Attributes
    ----------
    ids : str array [n], unique. Relative POSIX paths for files (the same on every machine),
        ``train/00000`` style for array data.
    subsets : str array [n], each ``train``, ``val`` or ``test``. Selection looks at ``train`` only.
    images : the pictures, or None when the source holds features alone.
    features : float array [n, d] when the source holds embeddings, else None. In memory, a memory
        map, or a :class:`usl.numeric.lazy_table.LazyTable` of several files.
    labels : object array [n] of ``str`` or None when the source knows answers, else None. Only
        ``evaluation`` and the marked oracle methods may read it.
    source : what the user named (a path, or ``builtin:...``).
    kind : name of the reader that understood it.
    skipped : ``(image_id, reason)`` of rows left out while reading.
    passed_over : how many files were seen and not used, by ending or by the folder they lie in.
    notes : what a person should know of how the source was taken, one sentence each.
    extra : other columns of the source, by name, each [n]; nothing here looks at them.
    options : how the source was opened, so that it can be opened the same way again.
    made_by : the record of the encoder that made ``features``, where the source tells.
    """

    ids: NDArray[np.str_]
    subsets: NDArray[np.str_]
    images: Images | None = None
    features: NDArray[np.floating[Any]] | LazyTable | None = None
    labels: NDArray[np.object_] | None = None
    source: str = ""
    kind: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    made_by: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check that the columns agree and the ids are unique."""
        n = len(self.ids)
        columns: dict[str, Any] = {
            "subsets": self.subsets,
            "images": self.images,
            "features": self.features,
            "labels": self.labels,
            **self.extra,
        }
        for name, column in columns.items():
            if column is not None and len(column) != n:
                raise DataError(f"{self.source}: {n} ids but {len(column)} {name}.")
        if self.images is None and self.features is None:
            raise DataError(f"{self.source}: neither images nor features.")
        unique, counts = np.unique(self.ids, return_counts=True)
        if len(unique) < n:
            twice = unique[counts > 1]
            raise DataError(
                f"{self.source}: ids that occur more than once: {len(twice)}, the first is "
                f"{str(twice[0])!r}. Every image needs an id of its own."
            )
        unknown = sorted(set(np.unique(self.subsets).tolist()) - set(SUBSETS))
        if unknown:
            raise DataError(
                f"{self.source}: unknown subset {unknown[0]!r}; use train, val or test."
                + did_you_mean(unknown[0], SUBSETS)
            )

    def __len__(self) -> int:
        """Number of items."""
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        """The ids in order."""
        return iter(self.ids.tolist())

    def __repr__(self) -> str:
        """What it holds, in a line."""
        noun = "image" if self.images is not None else "row"
        parts = [counted(len(self), noun)]
        if self.features is not None:
            parts.append(f"features of width {self.features.shape[-1]:,}")
        names, counts = np.unique(self.subsets, return_counts=True)
        if names.tolist() not in ([], ["train"]):
            sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
            parts.append(", ".join(f"{name} {sizes[name]:,}" for name in SUBSETS if name in sizes))
        if self.labels is not None:
            classes = len({label for label in self.labels.tolist() if label is not None})
            parts.append(f"answers of {counted(classes, 'class')}")
        if self.skipped:
            parts.append(f"{len(self.skipped):,} left out")
        return f"Collection of {shortened(self.source) or 'data in memory'}: {'; '.join(parts)}"

    def _repr_html_(self) -> str:
        """The same with the first pictures, for notebooks."""
        from usl.data.gallery import gallery

        return gallery(self, range(len(self)), self.ids.tolist(), repr(self))

    def rows_in(self, subset: str) -> NDArray[np.int64]:
        """Row numbers of one subset, in order."""
        return np.flatnonzero(self.subsets == subset)

    def take(self, rows: ArrayLike) -> Collection:
        """The collection restricted to ``rows``, in that order; features in files stay there."""
        rows = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            ids=self.ids[rows],
            subsets=self.subsets[rows],
            images=None if self.images is None else self.images.take(rows),
            features=None if self.features is None else taken(self.features, rows),
            labels=None if self.labels is None else self.labels[rows],
            extra={name: [column[r] for r in rows] for name, column in self.extra.items()},
        )

    def pictures_alone(self) -> Collection:
        """Without features, for an encoder to look at the pictures; itself where there are none."""
        return self if self.images is None else replace(self, features=None, made_by=None)

    def digest(self, row: int) -> str:
        """Content hash of one item: of its image if there is one, else of its feature row."""
        if self.images is not None:
            return self.images.digest(row)
        assert self.features is not None
        return array_digest(self.features[row])

    def digests(self) -> NDArray[np.str_]:
        """Content hashes of all items, str array [n]."""
        if self.images is not None or self.features is None:
            return np.array([self.digest(row) for row in range(len(self))], dtype="<U32")
        found = np.empty(len(self), dtype="<U32")
        for start in range(0, len(self), BLOCK):
            block = np.asarray(self.features[start : start + BLOCK])
            found[start : start + len(block)] = [array_digest(row) for row in block]
        return found
