"""Read and write tables: CSV as any spreadsheet saves it, JSONL, Parquet.

Delimited text is read with every cell as text (``007`` stays ``007``), in UTF-8 with or without a
byte order mark or UTF-16 (Excel's "Unicode text"), with comma, semicolon or tab between cells,
any line ends, quoted cells of any size that hold line breaks, blanks before quotes, and empty rows
anywhere; see :mod:`usl.data.dialect` for what may stand before the header. Rows are numbered as a
spreadsheet shows them, from 1. A file of JSON is one object a line, or one list of objects.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.data.dialect import Dialect, dialect, is_open, rows_of, with_newlines
from usl.data.formulas import guarded, guarded_column, unguarded, unguarded_column
from usl.data.parquet_files import open_parquet, read_columns

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, ".parquet")
SOURCE_SUFFIXES = (*TABLE_SUFFIXES, ".json")  # what a source may be; other tools' JSON is not
HEAD_BYTES = 1 << 20  # of a file, in which its columns are told
BLOCK_BYTES = 1 << 24  # a row that does not fit into one block is read in a larger one


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of n rows.

    Attributes
    ----------
    path : the file.
    columns : name -> pyarrow array [n] (all text for CSV), or list [n] for JSONL.
    numbers : int64 [n], each row's number in the file.
    unit : ``"row"``, ``"line"`` or ``"entry"``, for messages.
    headed : whether the file names its columns; else they are called ``0, 1, ...``.
    """

    path: Path
    columns: dict[str, Any]
    numbers: NDArray[np.int64]
    unit: str = "row"
    headed: bool = True

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.numbers)

    def where(self, row: int) -> str:
        """The file and row, as an error message begins."""
        return f"{self.path}, {self.unit} {self.numbers[row]}"

    def values(self, name: str) -> list[Any]:
        """A column as Python values."""
        column = self.columns[name]
        return column if isinstance(column, list) else column.to_pylist()


def read_table(path: Path) -> Table:
    """Read a table by its suffix; DataError naming file and row when it is broken."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_parquet(path)
    return read_jsonl(path) if suffix in (*JSON_SUFFIXES, ".json") else read_text_table(path)


def column_names(path: Path) -> list[str]:
    """The column names of a table, read from as little of it as possible; [] if it is broken."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return list(open_parquet(path).schema_arrow.names)
        with open(path, "rb") as handle:
            head = handle.read(HEAD_BYTES)
        if suffix in (*JSON_SUFFIXES, ".json"):
            return list(dict.fromkeys(name for record in json_head(head, path) for name in record))
        form = dialect(with_newlines(decode_text(head, path, partial=True)), path)
        return [unguarded(name) for name in form.names]
    except (OSError, ValueError, IndexError, TypeError, RecursionError):
        return []


