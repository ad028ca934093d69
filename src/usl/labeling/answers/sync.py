"""Two-way sync of answers and split file: answers into ``split.csv``, hand edits into the history.

The split file is the authority for every later step. The store remembers what it wrote there last
for each image, so it knows an edit by hand. Such an edit enters the history as an answer of the
annotator ``split.csv``, and has the last word over earlier answers:

- another label: that label; the state ``unlabeled``: nobody can tell;
- ``requested`` where the answers had left the image unlabelled: it is asked anew;
- ``requested`` where there was a label is *not* taken for a wish: it is what an old copy of the
  file looks like that a spreadsheet has saved over the new one. The label is put back, with a
  warning.

An answer is never lost on the way: whatever stops this, the next call goes on from the history.
"""

from __future__ import annotations

import sqlite3
import warnings
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.words import counted, verb_for
from usl.data.collection import Collection
from usl.labeling.answers.called_now import former_labels, relabeled
from usl.labeling.answers.class_changes import Names
from usl.labeling.answers.entries import (
    LABEL,
    LABELS,
    SKIP,
    SWEPT_ELSEWHERE,
    UNSURE,
    Answer,
    checked,
)
from usl.labeling.answers.outcomes import UNLABELED, Outcome, outcomes
from usl.labeling.answers.patience import patiently
from usl.labeling.answers.requests import settle_rounds
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync_state import Cell, RowState, announce, confirm, row_states
from usl.run.folder import Run
from usl.run.identity import RunReplacedError, check_identity, kept_as, writing
from usl.run.predictions import read_predictions
from usl.run.split import Split
from usl.run.split_csv import (
    CSV_NAME,
    SWEPT,
    by_people,
    check_unchanged,
    rendered,
    replace_csv,
)

PERSON = CSV_NAME  # who is said to have given what was typed into the split file
SAFE = "The answers are safe in labels.sqlite."


def bring_up_to_date(run: Run) -> None:
    """Sync where there are answers at all; without, not even the split file is read."""
    if store_path(run.path).is_file():
        sync(run)
    else:
        settle_rounds(run, None)


def checked_split(run: Run, collection: Collection) -> Split:
    """The run's split with every answer in it, matched to the collection."""
    bring_up_to_date(run)
    return run.checked_split(collection)


def sync(run: Run, store: Store | None = None) -> Split:
    """Bring store and split file to the same state; returns the split as it is then.

    Several programs may call this at any time, also at once; a second call changes nothing.
    Without ``labels.sqlite`` the split is only read. Rows, their order, weights and the user's own
    columns stay. A row is appended only for an answered image that has none yet, because it was
    added to the collection after the selection.

    Raises
    ------
    DataError : split file or store cannot be read or written.
    RunReplacedError : another run has its place; the answers stay in the store of this one.
    """
    if store is None:
        if not store_path(run.path).is_file():
            settle_rounds(run, None)
            return run.split()
        with Store.open(run.path) as opened:
            return sync(run, opened)
    try:
        settle_rounds(run, store)
        return patiently(run.path, partial(_sync_once, run, store))
    except RunReplacedError as error:
        kept = kept_as(run.path, run.identity)
        if kept is None or not store_path(kept).is_file():
            raise
        raise RunReplacedError(f"{error} The answers are safe in {store_path(kept)}.") from error


def _sync_once(run: Run, store: Store) -> Split:
    """Bring both to the same state.

    Raises :class:`FileChangedError` when the split file changes under our hands, and
    :class:`usl.run.identity.RunReplacedError` when another run has its place: the rows there say
    nothing about the answers of this one.
    """
    rows = Rows(split := run.split())
    check_identity(run.path, run.identity)
    # Others' answers wait for these transactions: what takes long is done outside.
    with store.transaction() as connection:
        check_unchanged(split)
        plan = _plan(run, rows, store, connection)
        announce(connection, plan.known)
    if plan.cells or plan.former:
        split = relabeled(plan.applied_to(split), plan.former)
        with writing(run.path, run.identity):
            content = rendered(split, safe=SAFE)
        with store.transaction() as connection, writing(run.path, run.identity):
            replace_csv(split, content, safe=SAFE)
            confirm(connection, plan.cells)
    for note in plan.notes:
        warnings.warn(note, UslWarning, stacklevel=3)
    return split


