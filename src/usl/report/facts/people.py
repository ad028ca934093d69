"""What annotators answered, for the report: agreement, conflicts, the outcome of an audit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from usl.core.errors import DataError
from usl.labeling.answers.audit import accuracy_of_collection
from usl.labeling.answers.entries import SKIP, is_swept
from usl.labeling.answers.live import given_live
from usl.labeling.answers.outcomes import (
    CONFLICT,
    UNLABELED,
    Agreement,
    Outcome,
    agreement,
    bad_images,
    conflicts,
    current,
    outcomes,
)
from usl.labeling.answers.store import Store, store_path
from usl.run.folder import Run
from usl.run.split import Split


@dataclass(frozen=True)
class People:
    """What the store of answers says: ``audit`` is an audit's outcome, None without one.

    ``answers`` counts images by annotator, edits of the split file by hand and sweeps apart;
    ``swept`` are the images whose label was confirmed by sweep alone; ``conflicts`` and ``bad`` are
    image ids. ``undecided`` tells what was said of images that people were asked about and that
    have no label for it. ``live`` counts the answers given live, by whether the model's class was
    on show.
    """

    audit: dict[str, Any] | None
    agreement: Agreement | None
    answers: dict[str, int]
    conflicts: tuple[str, ...]
    bad: tuple[str, ...]
    undecided: dict[str, str]
    swept: int
    live: dict[bool, int]


def read_people(run: Run, split: Split, notes: list[str]) -> People | None:
    """Read the store of a run; None without one, or, with a note, if it cannot be read."""
    if not store_path(run.path).is_file():
        return None
    try:
        with Store.open(run.path) as store:
            history = store.history()
            audit = accuracy_of_collection(run, split, store)
            live = given_live(store)
    except DataError as error:
        notes.append(f"What people answered is not shown. {error}")
        return None
    found = outcomes(history)
    bad = [*bad_images(found), *bad_images(outcomes(history, audit=True))]
    now = current(history).values()
    given = [one.annotator for one in now if one.kind != SKIP and not is_swept(one.round)]
    return People(
        audit=audit,
        agreement=agreement(history),
        answers=dict(Counter(given).most_common()),
        conflicts=tuple(conflicts(found)),
        bad=tuple(dict.fromkeys(bad)),
        undecided={name: words for name, one in found.items() if (words := undecided(one))},
        swept=sum(one.swept for one in found.values()),
        live=live,
    )


def undecided(found: Outcome) -> str:
    """What people said of an image that has no label for it; nothing before anybody has."""
    if found.kind == CONFLICT:
        return "answers differ"
    if found.kind == UNLABELED:
        return "answered: bad image" if found.bad else "answered: cannot tell"
    return ""
