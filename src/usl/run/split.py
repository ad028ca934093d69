"""The split file: which image is for what, and what is known about it.

``split.csv`` is the authority, and people edit it; ``split.parquet`` is a typed mirror, rewritten
from it. One row per image::

    image_id,subset,state,label,weight,source
    cats/007.jpg,train,requested,,1,
    dogs/013.jpg,train,labeled,dog,1,human

======== ======================================================================================
subset   train, val or test
state    requested (please label this one), labeled, unlabeled
label    any text; empty unless labeled
weight   the label's weight in training, at least 0; 1 if empty
source   human, swept (confirmed at a glance), propagated or predicted; empty unless labeled
======== ======================================================================================

Requested rows come first, best first; the others follow in the order of the collection. A label
filled in on a requested or unlabeled row makes that row labeled, by a human.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UslWarning, did_you_mean
from usl.core.files import atomic_write
from usl.core.words import counted, html_table, verb_for
from usl.data.gallery import short
from usl.data.tables import read_text_table
from usl.run.last_good import keep_good
from usl.run.split_csv import (
    COLUMNS,
    CSV_NAME,
    SOURCES,
    STATES,
    csv_bytes,
    parse,
    signature,
    write_mirror,
)

FIELDS = ("ids", "subsets", "states", "labels", "weights", "sources")

SHOWN = 10  # rows in a notebook


class SplitRow(NamedTuple):
    """One row of a split file."""

    image_id: str
    subset: str
    state: str
    label: str | None
    weight: float
    source: str


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """The rows of a split file.

    Attributes
    ----------
    ids : str array [n], unique.
    subsets, states : str arrays [n].
    labels : object array [n] of ``str``, or None where the state is not ``labeled``.
    weights : float64 array [n], finite and not negative.
    sources : str array [n], empty where the state is not ``labeled``.
    path : the file it was read from, if any; numbers : int64 [n], each row's number there.
    seen : the file's :func:`usl.run.split_csv.signature` just before.
    gone : its rows of images that a collection does not hold any more, after :meth:`check`.
    """

    ids: NDArray[np.str_]
    subsets: NDArray[np.str_]
    states: NDArray[np.str_]
    labels: NDArray[np.object_]
    weights: NDArray[np.float64]
    sources: NDArray[np.str_]
    path: str = ""
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    seen: tuple[int, int, int] | None = None
    gone: Split | None = None

    @classmethod
    def start(cls, ids: ArrayLike, subsets: ArrayLike, *, picks: ArrayLike = ()) -> Self:
        """The split of a collection in which nothing is labelled yet.

        Parameters
        ----------
        ids, subsets : str [n], as in the collection.
        picks : int [m], rows to request, best first.
        """
        ids, subsets = np.asarray(ids, dtype=np.str_), np.asarray(subsets, dtype=np.str_)
        picks = np.asarray(picks, dtype=np.int64)
        others = np.ones(len(ids), dtype=bool)
        others[picks] = False
        order = np.concatenate([picks, np.flatnonzero(others)])
        states = np.full(len(ids), "unlabeled", dtype="<U9")
        states[: len(picks)] = "requested"
        return cls(
            ids=ids[order],
            subsets=subsets[order],
            states=states,
            labels=np.full(len(ids), None, dtype=object),
            weights=np.ones(len(ids)),
            sources=np.full(len(ids), "", dtype="<U10"),
        )

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ids)

    def __iter__(self) -> Iterator[SplitRow]:
        """The rows in the order of the file."""
        columns = (getattr(self, name).tolist() for name in FIELDS)
        return map(SplitRow._make, zip(*columns, strict=True))

    def __repr__(self) -> str:
        """How many rows are in which state, in a line."""
        states = [
            f"{count:,} {state}"
            for state in STATES
            if (count := int((self.states == state).sum())) or state == "labeled"
        ]
        classes = len({label for label in self.labels.tolist() if label is not None})
        of = f" (of {counted(classes, 'class')})" if classes else ""
        where = f" of {self.path}" if self.path else ""
        said = ", ".join(f"{text}{of if text.endswith(' labeled') else ''}" for text in states)
        return f"Split{where}: {counted(len(self), 'image')}; {said}"

    def _repr_html_(self) -> str:
        """The same with the first rows, for notebooks."""
        first = islice(self, SHOWN)
        rows = [["" if cell is None else short(str(cell)) for cell in row] for row in first]
        return html_table(repr(self), COLUMNS, rows)

    def requested(self) -> NDArray[np.int64]:
        """Rows that wait for a label, best first."""
        return np.flatnonzero(self.states == "requested")

    def labeled(self, subset: str | None = None) -> NDArray[np.int64]:
        """Rows that have a label, of one subset or of all."""
        chosen = self.states == "labeled"
        return np.flatnonzero(chosen if subset is None else chosen & (self.subsets == subset))

    def with_labels(
        self,
        rows: ArrayLike,
        labels: Sequence[str],
        *,
        source: str = "human",
        weights: ArrayLike = 1.0,
    ) -> Self:
        """The split with ``labels`` [m] given to ``rows`` int [m]; order and other rows stay."""
        rows = np.asarray(rows, dtype=np.int64)
        texts = np.array([str(label).strip() for label in labels], dtype=object)
        if len(texts) != len(rows):
            raise DataError(f"{len(rows)} rows but {len(texts)} labels.")
        if source not in SOURCES:
            raise DataError(f"Unknown source {source!r}; use {', '.join(SOURCES)}.")
        if not all(texts):
            raise DataError(f"Empty label for {self.ids[rows[list(texts).index('')]]!r}.")
        states, all_labels = self.states.copy(), self.labels.copy()
        all_weights, sources = self.weights.copy(), self.sources.copy()
        states[rows], all_labels[rows], all_weights[rows] = "labeled", texts, weights
        sources[rows] = source
        return replace(self, states=states, labels=all_labels, weights=all_weights, sources=sources)

    def where(self, row: int) -> str:
        """The file and row number, as an error message begins."""
        return f"{self.path or 'split'}, row {self.numbers[row] if len(self.numbers) else row + 2}"

    def positions(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Where each row's image lies in ``ids`` (a collection's), int64 [n]; -1 if nowhere."""
        import pyarrow.compute as pc

        found = pc.index_in(_strings(self.ids), value_set=_strings(ids)).fill_null(-1)
        positions: NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return positions

    def check(
        self,
        ids: ArrayLike,
        subsets: ArrayLike,
        *,
        digests: ArrayLike | None = None,
        recorded: Mapping[str, str] | None = None,
    ) -> Self:
        """Match the split to a collection; images it does not know are appended as unlabelled.

        Parameters
        ----------
        ids, subsets : str [n], the collection's.
        digests : str [n], the collection's content hashes now.
        recorded : image id -> content hash when the split was made. Compared where both are given.

        Returns
        -------
        The split with one row per image of the collection: its own rows, then the new ones. Rows
        of images that are gone are left out, with a warning, and kept as ``gone``.

        Raises
        ------
        DataError
            naming the row: an image whose content changed, or, with a label or a request, one that
            was never in the run; or where most of those images are gone.
        """
        ids, subsets = np.asarray(ids, dtype=np.str_), np.asarray(subsets, dtype=np.str_)
        split, positions = self, self.positions(ids)
        for forgive in (_tidy, _with_slashes):
            if (positions < 0).any():
                meant = np.array([forgive(word) for word in split.ids.tolist()])
                split = replace(split, ids=np.where(positions < 0, meant, split.ids))
                positions = split.positions(ids)
                split._refuse_repeated_ids()
        unknown = np.flatnonzero(positions < 0)
        if len(unknown):
            self._refuse_strangers(unknown, ids, recorded or {})
            gone = split._only(unknown)
            split, positions = split._without(unknown), np.delete(positions, unknown)
            split = replace(split, gone=gone)
            warnings.warn(split.gone_note(), UslWarning, stacklevel=2)
        theirs = subsets[positions]
        if len(moved := np.flatnonzero(split.subsets != theirs)):
            row = int(moved[0])
            raise DataError(
                f"{split.where(row)}: the subset of {str(split.ids[row])!r} is "
                f"{split.subsets[row]}, but {theirs[row]} in the source, which decides. Put it "
                "back, or change it in the source and select anew."
                + (f" ({len(moved) - 1:,} further rows likewise.)" if len(moved) > 1 else "")
            )
        if digests is not None and recorded is not None:
            now = np.asarray(digests)[positions].tolist()
            for row, (word, digest) in enumerate(zip(split.ids.tolist(), now, strict=True)):
                if recorded.get(word, digest) != digest:
                    raise DataError(
                        f"{split.where(row)}: the image {word!r} has changed since the split was "
                        "made. Restore it, or select anew."
                    )
        new = np.ones(len(ids), dtype=bool)
        new[positions] = False
        return split.extended(type(self).start(ids[new], subsets[new]))

    def _refuse_strangers(
        self, unknown: NDArray[np.int64], ids: NDArray[np.str_], recorded: Mapping[str, str]
    ) -> None:
        """DataError for rows of images that never were in the run, or where most are gone.

        Rows without a label or a request are no loss.
        """
        asked = unknown[self.states[unknown] != "unlabeled"]
        known = [_tidy(word) in recorded or word in recorded for word in self.ids[asked].tolist()]
        strange = asked[~np.array(known, dtype=bool)]
        wanted = int((self.states != "unlabeled").sum())
        if len(unknown) == len(self) or len(strange) or len(asked) > max(1, wanted / 2):
            strange = strange if len(strange) else asked if len(asked) else unknown
            word = str(self.ids[strange[0]])
            raise DataError(
                f"{self.where(strange[0])}: no image {word!r} in the collection"
                + (f" (and {len(unknown) - 1} further rows)" if len(unknown) > 1 else "")
                + f".{did_you_mean(word, ids.tolist()) if len(ids) <= 20_000 else ''} "
                "Restore the image, or delete the row."
            )

    def gone_note(self) -> str:
        """What to say of images that are gone from the collection; "" of none."""
        if self.gone is None:
            return ""
        n, states = len(self.gone), self.gone.states
        kinds = [
            f"{count:,} {state}"
            for state in ("labeled", "requested")
            if (count := int((states == state).sum()))
        ]
        first = ", ".join(repr(word) for word in self.gone.ids[:3].tolist())
        return (
            f"{self.path or 'split'}: the images are not those of the selection: "
            f"{counted(n, 'image')} {verb_for(n, 'is', 'are')} gone ({first}"
            f"{', ...' if n > 3 else ''}{'; ' if kinds else ''}{', '.join(kinds)}) and left out. "
            f"{verb_for(n, 'Its row stays', 'Their rows stay')} in the file; restore "
            f"{verb_for(n, 'the image', 'the images')}, or delete {verb_for(n, 'it', 'them')}."
        )

    def whole(self) -> Self:
        """This split with the rows of images that are gone, as the file has them."""
        if self.gone is None:
            return self
        both = {name: np.append(getattr(self, name), getattr(self.gone, name)) for name in FIELDS}
        numbers = np.append(self.numbers, self.gone.numbers)
        return replace(self, **both, numbers=numbers, gone=None)  # type: ignore[arg-type]

    def _only(self, rows: NDArray[np.int64]) -> Self:
        """Some rows of this split."""
        numbers = self.numbers[rows] if len(self.numbers) else self.numbers
        taken = {name: getattr(self, name)[rows] for name in FIELDS}
        return replace(self, **taken, numbers=numbers)

    def _without(self, rows: NDArray[np.int64]) -> Self:
        """This split without some of its rows."""
        left = {name: np.delete(getattr(self, name), rows) for name in FIELDS}
        numbers = np.delete(self.numbers, rows) if len(self.numbers) else self.numbers
        return replace(self, **left, numbers=numbers)  # type: ignore[arg-type]

    def without_labels(self, rows: ArrayLike, states: Sequence[str]) -> Self:
        """The split with ``rows`` int [m] that have no label (any more) and these states [m]."""
        rows = np.asarray(rows, dtype=np.int64)
        all_states, labels, sources = self.states.copy(), self.labels.copy(), self.sources.copy()
        all_states[rows], labels[rows], sources[rows] = states, None, ""
        return replace(self, states=all_states, labels=labels, sources=sources)

    def extended(self, other: Split) -> Self:
        """This split followed by the rows of another; row numbers go on counting."""
        numbers = self.numbers
        if len(numbers):
            numbers = np.append(numbers, numbers.max() + 1 + np.arange(len(other)))
        if not len(other):
            return self
        both = {name: np.append(getattr(self, name), getattr(other, name)) for name in FIELDS}
        return replace(self, **both, numbers=numbers)  # type: ignore[arg-type]

    def _refuse_repeated_ids(self) -> None:
        """DataError naming the row whose id another row has already."""
        import pyarrow.compute as pc

        if pc.count_distinct(_strings(self.ids)).as_py() == len(self):
            return
        _, first = np.unique(self.ids, return_index=True)
        again = np.setdiff1d(np.arange(len(self)), first)[0]
        earlier = int(np.flatnonzero(self.ids == self.ids[again])[0])
        raise DataError(
            f"{self.where(again)}: image {str(self.ids[again])!r} has a row already "
            f"({self.where(earlier).rpartition(', ')[2]}). Delete one of them."
        )

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read ``split.csv``, or the one in a run folder, forgiving what spreadsheets do to it.

        See :func:`usl.run.split_csv.parse` and :mod:`usl.data.tables` for all that is forgiven.

        Raises
        ------
        DataError
            naming file, row and value for what cannot be guessed, and for an id given twice.
        """
        path = Path(path)
        path = path / CSV_NAME if path.is_dir() else path
        seen = signature(path)
        table = read_text_table(path)
        split = cls(**parse(table), gone=None, path=str(path), numbers=table.numbers, seen=seen)
        split._refuse_repeated_ids()
        return split

    def write(self, folder: str | Path) -> None:
        """Write ``split.csv`` and its mirror ``split.parquet`` into the ``folder`` of a new run.

        Columns of the user's own are not kept: change a run with
        :func:`usl.run.split_csv.rewrite`.
        """
        with atomic_write(Path(folder) / CSV_NAME) as handle:
            handle.write(csv_bytes(self))
        keep_good(Path(folder))
        write_mirror(self, folder)


def first_rows(count: int) -> str:
    """Where the first ``count`` items are in the file, whose first row is the header."""
    if count < 1:
        return "no row"
    return "row 2" if count == 1 else f"rows 2 to {count + 1:,}"


def _tidy(word: str) -> str:
    """An id without what a spreadsheet or a Mac may do to it: stray blanks, split umlauts."""
    return unicodedata.normalize("NFC", word).strip()


def _with_slashes(word: str) -> str:
    """An id as it is on every system, where a person on Windows has written a path."""
    return word.replace("\\", "/")


def _strings(values: ArrayLike) -> Any:
    """Text as a pyarrow string array."""
    import pyarrow as pa

    return pa.array(np.asarray(values, dtype=np.str_), pa.string())