def text_head(path: Path) -> tuple[list[str], list[list[str]]]:
    """The columns of a delimited text and its first rows, from as little of it as possible."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    text = decode_text(head, path, partial=len(head) == HEAD_BYTES)
    text = with_newlines(text)
    form = dialect(text, path)
    try:
        rows = list(islice(rows_of(text[form.start :], form.delimiter), 64 + form.headed))
    except csv.Error as error:
        raise DataError(f"{path}: not a readable table ({error}).") from error
    if len(head) == HEAD_BYTES and len(rows) > 1 + form.headed:
        rows.pop()  # cut, perhaps
    return [unguarded(name) for name in form.names], rows[int(form.headed) :]


def read_parquet(path: Path) -> Table:
    """Read a Parquet file; columns keep their types, rows count from 1."""
    table = read_columns(path)
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    return Table(path, columns, np.arange(1, len(table) + 1))


def read_jsonl(path: Path) -> Table:
    """Read one JSON object a line, or one list of objects; a key missing from one is None there."""
    text = decode_text(_read_bytes(path), path)
    records: list[dict[str, Any]] = []
    numbers = []
    unit = "line"
    if (listed := _json_list(text, path)) is not None:
        unit, pieces = "entry", list(enumerate(listed, start=1))
    else:
        lines = enumerate(re.split(r"\r\n|\n|\r", text), start=1)
        pieces = [(n, _json_of(line, path, n)) for n, line in lines if line.strip()]
    for number, record in pieces:
        if not isinstance(record, dict):
            raise DataError(f"{path}, {unit} {number}: expected a JSON object like {{...}}.")
        records.append(record)
        numbers.append(number)
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}
    return Table(path, columns, np.array(numbers, dtype=np.int64), unit=unit)


def json_head(head: bytes, path: Path) -> list[dict[str, Any]]:
    """The first objects of a JSON file, from its first bytes (all of it for one list)."""
    text = decode_text(head, path, partial=True)
    if text.lstrip()[:1] == "[" or path.suffix.lower() == ".json":
        listed = _json_list(decode_text(_read_bytes(path), path), path)
    else:
        listed = None
    if listed is not None:
        return [record for record in listed[:64] if isinstance(record, dict)]
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    whole = lines if len(head) < HEAD_BYTES else lines[:-1] or lines
    records = []
    for line in whole[:64]:
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError):
            if not records:
                raise
            break  # whoever reads all of it says what is wrong
    return [record for record in records if isinstance(record, dict)]


def _json_list(text: str, path: Path) -> list[Any] | None:
    """The entries of a text that is one JSON list, else None.

    A file called ``.json`` may also be one object: with one list of objects under any name, or of
    columns, each a list or a mapping from the index (as pandas writes it).
    """
    whole = text.lstrip()[:1] == "["
    if not whole and path.suffix.lower() != ".json":
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(held, list):
        return held
    if not isinstance(held, dict):
        return None
    lists = [
        value
        for value in held.values()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    ]
    if len(lists) == 1:
        return lists[0]
    columns = {
        name: list(value.values()) if isinstance(value, dict) else value
        for name, value in held.items()
    }
    sizes = {len(value) if isinstance(value, list) else -1 for value in columns.values()}
    if len(sizes) != 1 or sizes == {-1}:
        return None
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json_of(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number}: not valid JSON ({error}).") from error


def read_text_table(
    path: Path, *, unnamed: bool = False, blank: bool = False, as_written: bool = False
) -> Table:
    """Read CSV or its relatives; all columns are text, empty rows are left out.

    The apostrophe before what would be a formula (:mod:`usl.data.formulas`) is taken away.

    Parameters
    ----------
    unnamed : keep the first column if it has no name, as pandas writes an index; called "".
    blank : keep all columns without a name, called ``" "``, ``"  "``...
    as_written : leave apostrophes before formulas where they are.

    Raises
    ------
    DataError
        naming the row: a row with too many or too few cells; a column name used twice; text in
        another encoding than UTF-8 or UTF-16; a quote without an end; a header that is missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    text = with_newlines(decode_text(_read_bytes(path), path))
    form = dialect(text, path)
    names, delimiter = form.names, form.delimiter
    if not any(names):
        raise DataError(f"{path}: empty; the first row must hold the column names.")
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise DataError(
            f"{path}, row {form.passed + 1}: two columns are called {twice[0]!r}. Rename one."
        )
    text = text[form.start :]
    if text.count('"') % 2 and is_open(text, delimiter):
        raise DataError(f"{path}: a quote is opened and never closed. Close it, or remove it.")
    if ' "' in text and re.search(rf'(^|[\r\n{re.escape(delimiter)}]) +"', text):
        text = _without_blanks(text, delimiter)
    table, empty, ragged = _parse(text, form, path)
    if ragged:
        row, above = ragged[0], "header" if form.headed else "first row"
        raise DataError(
            f"{path}, row {row.number + form.passed}: {row.actual_columns} cells where the "
            f"{above} has {row.expected_columns}: {row.text[:80]!r}. Quote cells that hold a "
            f"{delimiter!r}, and give empty cells their delimiter."
        )
    first = 2 if form.headed else 1
    numbers = form.passed + np.setdiff1d(
        np.arange(first, first + len(table) + len(empty), dtype=np.int64),
        np.array(empty, dtype=np.int64),
    )
    filled = np.zeros(len(table), dtype=bool)
    for column in table.columns:
        filled |= pc.not_equal(pc.utf8_trim_whitespace(column), "").to_numpy()
    columns = {
        name or " " * (key + 1) * blank: table[key].filter(pa.array(filled)).combine_chunks()
        for key, name in enumerate(names)
        if name or blank or (unnamed and key == 0)
    }
    if not as_written:
        columns = {unguarded(name): unguarded_column(cells) for name, cells in columns.items()}
    return Table(path, columns, numbers[filled], headed=form.headed)