class Rows:
    """What a split file says, by image."""

    def __init__(self, split: Split) -> None:
        """Index the rows."""
        self.split = split
        self.people = by_people(split.sources)
        self.of = {name: row for row, name in enumerate(split.ids.tolist())}

    def given(self) -> list[str]:
        """Images that a person has labelled."""
        return [str(name) for name in self.split.ids[self.people]]

    def cell(self, image: str) -> Cell | None:
        """State and label of an image, None without a row; a label no person gave is none.

        The state of a swept label is ``swept``, whatever the file calls it.
        """
        row = self.of.get(image)
        if row is None:
            return None
        if self.people[row]:
            state = SWEPT if self.split.sources[row] == SWEPT else "labeled"
            return state, str(self.split.labels[row])
        return ("unlabeled" if self.by_machine(image) else str(self.split.states[row])), None

    def by_machine(self, image: str) -> bool:
        """Whether it has a label that no person gave."""
        row = self.of.get(image)
        return row is not None and self.split.states[row] == "labeled" and not self.people[row]


@dataclass
class Plan:
    """``cells`` to write into the split file by image, ``added`` images with their subsets.

    ``known`` is what the store has to remember anew, ``notes`` what the user has to know;
    ``former`` the present names of labels that no person gave and that have former ones, by image.
    """

    cells: dict[str, Cell] = field(default_factory=dict)
    added: dict[str, str] = field(default_factory=dict)
    known: dict[str, RowState] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    former: dict[str, str] = field(default_factory=dict)

    def applied_to(self, split: Split) -> Split:
        """The split with the cells written, and rows for the images that had none."""
        split = split.extended(Split.start(list(self.added), list(self.added.values())))
        row_of = {name: row for row, name in enumerate(split.ids.tolist())}
        given = {row_of[image]: cell for image, cell in self.cells.items()}
        bare = {row: state for row, (state, label) in given.items() if label is None}
        for state, source in (("labeled", "human"), (SWEPT, SWEPT)):
            labels = {row: text for row, (told, text) in given.items() if text and told == state}
            weights = split.weights[np.array(list(labels), dtype=np.int64)]
            split = split.with_labels(
                list(labels), list(labels.values()), source=source, weights=weights
            )
        return split.without_labels(list(bare), list(bare.values()))


