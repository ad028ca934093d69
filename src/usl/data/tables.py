"""Read and write tables: CSV as any spreadsheet saves it, JSONL, Parquet.

Delimited text is read with every cell as text (``007`` stays ``007``), in UTF-8 with or without a
byte order mark or UTF-16 (Excel's "Unicode text"), with comma, semicolon or tab between cells,
any line ends, quoted cells that hold line breaks, and empty rows anywhere. Rows are numbered as a
spreadsheet shows them: the header is row 1.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, ".parquet")
DELIMITERS = (",", ";", "\t")
BLOCK_BYTES = 1 << 24  # a row must fit into one block


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of n rows.

    Attributes
    ----------
    path : the file.
    columns : name -> pyarrow array [n] (all text for CSV), or list [n] for JSONL.
    numbers : int64 [n], each row's number in the file.
    unit : ``"row"`` or ``"line"``, for messages.
    """

    path: Path
    columns: dict[str, Any]
    numbers: NDArray[np.int64]
    unit: str = "row"

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
    return read_jsonl(path) if suffix in JSON_SUFFIXES else read_text_table(path)


def column_names(path: Path) -> list[str]:
    """The column names of a table, read from as little of it as possible; [] if it is broken."""
    import pyarrow as pa

    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(pq.read_schema(path).names)
        with open(path, "rb") as handle:
            head = handle.read(1 << 20)
        if suffix in JSON_SUFFIXES:
            return list(json.loads(head.splitlines()[0]))
        return header(decode_text(head, path, partial=True))[0]
    except (OSError, pa.ArrowException, ValueError, IndexError, TypeError):
        return []


def read_parquet(path: Path) -> Table:
    """Read a Parquet file; columns keep their types, rows count from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is not a readable Parquet file ({error}).") from error
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    return Table(path, columns, np.arange(1, len(table) + 1))


def read_jsonl(path: Path) -> Table:
    """Read one JSON object a line; a key missing from a line is None there."""
    records: list[dict[str, Any]] = []
    numbers = []
    for number, line in enumerate(_read_bytes(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not valid JSON ({error}).") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {number}: expected a JSON object like {{...}}.")
        records.append(record)
        numbers.append(number)
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}
    return Table(path, columns, np.array(numbers, dtype=np.int64), unit="line")


def read_text_table(path: Path, *, blank: bool = False) -> Table:
    """Read CSV or its relatives; all columns are text, empty rows are left out.

    Columns without a name are left out too, or with ``blank`` called ``" "``, ``"  "``...

    Raises
    ------
    DataError
        naming the row: a row with too many or too few cells; a column name used twice; text in
        another encoding than UTF-8 or UTF-16; a file without a header.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv

    text = decode_text(_read_bytes(path), path)
    names, delimiter = header(text)
    if not any(names):
        raise DataError(f"{path}: empty; the first row must hold the column names.")
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise DataError(f"{path}, row 1: two columns are called {twice[0]!r}. Rename one.")

    empty: list[int] = []
    ragged: list[Any] = []

    def on_ragged(row: Any) -> str:
        if row.text.strip(" \t;,"):
            ragged.append(row)
        else:
            empty.append(row.number)
        return "skip"

    keys = [str(index) for index in range(len(names))]
    try:
        table = pacsv.read_csv(
            io.BytesIO(text.encode()),
            read_options=pacsv.ReadOptions(
                use_threads=False,  # else rows are not numbered
                block_size=BLOCK_BYTES,
                column_names=keys,
                skip_rows_after_names=1,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=on_ragged,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={key: pa.string() for key in keys}, strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise DataError(f"{path}: not a readable table ({error}).") from error
    if ragged:
        row = ragged[0]
        raise DataError(
            f"{path}, row {row.number}: {row.actual_columns} cells where the header has "
            f"{row.expected_columns}: {row.text[:80]!r}. Quote cells that hold a "
            f"{delimiter!r}, and give empty cells their delimiter."
        )
    numbers = np.setdiff1d(
        np.arange(2, 2 + len(table) + len(empty), dtype=np.int64), np.array(empty, dtype=np.int64)
    )
    filled = np.zeros(len(table), dtype=bool)
    for column in table.columns:
        filled |= pc.not_equal(pc.utf8_trim_whitespace(column), "").to_numpy()
    columns = {
        name or " " * (number + 1): table[keys[number]].filter(pa.array(filled)).combine_chunks()
        for number, name in enumerate(names)
        if name or blank
    }
    return Table(path, columns, numbers[filled])


def decode_text(content: bytes, path: Path, *, partial: bool = False) -> str:
    """Decode UTF-8 or UTF-16 with a byte order mark; ``partial`` forgives a cut at the end."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
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


def header(text: str) -> tuple[list[str], str]:
    """Column names, trimmed, and the delimiter that makes most of them (comma at a tie)."""
    head = text[: 1 << 20]
    parsed = {d: next(csv.reader(io.StringIO(head), delimiter=d), []) for d in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda d: len(parsed[d]))
    return [name.strip() for name in parsed[delimiter]], delimiter


def csv_text(names: Sequence[str], columns: Sequence[Any]) -> str:
    """Render text columns (pyarrow string arrays) as CSV, quoting only the cells that need it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = []
    for column in [pa.array(names, pa.string()), *columns]:
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
