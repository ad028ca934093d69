"""Ask for the images of a new round, and take such a request back; all of it or nothing.

A round counts from the moment its folder is there, or is marked as withdrawn. What follows, the
rows of the split file and what the store remembers of them, is finished by the next command if this
one is killed: every verb brings answers and split file to the same state first, and that begins
here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from usl.core.errors import UsageError
from usl.core.words import counted, verb_for
from usl.labeling.answers.outcomes import OPEN, outcomes
from usl.labeling.answers.patience import patiently
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync_state import RowState, announce, confirm, row_states
from usl.run.folder import Run
from usl.run.identity import writing
from usl.run.requests import with_requests, without_requests
from usl.run.rounds import (
    COMING,
    WITHDRAWN,
    SelectionRound,
    add_round,
    mark_round,
    settle_marker,
    unsettled_rounds,
)
from usl.run.split_csv import by_people, rendered, replace_csv

if TYPE_CHECKING:
    import pyarrow as pa


class RoundAddedError(Exception):
    """Another command has added or withdrawn a round meanwhile; nothing was written."""


def request_round(
    run: Run,
    table: pa.Table,
    info: Mapping[str, Any],
    *,
    before: pa.Table,
    since: list[int],
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> SelectionRound:
    """Add a round to a run, and its images to the requests of the split file.

    Parameters
    ----------
    table : its picks with ids, best first.
    info, before : its record and what images were called before it: :mod:`usl.run.rounds`.
    since : the numbers of the rounds that there were when it was chosen.
    files : what else its folder is to hold, by name.

    Raises
    ------
    RoundAddedError : there are others by now; choose anew.
    RunReplacedError : another run has its place.
    """
    with writing(run.path, run.identity):
        if [one.number for one in run.rounds()] != since:
            raise RoundAddedError
        made = add_round(run.path, table, info, before=before, files=files, coming=True)
    settle_rounds(run)
    return made


def withdraw_round(run: Run) -> SelectionRound:
    """Take the last round back, while none of its images is answered.

    Raises
    ------
    UsageError : there is no round after the first, or somebody has answered.
    """
    settle_rounds(run)
    with ExitStack() as held:
        answered: set[str] = set()
        if store_path(run.path).is_file():
            store = held.enter_context(Store.open(run.path))
            held.enter_context(store.transaction())  # no answer comes in between
            found = outcomes(store.history())
            answered = {name for name, one in found.items() if one.kind != OPEN}
        held.enter_context(writing(run.path, run.identity))
        last = run.rounds()[-1]
        if last.number == 0:
            raise UsageError(
                f"undo: {run.path} has no round after the first selection. To begin anew: usl "
                "select SOURCE --out RUN --overwrite."
            )
        split = run.split()
        answered |= set(split.ids[by_people(split.sources)].tolist())
        mine = last.ids()
        if taken := [name for name in mine if name in answered]:
            raise UsageError(
                f"undo: {len(taken):,} of the {counted(len(mine), 'image')} of round {last.number} "
                f"{verb_for(len(taken), 'is', 'are')} answered ({taken[0]!r} is one), so it stays. "
                f"To stop asking for one, set its state to unlabeled in {run.path / 'split.csv'}."
            )
        mark_round(last, WITHDRAWN)
    settle_rounds(run)
    return last


def settle_rounds(run: Run, store: Store | None = None) -> None:
    """Write the requests of rounds that are marked, which a killed command has left unwritten."""
    if not unsettled_rounds(run.path):
        return
    if store is None and store_path(run.path).is_file():
        with Store.open(run.path) as opened:
            settle_rounds(run, opened)
        return
    for made, marker in unsettled_rounds(run.path):
        patiently(run.path, partial(_settle, run, store, made, marker))


def _settle(run: Run, store: Store | None, made: SelectionRound, marker: str) -> None:
    """Bring the rows of a round's images to what its marker says, then remove the marker."""
    split, ids = run.split(), made.ids()
    earlier = {name for one in run.rounds() if one.number < made.number for name in one.ids()}
    if marker == COMING:
        wanted, state = with_requests(split, ids, earlier), "requested"
    else:
        wanted, state = without_requests(split, ids), "unlabeled"
    there = wanted.ids[wanted.states == state].tolist()
    cells = dict.fromkeys(sorted({*ids} & {*there}), (state, None))
    if store is not None:
        with store.transaction() as connection:
            cells = _announced(connection, cells)
    with ExitStack() as held:
        if wanted is not split:
            with writing(run.path, run.identity):
                content = rendered(wanted)
        told = held.enter_context(store.transaction()) if store is not None else None
        held.enter_context(writing(run.path, run.identity))
        if wanted is not split:
            replace_csv(wanted, content)
        if told is not None:
            confirm(told, cells)
        settle_marker(made, marker)


def _announced(
    connection: sqlite3.Connection, cells: Mapping[str, tuple[str, None]]
) -> dict[str, tuple[str, None]]:
    """Tell the store what is coming of the rows that it knows; those."""
    known = row_states(connection)
    told = {image: cell for image, cell in cells.items() if image in known}
    coming = {
        image: RowState(cell[0], known[image].last, cell)
        for image, cell in told.items()
        if known[image].last[1] is None
    }
    announce(connection, coming)
    return {image: cells[image] for image in coming}
