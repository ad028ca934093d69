"""Which column of a table of answers holds what: the image, the label, who, when.

A table that Label Studio writes (CSV, and JSON-MIN, which is the same as a list) has its own
numbers: ``id`` is the task's, ``annotation_id`` the answer's. The picture is under any key of the
task's data, the answer under the name of any control of the labelling interface.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from usl.core.errors import DataError
from usl.data.columns import COLUMN_NAMES, find_column
from usl.labeling.exchange.addresses import is_picture

STUDIO = ("annotation_id", "lead_time")  # nobody else's
TASK = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}
TASK |= {"history", "completed_by", "image_id", "subset", "rank", "score"}  # the last: our own
CHOICE = "choice"  # the control of Label Studio's own template
PEOPLE = ("annotator", "annotator_id", "completed_by", "labeler", "labeller", "worker_id", "user")
TIMES = ("updated_at", "created_at", "annotated_at", "labeled_at", "timestamp", "datetime", "time")
DATES = ("date", "modified")
SECONDS = ("lead_time", "seconds", "duration")
INDEX = re.compile(r"unnamed: ?\d+|index|level_\d+|__index_level_\d+__|")  # of pandas
ZERO, ONE = {"", "0", "0.0", "false", "none", "nan"}, {"1", "1.0", "true"}


@dataclass(frozen=True)
class Roles:
    """The columns by what they hold, None for what is not there.

    ``classes`` are the columns of a table with one for each class, and 1 in that of the image;
    ``studio`` says that Label Studio has written it.
    """

    id: str | None = None
    path: str | None = None
    label: str | None = None
    classes: list[str] = field(default_factory=list)
    people: str | None = None
    seconds: str | None = None
    times: list[str] = field(default_factory=list)
    studio: bool = False


def roles_of(columns: Mapping[str, Sequence[Any]], name: str) -> Roles:
    """What the columns of the table called ``name`` hold.

    Raises
    ------
    DataError
        no column names the image, or none, or several, may hold the answer; says what is nearest.
    """
    names = list(columns)
    spelled = {word.strip().lower(): word for word in names}
    studio = is_studio(names)
    path = _picture(columns) if studio else find_column(names, "path")
    found = spelled.get("image_id") if studio else find_column(names, "id")
    found = None if found == path else found
    if found is None and path is None:
        raise DataError(_needs(name, names))
    label = find_column(names, "label")
    classes: list[str] = []
    if studio and (label is None or CHOICE in names):
        label = _control(columns, path, name)
    elif label is None:
        classes = _classes(columns, {found, path})
    if label is None and not classes:
        raise DataError(_needs(name, names))
    return Roles(
        id=found,
        path=path,
        label=label,
        classes=classes,
        people=next((spelled[word] for word in PEOPLE if word in spelled), None),
        seconds=next((spelled[word] for word in SECONDS if word in spelled), None),
        times=[spelled[word] for word in (*TIMES, *DATES) if word in spelled],
        studio=studio,
    )


def is_studio(names: Sequence[str]) -> bool:
    """Whether the names are those of a table that Label Studio has written."""
    words = {word.strip().lower() for word in names}
    if STUDIO[0] in words:
        return True
    old = not find_column(names, "label") and "image_id" not in words  # before it wrote the former
    return {"id", "annotator"} <= words and (old or STUDIO[1] in words)


def chosen_class(row: Mapping[str, Any]) -> list[str]:
    """The columns of classes in which a row has 1."""
    return [name.strip() for name, value in row.items() if _word(value) in ONE]


def _picture(columns: Mapping[str, Sequence[Any]]) -> str | None:
    """The column of pictures of Label Studio's table, under whatever name."""
    known = find_column([name for name in columns if name not in TASK], "path")
    if known is not None and any(map(is_picture, columns[known])):
        return known
    for name, values in columns.items():
        given = [value for value in values if value not in (None, "")]
        if name.lower() not in TASK and given and all(map(is_picture, given)):
            return name
    return known


def _control(columns: Mapping[str, Sequence[Any]], path: str | None, name: str) -> str | None:
    """The column of answers of Label Studio's table, under the name of whatever control.

    Numbers are no choices, but where nothing else is there.
    """
    known = {CHOICE, find_column(columns, "label")} - {None}
    own = [
        one
        for one in columns
        if one.lower() not in TASK
        and one != path
        and not one.startswith("_data_")
        and not one.endswith("_transcript")
        and not any(map(is_picture, columns[one]))
    ]
    if len(known & set(own)) == 1:
        return (known & set(own)).pop()
    words = [one for one in own if any(map(_is_word, columns[one]))] or own
    if len(words) > 1:
        raise DataError(
            f"{name}: the answer may be in the column {' or '.join(map(repr, words[:6]))}. Rename "
            "the right one to label, or remove the others."
        )
    return words[0] if words else None


def _classes(columns: Mapping[str, Sequence[Any]], names: set[str | None]) -> list[str]:
    """The columns that hold nothing but 0 and 1, at least two, if all but known ones do."""
    known = {*PEOPLE, *TIMES, *DATES, *SECONDS, "source", "width", "height", "weight", "state"}
    known |= {"rank", "score"}
    own = [
        one
        for one in columns
        if one not in names
        and one.strip().lower() not in known
        and not INDEX.fullmatch(one.strip().lower())
        and not any(find_column([one], role) for role in ("id", "path", "subset"))
    ]
    plain = all(_word(value) in ZERO | ONE for one in own for value in columns[one])
    used = any(_word(value) in ONE for one in own for value in columns[one])
    return own if len(own) > 1 and plain and used else []


def _needs(name: str, names: Sequence[str]) -> str:
    """What a table needs, what it has, and what comes nearest."""
    return (
        f"{name}: needs a column image_id (or path, file_name) and a column label; it "
        f"has {', '.join(names) or 'none'}.{nearest(names)}"
    )


def nearest(names: Sequence[str]) -> str:
    """The column that is nearly called as one that is missing, "" if none is."""
    missing = [role for role in ("label", "id", "path") if find_column(names, role) is None]
    for role in missing:
        for one in filter(None, names):
            if near := difflib.get_close_matches(one.lower(), COLUMN_NAMES[role], 1, cutoff=0.6):
                return f" Did you mean {near[0]!r} by {one!r}?"
    return ""


def _is_word(value: Any) -> bool:
    """Whether a value may be a choice: text that is no number, or what Label Studio packs."""
    if isinstance(value, (list, dict)):
        return True
    text = value.strip() if isinstance(value, str) else ""
    return bool(text) and re.fullmatch(r"[-+\d.,eE]+", text) is None


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip().lower()
