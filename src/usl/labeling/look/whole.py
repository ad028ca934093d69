"""The whole collection as the gallery shows it: of every image its label, how sure, and why shown.

What a person said counts before what a model predicts. Rows are those of the page's listing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.data.quality import COLUMN, KINDS, copies, poor
from usl.labeling.answers.outcomes import CONFLICT, LABEL, OPEN, outcomes
from usl.labeling.look.wanted import SOURCES, Wanted
from usl.labeling.page.page_state import PageState
from usl.run.columns import read_columns
from usl.run.predictions import read_predictions, training_stamp

Rows = NDArray[np.int64]
NONE, PREDICTED, LABELLED, DISPUTED, SWEPT = range(len(SOURCES))  # codes of a source
PICK, UNLIKE, NEAR, COPY = "pick", "like no class", "near-duplicate", "exact copy"
FLAGS = (PICK, UNLIKE, NEAR, COPY, *KINDS)
NEAR_DUPLICATE = 0.1  # a distance of unit vectors; that of `--collapse-duplicates`
KEPT = 8  # answers to what was asked last


@dataclass
class Known:
    """What is known of n images: ``label`` is a number in ``names``, or -1."""

    names: list[str]
    label: NDArray[np.int64]
    confidence: NDArray[np.float64]
    source: NDArray[np.int64]
    predicted: NDArray[np.int64] = field(repr=False)


class Whole:
    """All images of a run, ready to be filtered.

    Parameters
    ----------
    state : the page's; it has the run, the listing of its images, and the answers.
    """

    def __init__(self, state: PageState) -> None:
        self.state = state
        self.ids = state.listing.ids
        self.n = len(self.ids)
        self._folded = [name.casefold() for name in self.ids]
        self.subsets = state.collection.subsets
        self.flags: dict[str, NDArray[np.bool_]] = {}
        self.faults: dict[str, str] = {}  # what could not be read, and why
        self._lock = threading.RLock()
        self._model: object = None  # what the predictions were read for
        self._last: tuple[int, int] | None = None  # newest answer, newest change of the classes
        self._found: dict[Wanted, tuple[Rows, Rows]] = {}
        self._read_flags()
        self.follow()

    # What is known

    @property
    def version(self) -> str:
        """Changes whenever an answer, the predictions or a flag do."""
        return f"{self._last}-{self._model}-{'.'.join(sorted(self.flags))}"

    def follow(self) -> Known:
        """Take in what is new: answers, and the predictions of a later training."""
        with self._lock:
            store = self.state.store
            model = training_stamp(self.state.run.path)
            last = (store.last_id(), store.names().revision)
            if model != self._model:
                self._predictions = self._read_predictions()
                self._model, self._last = model, None
            if last != self._last:
                self._known = self._know()
                self._last = last
                self._found.clear()
            return self._known

    def _read_predictions(self) -> Any:
        self.faults.pop("predictions", None)
        try:
            found = read_predictions(self.state.run.path)
        except DataError as error:
            self.faults["predictions"], found = str(error), None
        self.flags.pop(UNLIKE, None)
        if found is None:
            return None
        found = found.aligned(self.state.listing.rows, self.n)
        if np.isfinite(found.unlike).any():
            self.flags[UNLIKE] = found.unlike >= 1
        return found

    def _know(self) -> Known:
        """Join predictions, labels of the split file and answers."""
        rows = self.state.listing.rows
        labels: NDArray[np.object_] = np.full(self.n, None, dtype=object)
        confidence = np.full(self.n, np.nan)
        source = np.full(self.n, NONE)
        if (found := self._predictions) is not None:
            own = np.asarray(found.own, dtype=bool) & (found.labels != None)  # noqa: E711
            present = self.state.store.names().present  # a class may be called otherwise by now
            labels[own] = [present(label) for label in found.labels[own].tolist()]
            source[own], confidence[:] = PREDICTED, found.confidence
        predicted = labels.copy()
        said = outcomes(self.state.store.history())
        split = self.state.run.split()
        for name, label, by in zip(
            split.ids.tolist(), split.labels.tolist(), split.sources.tolist(), strict=True
        ):
            given = {"human": LABELLED, "swept": SWEPT}.get(by)
            if given and name not in said and (row := rows.get(name)) is not None:
                labels[row], source[row] = label, given
        for name, one in said.items():
            if (row := rows.get(name)) is None or one.kind == OPEN:
                continue
            if one.kind == LABEL:
                labels[row], source[row] = one.label, SWEPT if one.swept else LABELLED
            elif one.kind == CONFLICT:
                labels[row], source[row] = None, DISPUTED
            else:
                labels[row], source[row] = None, LABELLED  # bad, or nobody can tell
        classes = [one["name"] for one in self.state.classes()]
        everything = dict.fromkeys([*classes, *filter(None, [*labels, *predicted])])
        number = {name: place for place, name in enumerate(everything)}
        code = np.array([number.get(name, -1) for name in labels.tolist()], dtype=np.int64)
        guess = np.array([number.get(name, -1) for name in predicted.tolist()], dtype=np.int64)
        return Known(list(number), code, confidence, source, guess)

    def _read_flags(self) -> None:
        """Which images are picks, copies of each other, and of poor quality where it is known."""
        rows, run = self.state.listing.rows, self.state.run
        picks = np.zeros(self.n, dtype=bool)
        try:
            asked = [name for one in run.rounds() for name in one.ids()]
            picks[[rows[name] for name in asked if name in rows]] = True
        except DataError as error:
            self.faults["picks"] = str(error)
        self.flags[PICK] = picks
        recorded = run.recorded_digests()
        self.flags[COPY] = copies(
            np.array([recorded.get(name, "") for name in self.ids], dtype=object)
        )
        columns = read_columns(run.path).of(self.ids)
        figures = {
            name.removeprefix(COLUMN): column
            for name, column in columns.items()
            if name.startswith(COLUMN)
        }
        if figures:
            self.set_quality(figures)

    def set_quality(self, figures: Mapping[str, NDArray[np.float64]]) -> None:
        """Flag poor pictures, by their figures (:mod:`usl.data.quality`), [n] each."""
        with self._lock:
            self.flags |= poor(dict(figures))
            self._found.clear()

    def set_near(self, near: NDArray[np.bool_]) -> None:
        """Flag near-duplicates, [n]."""
        with self._lock:
            self.flags[NEAR] = near
            self._found.clear()

    # What is asked

    def find(self, wanted: Wanted) -> tuple[Known, Rows, Rows]:
        """The images wanted, in order, and how many each class would have; see :class:`Known`.

        Raises
        ------
        UsageError : a class that nothing has, or images like one whose features are not at hand.
        """
        with self._lock:
            known = self.follow()
            if wanted not in self._found:
                while len(self._found) >= KEPT:
                    self._found.pop(next(iter(self._found)))
                self._found[wanted] = self._find(known, wanted)
            return known, *self._found[wanted]

    def _find(self, known: Known, wanted: Wanted) -> tuple[Rows, Rows]:
        keep = np.ones(self.n, dtype=bool)
        if wanted.source:
            keep &= known.source == SOURCES.index(wanted.source)
        if wanted.subset:
            keep &= self.subsets == wanted.subset
        if wanted.flag:
            keep &= self.flags.get(wanted.flag, False)
        if wanted.least > 0 or wanted.most < 1:
            with np.errstate(invalid="ignore"):
                keep &= (known.confidence >= wanted.least) & (known.confidence <= wanted.most)
        if wanted.name:
            keep &= np.array([wanted.name in name for name in self._folded], dtype=bool)
        counts = np.bincount(known.label[keep] + 1, minlength=len(known.names) + 1)
        if wanted.label is not None:
            if wanted.label not in known.names:
                raise UsageError(f"label: no image is called {wanted.label!r}.")
            keep &= known.label == known.names.index(wanted.label)
        rows = np.flatnonzero(keep)
        return rows[self._order(known, wanted, rows)], counts

    def _order(self, known: Known, wanted: Wanted, rows: Rows) -> Rows:
        if wanted.like:
            return np.argsort(self._distances(wanted.like)[rows], kind="stable")
        if wanted.order == "name":
            return np.argsort(np.array(self.ids, dtype=object)[rows], kind="stable")
        confidence = known.confidence[rows]
        given = np.isin(known.source[rows], (LABELLED, SWEPT))
        last = np.where(np.isfinite(confidence), 0, 1) + given
        sign = -1 if wanted.order == "surest" else 1
        return np.lexsort((rows, sign * np.nan_to_num(confidence), last))

    def _distances(self, ref: str) -> NDArray[np.float64]:
        found = self.state.similar.distances(self.state.listing.row(ref))
        if found is None:
            raise UsageError(
                "like: the features of this image are not at hand. They come back with the "
                "command that made the run, or with usl predict."
            )
        return found

    def item(self, known: Known, row: int) -> dict[str, Any]:
        """What is shown of an image."""
        confidence = float(known.confidence[row])
        label, guess = int(known.label[row]), int(known.predicted[row])
        return {
            "image": self.state.listing.ref(self.ids[row]),
            "label": known.names[label] if label >= 0 else None,
            "predicted": known.names[guess] if guess >= 0 else None,
            "confidence": round(confidence, 4) if np.isfinite(confidence) else None,
            "source": SOURCES[known.source[row]],
            "subset": str(self.subsets[row]),
            "flags": [name for name, of in self.flags.items() if of[row]],
        }
