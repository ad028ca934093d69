"""Match imported labels with the images of a run, and weigh them against the labels it has.

1. Names become rows of the split; what is unknown is listed, with the nearest there is.
2. Of one annotator's answers to an image the latest counts; where that cannot be told, and they
   differ, it is a conflict. Several annotators are settled as everywhere else
   (:mod:`usl.labeling.answers.outcomes`).
3. A label that a person has given stands: one that differs is a conflict, unless it may overwrite.
   A swept label does not stand against one that somebody has given to the image itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from usl.core.errors import DataError
from usl.core.words import counted, verb_for
from usl.labeling.answers.class_changes import folded
from usl.labeling.answers.entries import LABEL, LABELS, LONGEST, SWEPT_ELSEWHERE, Answer
from usl.labeling.answers.outcomes import outcome
from usl.labeling.exchange.contract import Given
from usl.labeling.exchange.names import Finder
from usl.labeling.exchange.times import Times
from usl.run.split import Split
from usl.run.split_csv import SWEPT, by_people

EXPLAINED = 20  # names of which the nearest is looked for: that takes a while


@dataclass(frozen=True)
class Unknown:
    """An entry whose image the run does not have, or cannot tell; ``why`` says the nearest."""

    where: str
    image: str
    why: str = ""

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.where}: {self.image}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Conflict:
    """An image on which the file and the run, or the file's own answers, differ.

    ``given`` are the file's labels, ``existing`` the run's, or None; ``people`` says how many
    annotators gave them.
    """

    image_id: str
    where: str
    given: tuple[str, ...]
    existing: str | None = None
    people: int = 1

    def __str__(self) -> str:
        """One line for a person."""
        said = " and ".join(map(repr, self.given))
        if self.existing is not None:
            return f"{self.where}: {self.image_id} is {self.existing!r}, the file says {said}"
        listed = f"({', '.join(self.given)})"
        if len(self.given) < 2:
            return f"{self.where}: {self.image_id}: others have given it another label {listed}"
        if self.people > 1:
            return f"{self.where}: {self.image_id}: the annotators disagree {listed}"
        return f"{self.where}: {self.image_id}: two answers, and none is known to be later {listed}"


@dataclass
class Matched:
    """The entries by row of the split; ``skipped`` counts those without an answer by reason.

    ``notes`` say how names were understood that are no image's own.
    """

    rows: dict[int, list[Given]] = field(default_factory=dict)
    unknown: list[Unknown] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    known: int = 0


@dataclass
class Verdict:
    """What is to be done: ``labels`` by row, new ones and ``replaced`` ones alike.

    ``answers`` are all that may enter the history; ``unchanged`` rows have their label already.
    ``swept`` are the rows whose new label the file calls swept.
    """

    labels: dict[int, str] = field(default_factory=dict)
    replaced: set[int] = field(default_factory=set)
    swept: set[int] = field(default_factory=set)
    unchanged: list[int] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    wheres: dict[int, str] = field(default_factory=dict)


def match(given: Iterable[Given], finder: Finder) -> Matched:
    """Find the image of every entry.

    1. By its id, or the name of its file; where it has both, see :func:`rows_by_id`.
    2. By the end of its path, where all such paths have one folder above the id in common.

    Raises :class:`DataError` where an id and a file name are of two images.
    """
    found = Matched()
    entries = list(given)
    rows = rows_by_id(entries, finder, found.notes)
    for entry, row in zip(entries, rows, strict=True):
        if row is None:
            name = entry.image if entry.is_file or not entry.also else entry.also
            why = _reason(name, finder) if len(found.unknown) < EXPLAINED else ""
            found.unknown.append(Unknown(entry.where, entry.image or name, why))
            continue
        found.known += 1
        if entry.label is None:
            found.skipped[entry.why] = found.skipped.get(entry.why, 0) + 1
        else:
            found.rows.setdefault(row, []).append(entry)
    return found


def rows_by_id(entries: Sequence[Given], finder: Finder, notes: list[str]) -> list[int | None]:
    """The row of each entry, by its id and its file.

    Numbers beside file names may be of another numbering, as rows of another table: they count
    only where no file name leads anywhere, and the run knows no files.
    """
    rows = [_file(entry, finder) for entry in entries]
    guided = any(row is not None for row in rows) or finder.has_files()
    strangers = []
    for place, entry in enumerate(entries):
        if entry.number:
            row = finder.id(entry.number)
            if row is not None and guided and row != rows[place]:
                strangers.append(entry.where)
            elif not guided or not entry.image:
                rows[place] = row
        elif not entry.is_file and entry.image:
            row, other = _id(entry.image, finder, loose=rows[place] is None), rows[place]
            if row is not None and other is not None and row != other:
                raise DataError(
                    f"{entry.where}: {entry.image!r} and {entry.also!r} are two images of the run. "
                    "Correct the row, or remove the column that is wrong."
                )
            rows[place] = other if row is None else row
    if strangers:
        notes.append(
            f"{strangers[0]}: the numbers beside the file names are not the ids of this run; "
            "entries were matched by file name."
        )
    return _by_end(entries, rows, finder, notes)


def _id(word: str, finder: Finder, *, loose: bool) -> int | None:
    """The row of an id; ``loose``: also one without its ending, or the name of a file."""
    row = finder.id(word)
    if row is None and loose:
        row = finder.stem(word)
        row = finder.id(word.removesuffix(".0")) if row is None else row  # pandas' numbers
        row = finder.file(word) if row is None else row
    return row


def _file(entry: Given, finder: Finder) -> int | None:
    """The row of an entry's file name, where it has one."""
    names = (entry.image, entry.also) if entry.is_file else (entry.also,)
    return next((row for n in names if n and (row := finder.file(n)) is not None), None)


