"""Match imported labels with the images of a run, and weigh them against the labels it has.

1. Names become rows of the split; what is unknown is listed.
2. Of one annotator's answers to an image the latest counts; several annotators are settled as
   everywhere else (:mod:`usl.labeling.answers.outcomes`).
3. A label that a person has given stands: one that differs is a conflict, unless it may overwrite.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from usl.labeling.answers.entries import LABEL, LONGEST, Answer
from usl.labeling.answers.outcomes import outcome
from usl.labeling.exchange.contract import Given
from usl.labeling.exchange.names import Finder
from usl.run.split import Split


@dataclass(frozen=True)
class Unknown:
    """An entry whose image the run does not have."""

    where: str
    image: str


@dataclass(frozen=True)
class Conflict:
    """An image on which the file and the run, or the file's own answers, differ.

    ``given`` are the file's labels, ``existing`` the run's, or None.
    """

    image_id: str
    where: str
    given: tuple[str, ...]
    existing: str | None = None


@dataclass
class Matched:
    """The entries by row of the split; ``skipped`` counts those without an answer by reason."""

    rows: dict[int, list[Given]] = field(default_factory=dict)
    unknown: list[Unknown] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    known: int = 0


@dataclass
class Verdict:
    """What is to be done: ``labels`` by row, new ones and ``replaced`` ones alike.

    ``answers`` are all that may enter the history; ``unchanged`` rows have their label already.
    """

    labels: dict[int, str] = field(default_factory=dict)
    replaced: set[int] = field(default_factory=set)
    unchanged: list[int] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    wheres: dict[int, str] = field(default_factory=dict)


def match(given: Iterable[Given], finder: Finder) -> Matched:
    """Find the image of every entry."""
    found = Matched()
    for entry in given:
        row = finder.file(entry.image) if entry.is_file else finder.id(entry.image)
        if row is None and entry.also:
            row = finder.file(entry.also)
        if row is None:
            found.unknown.append(Unknown(entry.where, entry.image))
            continue
        found.known += 1
        if entry.label is None:
            found.skipped[entry.why] = found.skipped.get(entry.why, 0) + 1
        else:
            found.rows.setdefault(row, []).append(entry)
    return found


def weigh(
    found: Matched, split: Split, *, annotator: str | None, tool: str, overwrite: bool
) -> Verdict:
    """Decide on every image; nothing is written here.

    Parameters
    ----------
    annotator : who gave all the answers; None: whoever the file names, else ``tool``.
    overwrite : take labels that differ from those a person has given.
    """
    verdict = Verdict()
    for row, entries in found.rows.items():
        word, label = str(split.ids[row]), split.labels[row]
        existing = label if split.sources[row] == "human" else None
        said = _by_annotator(entries, annotator, tool)
        votes = [
            Answer(word, LABEL, text, name, seconds=entry.seconds)
            for name, latest in said.items()
            for text, entry in latest.items()
        ]
        settled = outcome(votes).label if all(len(one) == 1 for one in said.values()) else None
        verdict.wheres[row] = entries[-1].where
        if settled is not None and existing is not None and tidy_label(existing) == settled:
            verdict.unchanged.append(row)
        elif settled is not None and (existing is None or overwrite):
            verdict.labels[row] = settled
            if existing is not None:
                verdict.replaced.add(row)
        else:
            labels = tuple(dict.fromkeys(vote.label or "" for vote in votes))
            verdict.conflicts.append(Conflict(word, entries[-1].where, labels, existing))
            if existing is not None or any(len(one) > 1 for one in said.values()):
                continue
        verdict.answers += votes
        if row in verdict.replaced:
            last = next(vote for vote in votes if vote.label == settled)
            verdict.answers.append(Answer(word, LABEL, settled, last.annotator, final=True))
    return verdict


def tidy_label(label: str) -> str:
    """The label as the store keeps it: Unicode NFC, no blanks around."""
    return unicodedata.normalize("NFC", label).strip()


def _by_annotator(
    entries: Sequence[Given], annotator: str | None, tool: str
) -> dict[str, dict[str, Given]]:
    """For each annotator the labels of the latest time: one, or several that contradict."""
    said: dict[str, list[Given]] = {}
    for entry in entries:
        name = annotator or entry.annotator.strip()[: LONGEST["annotator"]].strip() or tool
        said.setdefault(name, []).append(entry)
    latest = {}
    for name, own in said.items():
        newest = max(entry.time for entry in own)
        latest[name] = {
            tidy_label(entry.label or ""): entry for entry in own if entry.time == newest
        }
    return latest
