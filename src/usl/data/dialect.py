"""How a delimited text is written: what stands before the header, the delimiter, the header.

In the order in which it is told: empty rows, ``sep=;`` and rows that begin with ``#`` are passed
over; the delimiter is the one named by ``sep=``, else the one that makes most cells of the first
row; that row is the header unless all its cells are numbers. ``0, 1, 2, ...`` from 0, as pandas
names columns without a name, is a header.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from usl.core.errors import DataError
from usl.data.columns import COLUMN_NAMES, find_column, is_number

DELIMITERS = (",", ";", "\t")
HEAD = 1 << 20  # characters in which the header must lie
LINE = re.compile(r"[^\r\n]*(\r\n|\n|\r|$)")
SEPARATOR = re.compile(r"\"?sep=(.)\"?", re.I)


@dataclass(frozen=True)
class Dialect:
    """How one text is written.

    Attributes
    ----------
    names : of the columns, trimmed; ``0, 1, ...`` where there is no header.
    delimiter : one character.
    start : where in the text the first row begins, the header if there is one.
    passed : rows before it.
    headed : whether it is a header.
    """

    names: list[str]
    delimiter: str
    start: int
    passed: int
    headed: bool


def dialect(text: str, path: Path) -> Dialect:
    """Tell how ``text`` is written, from its beginning.

    Raises
    ------
    DataError
        a quote that is opened in the first row and never closed; a first row of names and numbers,
        which is no header and, without one, no table.
    """
    start, passed, delimiter, comment = _first_row(text)
    head = text[start : start + HEAD]
    found = {d: _cells(head, d, path, passed) for d in ([delimiter] if delimiter else DELIMITERS)}
    delimiter = max(found, key=lambda d: len(found[d]))
    names = [name.strip() for name in found[delimiter]]
    words = names[0].split() if len(names) == 1 else []
    if len(words) > 1 and all(map(is_number, words)):
        raise DataError(
            f"{path}, row {passed + 1}: numbers with blanks between them. Put commas there: "
            "numpy.savetxt(..., delimiter=',')."
        )
    above = [name.strip() for name in _cells(comment, delimiter, path, passed)] if comment else []
    if len(above) == len(names) and _names_these(above, names):
        return Dialect(above, delimiter, start, passed, headed=False)
    if _counts_from_0(names) or not any(map(is_number, names)):
        return Dialect(names, delimiter, start, passed, headed=True)
    if all(map(is_number, names)):
        return Dialect([str(i) for i in range(len(names))], delimiter, start, passed, headed=False)
    if _may_be_header(names):
        return Dialect(names, delimiter, start, passed, headed=True)
    raise DataError(
        f"{path}, row {passed + 1}: it holds numbers ({_first_number(names)!r}), so a header is "
        "missing. Put the columns' names into the first row: image_id,f0,f1,... for features, "
        "path,label for a list of images."
    )


def rows_of(text: str, delimiter: str, *, strict: bool = False) -> Iterator[list[str]]:
    """The rows of a text, cells of any size; blanks before a quote do not count."""
    csv.field_size_limit(2**31 - 1)
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)


def with_newlines(text: str) -> str:
    """The text with line ends that are read everywhere, where it has those of old Macs alone."""
    return text if "\n" in text else text.replace("\r", "\n")


def is_open(text: str, delimiter: str) -> bool:
    """Whether a quote is opened somewhere and never closed."""
    try:
        for _ in rows_of(text, delimiter, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _first_row(text: str) -> tuple[int, int, str, str]:
    """Where the first row begins, how many are passed over, ``sep=``'s character, last comment."""
    at, passed, delimiter, comment = 0, 0, "", ""
    while at < len(text):
        found = LINE.match(text, at)
        assert found is not None
        line = found[0].strip("\r\n")
        separator = SEPARATOR.fullmatch(line.strip(" ;,"))
        if separator is None and line.strip() in ("sep=,", "sep=;"):
            separator = SEPARATOR.fullmatch(line.strip())
        if separator:
            delimiter, comment = separator[1], ""
        elif line.startswith("#"):
            comment = line.lstrip("# ")
        elif line.strip(" \t;,"):
            break
        at, passed = found.end(), passed + 1
    return at, passed, delimiter, comment


def _cells(head: str, delimiter: str, path: Path, passed: int) -> list[str]:
    """The cells of the first row."""
    try:
        return list(next(rows_of(head, delimiter, strict=True), []))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise DataError(
                f"{path}, row {passed + 1}: a quote is opened and never closed: {head[:60]!r}. "
                "Close it, or remove it."
            ) from None
        return list(next(rows_of(head, delimiter), []))


def _counts_from_0(names: list[str]) -> bool:
    """Whether the names are 0, 1, 2, ..., after an index without a name perhaps."""
    counted = names[1:] if names and not names[0] else names
    return bool(counted) and counted == [str(number) for number in range(len(counted))]


def _names_these(above: list[str], row: list[str]) -> bool:
    """Whether a comment is the header of the row below it: as NumPy writes one."""
    if any(map(is_number, above)) or not all(above):
        return False
    if any(map(is_number, row)) and not _counts_from_0(row):
        return True
    return _has_role(above) and not _has_role(row)


def _has_role(names: list[str]) -> bool:
    return any(find_column(names, role) is not None for role in COLUMN_NAMES)


def _may_be_header(names: list[str]) -> bool:
    """Whether numbers among the names can be names: a known one beside them, or one whole one."""
    numbers = [name for name in names if is_number(name)]
    known = any(find_column(names, role) is not None for role in ("path", "id", "label"))
    counted = sorted(numbers, key=float) in (
        [str(number) for number in range(first, first + len(numbers))] for first in (0, 1)
    )
    return known or counted or (len(numbers) == 1 and numbers[0].isdigit())


def _first_number(names: list[str]) -> str:
    return next(name for name in names if is_number(name))