def _by_end(
    entries: Sequence[Given], rows: list[int | None], finder: Finder, notes: list[str]
) -> list[int | None]:
    """Rows for those that have none, by the end of their path; see :meth:`Finder.by_end`."""
    ends = {}
    for place, row in enumerate(rows):
        if row is None:
            for name in (entries[place].image, entries[place].also):
                if (end := finder.by_end(name) if name else None) is not None:
                    ends[place] = (name, *end)
                    break
    folders = {folder.lower() for _, _, folder in ends.values()}
    own = {place for place, (_, row, folder) in ends.items() if folder == finder.home(row)}
    taken = own or (set(ends) if len(folders) == 1 else set())
    if taken:
        name, row, _ = ends[min(taken)]
        notes.append(
            f"{counted(n := len(taken), 'image')} {verb_for(n, 'was', 'were')} told by the end of "
            f"{verb_for(n, 'its', 'their')} path: {name!r} is taken for {finder.name(row)!r}."
        )
    return [ends[place][1] if place in taken else row for place, row in enumerate(rows)]


def _reason(name: str, finder: Finder) -> str:
    """Why a name leads to no image."""
    if finder.by_end(name) is not None:
        return "a file of that name is there, but in another folder, and paths here have several"
    return finder.reason(name)


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
    times = Times(entry.time for entries in found.rows.values() for entry in entries)
    people = by_people(split.sources)
    for row, entries in found.rows.items():
        word, label = str(split.ids[row]), split.labels[row]
        existing = label if people[row] else None
        glanced = split.sources[row] == SWEPT  # by what the run has
        swept = existing is None and all(entry.swept for entry in entries)
        where = SWEPT_ELSEWHERE if swept else LABELS
        said = _by_annotator(entries, annotator, tool, times)
        votes = [
            Answer(word, LABEL, text, name, where, seconds=entry.seconds)
            for name, latest in said.items()
            for text, entry in latest.items()
        ]
        settled = outcome(votes).label if all(len(one) == 1 for one in said.values()) else None
        verdict.wheres[row] = entries[-1].where
        if settled is not None and existing is not None and tidy_label(existing) == settled:
            verdict.unchanged.append(row)
            if glanced:
                continue  # nobody need have looked at it since
        elif settled is not None and (existing is None or glanced or overwrite):
            verdict.labels[row] = settled
            verdict.swept |= {row} if swept else set()
            if existing is not None:
                verdict.replaced.add(row)
        else:
            labels = tuple(dict.fromkeys(vote.label or "" for vote in votes))
            verdict.conflicts.append(Conflict(word, entries[-1].where, labels, existing, len(said)))
            if existing is not None or any(len(one) > 1 for one in said.values()):
                continue
        verdict.answers += votes
        if row in verdict.replaced and not glanced:
            last = next(vote for vote in votes if vote.label == settled)
            verdict.answers.append(Answer(word, LABEL, settled, last.annotator, final=True))
    return verdict


def tidy_label(label: str) -> str:
    """The label as the store keeps it: Unicode NFC, no blanks around."""
    return unicodedata.normalize("NFC", label).strip()


def alike(new: Iterable[str], known: Iterable[str]) -> list[list[str]]:
    """Names of classes that differ in case, blanks or Unicode form alone; with a new one each."""
    groups: dict[str, set[str]] = {}
    fresh = set(new)
    for name in fresh.union(known):
        groups.setdefault(folded(name), set()).add(name)
    return sorted(sorted(names) for names in groups.values() if len(names) > 1 and names & fresh)


def alike_note(names: Sequence[str]) -> str:
    """What a person should know of classes that are nearly alike."""
    return (
        f"The classes {', '.join(map(repr, names))} differ in case, blanks or the form of letters "
        "alone. They count as several; if they are one, merge them on the labelling page, or "
        "correct the file and import it once more with --overwrite."
    )


def _by_annotator(
    entries: Sequence[Given], annotator: str | None, tool: str, times: Times
) -> dict[str, dict[str, Given]]:
    """For each annotator the labels of the latest time: one, or several that contradict."""
    said: dict[str, list[Given]] = {}
    for entry in entries:
        name = annotator or entry.annotator.strip()[: LONGEST["annotator"]].strip() or tool
        said.setdefault(name, []).append(entry)
    return {
        name: {
            tidy_label(own[place].label or ""): own[place]
            for place in times.latest([entry.time for entry in own])
        }
        for name, own in said.items()
    }
