"""CSV: a table for a spreadsheet, with a column ``label`` to fill in.

Read as any spreadsheet saves it: comma, semicolon or tab, UTF-8 or UTF-16, more columns. Label
Studio's own CSV is understood, too.
"""

from __future__ import annotations

from pathlib import Path

from usl.data.tables import TEXT_SUFFIXES, csv_text, read_text_table
from usl.labeling.exchange.contract import Export, Given
from usl.labeling.exchange.rows import arrow_table, columns_of, given_rows, is_table, next_steps

PICTURES = False
SUFFIX = ".csv"


def write(export: Export, out: Path) -> list[str]:
    """Write one row per image, with a byte order mark only where Excel needs it."""
    table = arrow_table(columns_of(export.items))
    text = csv_text(table.column_names, [column.combine_chunks() for column in table.columns])
    out.write_bytes(text.encode("utf-8" if text.isascii() else "utf-8-sig"))
    return next_steps(export)


def read(path: Path) -> list[Given]:
    """Read the columns image_id (or path) and label; annotator, source if they are there."""
    return given_rows(read_text_table(path))


def recognizes(path: Path) -> bool:
    """Tell a text table with labels."""
    return is_table(path, TEXT_SUFFIXES)
