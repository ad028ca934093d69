"""Pictures in Parquet files, as the Hugging Face hub keeps them; read a group of rows at a time."""

from __future__ import annotations

import json
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError
from usl.data.columns import find_column
from usl.data.parquet_files import open_parquet
from usl.data.stored_bytes import StoredBytes

GROUPS = 4  # of rows, that are held at a time
METADATA = b"huggingface"  # key of the schema's metadata


def image_column(schema: Any) -> str | None:
    """The column of pictures of a Parquet schema, or None.

    A struct of ``bytes`` and ``path`` (Hugging Face's), or binary data under a usual name.
    """
    import pyarrow as pa

    def is_binary(kind: Any) -> bool:
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    def is_picture(kind: Any) -> bool:
        if not pa.types.is_struct(kind):
            return False
        fields = {field.name: field.type for field in kind}
        return set(fields) == {"bytes", "path"} and is_binary(fields["bytes"])

    kinds = dict(zip(schema.names, schema.types, strict=True))
    pictures = [name for name, kind in kinds.items() if is_picture(kind)]
    declared = [
        name
        for name in pictures
        if hub_features(schema).get(name, {}).get("_type") in (None, "Image")
    ]
    if declared:
        return find_column(declared, "picture") or declared[0]
    return find_column([name for name, kind in kinds.items() if is_binary(kind)], "picture")


def hub_features(schema: Any) -> dict[str, dict[str, Any]]:
    """What Hugging Face's metadata say of each column; {} without them."""
    try:
        told = json.loads((schema.metadata or {})[METADATA])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    known = told.items() if isinstance(told, dict) else ()
    return {name: kind for name, kind in known if isinstance(kind, dict)}


def class_names(schema: Any, column: str) -> list[str] | None:
    """The names of the classes that a column's numbers stand for, or None."""
    kind = hub_features(schema).get(column, {})
    for _ in range(3):  # a list of class labels is one deeper
        names = kind.get("names")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        inner = kind.get("feature", {})
        kind = inner if isinstance(inner, dict) else {}
    return None


class ParquetImages(StoredBytes):
    """Pictures of one column of several Parquet files, one file after the other.

    Parameters
    ----------
    files : the files, and ``column``, which holds structs of bytes and path, or bytes.
    counts : rows of each file.
    rows : int64, which of all rows; None for all.
    called : what the files are called in messages; None for their paths.
    """

    def __init__(
        self,
        files: Sequence[Path],
        column: str,
        counts: Sequence[int],
        *,
        rows: NDArray[np.int64] | None = None,
        max_pixels: int | None = None,
        scaled: Counter[str] | None = None,
        called: Sequence[str] | None = None,
    ) -> None:
        self.called = list(map(str, files)) if called is None else list(called)
        self.files, self.column, self.counts = list(files), column, list(counts)
        self.rows: NDArray[np.int64] = np.arange(sum(counts)) if rows is None else rows
        self.max_pixels = max_pixels
        self.scaled: Counter[str] = Counter() if scaled is None else scaled
        self._ends = np.cumsum(self.counts)
        self._lock = threading.Lock()
        self._open: dict[int, tuple[Any, NDArray[np.int64]]] = {}  # file, ends of its row groups
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def __reduce__(self) -> Any:
        """Pickled (for worker processes) without what is open."""
        return _again, (
            self.files,
            self.column,
            self.counts,
            self.rows,
            self.max_pixels,
            self.scaled,
            self.called,
        )

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.rows)

    def where(self, row: int) -> str:
        """The file, and the row in it, from 1."""
        file, inside = self._place(row)
        return f"{self.called[file]}, row {inside + 1}"

    def take(self, rows: ArrayLike) -> ParquetImages:
        """The same files restricted to ``rows``."""
        return ParquetImages(
            self.files,
            self.column,
            self.counts,
            rows=self.rows[np.asarray(rows, dtype=np.int64)],
            max_pixels=self.max_pixels,
            scaled=self.scaled,
            called=self.called,
        )

    def _place(self, row: int) -> tuple[int, int]:
        """The file of a row, and the row in it."""
        whole = int(self.rows[row])
        file = int(np.searchsorted(self._ends, whole, side="right"))
        return file, whole - int(self._ends[file]) + self.counts[file]

    def content(self, row: int) -> bytes:
        """The bytes of a picture; DataError naming file and row if there are none."""
        import pyarrow as pa

        file, inside = self._place(row)
        try:
            with self._lock:
                value = self._value(file, inside)
            held = value if isinstance(value, dict) else {"bytes": value}
            content, path = held.get("bytes"), held.get("path")
            if content is None and path:  # the picture lies beside
                content = (self.files[file].parent / path).read_bytes()
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{self.where(row)}: cannot be read ({error}). Fetch the file again."
            ) from error
        if not content:
            raise DataError(f"{self.where(row)}: {self.column} is empty; there is no picture.")
        return bytes(content)

    def _value(self, file: int, inside: int) -> Any:
        if file not in self._open:
            opened = open_parquet(self.files[file])
            sizes = [
                opened.metadata.row_group(number).num_rows
                for number in range(opened.metadata.num_row_groups)
            ]
            self._open[file] = opened, np.cumsum(sizes, dtype=np.int64)
        opened, ends = self._open[file]
        group = int(np.searchsorted(ends, inside, side="right"))
        if (file, group) not in self._groups:
            column = opened.read_row_group(group, columns=[self.column]).column(0)
            self._groups[file, group] = column
            while len(self._groups) > GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end((file, group))
        column = self._groups[file, group]
        return column[inside - int(ends[group]) + len(column)].as_py()


def _again(
    files: list[Path],
    column: str,
    counts: list[int],
    rows: NDArray[np.int64],
    max_pixels: int | None,
    scaled: Counter[str],
    called: list[str],
) -> ParquetImages:
    how = {"rows": rows, "max_pixels": max_pixels, "scaled": scaled, "called": called}
    return ParquetImages(files, column, counts, **how)  # type: ignore[arg-type]