def _plan(run: Run, rows: Rows, store: Store, connection: sqlite3.Connection) -> Plan:
    """What has to change, after the hand edits have entered the history.

    1. Enter the edits.
    2. See what all answers amount to.
    3. Compare with what the file says.
    """
    former = row_states(connection)
    known = dict(former)
    edits, asked_again, renamed = _edits(rows, known, store.names())
    store.add(edits)
    if names := {edit.label for edit in edits if edit.label} - {c.name for c in store.classes()}:
        store.set_classes([*store.classes(), *sorted(names)])
    found = outcomes(store.history())
    missing = [
        image
        for image, outcome in found.items()
        if outcome.kind == LABEL and image not in rows.of and image not in known
    ]
    plan = Plan(added=_subsets(run, missing))
    for image, outcome in found.items():
        if image not in rows.of and image not in plan.added:
            continue  # its row was deleted: so it shall be
        cell = rows.cell(image) or ("unlabeled", None)
        before = known[image].before if image in known else cell[0]
        wanted = _cell_for(outcome, before)
        if wanted == cell or (wanted[1] is None and rows.by_machine(image)):
            continue
        plan.cells[image] = wanted
        last = known[image].last if image in known else cell
        known[image] = RowState(before, last, wanted)
    if put_back := [image for image in asked_again if image in plan.cells]:
        plan.notes.append(
            f"{rows.split.path}: {counted(n := len(put_back), 'image')} "
            f"{verb_for(n, 'was', 'were')} requested again though answered ({put_back[0]!r} is "
            f"one); {verb_for(n, 'its answer was', 'their answers were')} put back. To withdraw a "
            "label for good, set the state to unlabeled."
        )
    if put_back := [image for image in renamed if image in plan.cells]:
        given, now = renamed[put_back[0]]
        plan.notes.append(
            f"{rows.split.path}: {len(put_back)} images have a former name of a class "
            f"({put_back[0]!r} has {given!r}, which was renamed to {now!r}); they got the new one. "
            "To have the old one as a class of its own, add it on the page first."
        )
    if lost := len(missing) - len(plan.added):
        plan.notes.append(
            f"{store.path}: {counted(lost, 'answered image')} {verb_for(lost, 'is', 'are')} not "
            f"in {CSV_NAME} and not among the predictions; "
            f"{verb_for(lost, 'its label is', 'their labels are')} kept, but not used. Add "
            f"{verb_for(lost, 'a row for it', 'rows for them')}."
        )
    plan.former = former_labels(rows.split, store.names())
    plan.known = {image: told for image, told in known.items() if told != former.get(image)}
    return plan


def _cell_for(outcome: Outcome, before: str) -> Cell:
    """What the split file should say of an image with these answers."""
    if outcome.kind == LABEL:
        return (SWEPT if outcome.swept else "labeled"), outcome.label
    return ("unlabeled" if outcome.kind == UNLABELED else before), None


def _edits(
    rows: Rows, known: dict[str, RowState], names: Names
) -> tuple[list[Answer], list[str], dict[str, tuple[str, str]]]:
    """Answers for what a person changed in the file, and images that are requested once more.

    Also those whose label is a former name of a class, with that and the present one. In the order
    of the rows. ``known`` is brought up to what the file says.
    """
    edits: list[Answer] = []
    asked_again: list[str] = []
    renamed: dict[str, tuple[str, str]] = {}
    looked_at = {image for image in known if image in rows.of} | set(rows.given())
    for image in sorted(looked_at, key=rows.of.__getitem__):
        told, cell = known.get(image), rows.cell(image)
        assert cell is not None
        state, label = cell
        before = "unlabeled"
        if told is not None:
            if cell in (told.last, told.coming):
                known[image] = RowState(told.before, cell)
                continue
            if rows.by_machine(image):
                continue  # never an edit by hand
            if state == "requested" and told.last[1] is not None:
                asked_again.append(image)
                continue
            before = state if state == "requested" else told.before
        if label is not None and (called := names.present(label)) != label:
            renamed[image] = (label, called)
            label = called
            if told is not None and told.last == (state, label):
                continue  # an old copy of the file
        # One that the file has always called swept; another label in its place is typed by hand.
        swept = state == SWEPT and (told is None or told.last[1] in (None, label))
        edit = Answer(
            image,
            LABEL if label is not None else SKIP if state == "requested" else UNSURE,
            label,
            annotator=PERSON,
            round=SWEPT_ELSEWHERE if swept else LABELS,
            final=not swept,
        )
        try:
            edits.append(checked(edit))
        except UsageError as error:
            raise DataError(f"{rows.split.where(rows.of[image])}: {error}") from error
        known[image] = RowState(before, cell)
    return edits, asked_again, renamed


def _subsets(run: Run, images: list[str]) -> dict[str, str]:
    """The subsets of those images that the model has labelled."""
    found = read_predictions(run.path) if images else None
    if found is None:
        return {}
    subset_of = dict(zip(found.ids.tolist(), found.subsets.tolist(), strict=True))
    return {image: subset_of[image] for image in images if image in subset_of}