def _parse(text: str, form: Dialect, path: Path) -> tuple[Any, list[int], list[Any]]:
    """The cells as text, and the rows that are empty (by number) or of another length."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    empty: list[int] = []
    ragged: list[Any] = []

    def on_ragged(row: Any) -> str:
        if row.text.strip(" \t;,"):
            ragged.append(row)
        else:
            empty.append(row.number)
        return "skip"

    keys = [str(index) for index in range(len(form.names))]
    content = text.encode()
    for block in (BLOCK_BYTES, min(len(content) + 1, 2**31 - 1)):
        try:
            table = pacsv.read_csv(
                io.BytesIO(content),
                read_options=pacsv.ReadOptions(
                    use_threads=False,  # else rows are not numbered
                    block_size=block,
                    column_names=keys,
                    skip_rows_after_names=int(form.headed),
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=form.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=on_ragged,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types={key: pa.string() for key in keys}, strings_can_be_null=False
                ),
            )
        except pa.ArrowException as error:
            if "straddling" not in str(error) or block > BLOCK_BYTES:
                raise DataError(f"{path}: not a readable table ({error}).") from error
            empty.clear()
            ragged.clear()
        else:
            return table, empty, ragged
    raise DataError(f"{path}: a cell of it is larger than 2 GB.")


def _without_blanks(text: str, delimiter: str) -> str:
    """The same rows without blanks before quotes, which else would not be quotes."""
    return re.sub(rf'(^|[\r\n{re.escape(delimiter)}]) *("(?:[^"]|"")*")', r"\1\2", text)


def decode_text(content: bytes, path: Path, *, partial: bool = False) -> str:
    """Decode UTF-8 or UTF-16 with a byte order mark; ``partial`` forgives a cut at the end."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif content[1:2] == b"\0" or content[:1] == b"\0":  # without its byte order mark
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding, errors="ignore" if partial else "strict")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: the text is not UTF-8. In Excel, save it as "
            "'CSV UTF-8 (comma delimited)'."
        ) from error


def csv_text(
    names: Sequence[str], columns: Sequence[Any], *, as_written: Collection[str] = ()
) -> str:
    """Render columns (pyarrow arrays) as CSV, quoting only the cells that need it.

    Texts that a spreadsheet would run get an apostrophe (:mod:`usl.data.formulas`), but not in the
    columns ``as_written``. Nothing is an empty cell.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = []
    heads = [name if name in as_written else guarded(name) for name in names]
    for name, values in zip(("", *names), [pa.array(heads, pa.string()), *columns], strict=True):
        guard = name not in as_written and name != ""
        column = guarded_column(values) if guard else values
        column = pc.fill_null(pc.cast(column, pa.string()), "")
        special = pc.match_substring_regex(column, r'[",;\t\r\n]|^\s|\s$')
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
        cells.append(pc.if_else(special, quoted, column))
    lines = pc.binary_join_element_wise(*cells[1:], ",")
    return "\n".join([",".join(cells[0].to_pylist()), *lines.to_pylist(), ""])


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
