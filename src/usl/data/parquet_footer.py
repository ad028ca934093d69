"""The directory at the end of a Parquet file, read by ourselves: rows and sizes of its columns.

pyarrow has the same figures, but on some damaged files asking it for them ends the process. The
directory is a struct of Thrift's compact protocol, of which only the figures are kept:
https://github.com/apache/parquet-format, ``parquet.thrift``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usl.core.errors import DataError

MAGIC, TAIL = b"PAR1", 8  # at the end: the directory's length, and the magic number
DEEPEST = 32  # structs in each other
BYTE_ARRAY = 6  # the physical type of texts and binary data
ENCODINGS = {2: "PLAIN_DICTIONARY", 5: "DELTA", 6: "DELTA", 7: "DELTA", 8: "RLE_DICTIONARY"}


@dataclass(frozen=True)
class Chunk:
    """A column of a group of rows: its ``path``, ``bytes`` and ``values``, how it is packed.

    ``packed`` are the names of those encodings by which few bytes stand for many.
    """

    path: str
    texts: bool
    packed: frozenset[str]
    values: int
    bytes: int


@dataclass(frozen=True)
class Footer:
    """What the directory says: ``rows`` of the file and all its ``chunks``."""

    rows: int
    chunks: list[Chunk]


def read_footer(path: Path) -> Footer:
    """The figures of a file's directory.

    Raises :class:`DataError` for one that is damaged; OSError for a file that cannot be read.
    """
    with open(path, "rb") as handle:
        head = handle.read(4)
        size = handle.seek(0, 2)
        handle.seek(max(0, size - TAIL))
        tail = handle.read(TAIL)
        length = int.from_bytes(tail[:4], "little")
        if head == MAGIC and tail[4:] != MAGIC:
            raise DataError(
                f"{path} is not a readable Parquet file (cut short: {size:,} bytes are there, and "
                "the directory that the format puts at the end is not. Copy or write the file "
                "again)."
            )
        if tail[4:] != MAGIC or length + TAIL > size:
            raise DataError(
                f"{path} is not a readable Parquet file (it has no directory). Copy or write the "
                "file again."
            )
        handle.seek(size - TAIL - length)
        content = handle.read(length)
    try:
        told = _Reader(content).struct(0)
        groups = told[4]
        found = [_chunk(column[3]) for group in groups for column in group[1]]
        return Footer(int(told[3]), found)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is not a readable Parquet file (its directory is damaged). Copy or write the "
            "file again."
        ) from error


def _chunk(told: dict[int, Any]) -> Chunk:
    packed = frozenset(ENCODINGS[code] for code in told[2] if code in ENCODINGS)
    path = ".".join(part.decode() for part in told[3])
    if min(told[5], told[6]) < 0:
        raise ValueError("a negative size")
    return Chunk(path, told[1] in (BYTE_ARRAY, BYTE_ARRAY + 1), packed, told[5], told[6])


class _Reader:
    """Values of the compact protocol, one after the other; structs are dicts by field number."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.content[self.at - 1]

    def number(self) -> int:
        """An unsigned number, 7 bits to a byte."""
        value = shift = 0
        while shift < 70:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number of too many bytes")

    def signed(self) -> int:
        """A signed number: 0, -1, 1, -2... are written as 0, 1, 2, 3..."""
        value = self.number()
        return (value >> 1) ^ -(value & 1)

    def value(self, kind: int, depth: int, *, in_list: bool = False) -> Any:
        """A value of a type of the protocol."""
        if kind in (1, 2):
            return self.byte() == 1 if in_list else kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.signed()
        if kind == 7:
            return self.some(8)
        if kind == 8:
            return self.some(self.number())
        if kind in (9, 10):
            return self.list(depth)
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError(f"a value of type {kind}")

    def some(self, count: int) -> bytes:
        """The next bytes."""
        if self.at + count > len(self.content):
            raise ValueError("cut short")
        self.at += count
        return self.content[self.at - count : self.at]

    def list(self, depth: int) -> list[Any]:
        """Values of one type; each takes a byte at least."""
        head = self.byte()
        count, kind = head >> 4, head & 15
        count = self.number() if count == 15 else count
        if count > len(self.content) - self.at:
            raise ValueError("a list longer than the directory")
        return [self.value(kind, depth, in_list=True) for _ in range(count)]

    def struct(self, depth: int) -> dict[int, Any]:
        """Fields by their number."""
        if depth > DEEPEST:
            raise ValueError("too deep")
        found: dict[int, Any] = {}
        field = 0
        while (head := self.byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self.signed()
            found[field] = self.value(head & 15, depth)
        return found
