"""Texts that a spreadsheet would run as a formula: written with an apostrophe before, read without.

A cell of CSV that begins with one of ``= + - @``, their full-width forms, a tab or a line end is a
formula to a spreadsheet (OWASP, "CSV Injection"), and labels and file names may be anybody's. Such
a text is written with one apostrophe more before it, and our readers take one away. What begins
with apostrophes and then such a character gets one more as well, so that every text comes back as
it was. A plain number, as ``-1.5``, is a number to a spreadsheet, too, and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# Blanks before the sign do not protect: programs strip them when they open a file.
BEGINNING = "(?:[ \u00a0]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])"
NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run the text."""
    return bool(re.match(BEGINNING, text)) and not re.fullmatch(NUMBER, text)


def guarded(text: str) -> str:
    """The text as it is written."""
    marked = re.match(f"'*{BEGINNING}", text) and not re.fullmatch(NUMBER, text)
    return f"'{text}" if marked else text


def unguarded(text: str) -> str:
    """The text that was written."""
    return text[1:] if re.match(f"'+{BEGINNING}", text) else text


def guarded_column(column: Any) -> Any:
    """A pyarrow array or column of texts, as it is written; one of other values is left alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    marked = pc.match_substring_regex(column, f"^'*{BEGINNING}")
    if not pc.any(marked).as_py():
        return column
    numbers = pc.match_substring_regex(column, f"^{NUMBER}$")
    marked = pc.and_(marked, pc.invert(numbers))
    return pc.if_else(marked, pc.binary_join_element_wise("'", column, ""), column)


def unguarded_column(column: Any) -> Any:
    """A pyarrow array of texts that was written by :func:`guarded_column`."""
    import pyarrow.compute as pc

    marked = pc.match_substring_regex(column, f"^'+{BEGINNING}")
    if not pc.any(marked).as_py():
        return column
    return pc.if_else(marked, pc.utf8_slice_codeunits(column, 1), column)


def first_formula(texts: Iterable[str | None]) -> str | None:
    """The first text that a spreadsheet would run, if any."""
    return next((text for text in texts if text is not None and is_formula(text)), None)
