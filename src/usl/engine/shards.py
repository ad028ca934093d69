"""A table of features in shards: Parquet files under a folder or an address, and their record.

===================== ============================================================================
part-00000.parquet    ``id`` (text), ``feature`` (a list of ``width`` float16 or float32), and
                      where they are known ``digest`` (content hash), ``path`` and ``group`` (text),
                      and of pictures in tars ``offset`` and ``size`` (int64, bytes of the tar)
...
_features.json        width, the encoder, rows and bytes of each shard; written last
===================== ============================================================================
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.hashing import json_digest
from usl.core.words import counted
from usl.engine.store import Store
from usl.numeric.arrays import Float32, Rows

if TYPE_CHECKING:
    import pyarrow as pa

RECORD = "_features.json"
FORMAT = 1
SPAN = ("offset", "size")  # columns of numbers: where in a tar a picture lies
NEEDED = ("id", "group")  # columns in which no row is without a value


@dataclass(frozen=True)
class Part:
    """One shard: the ``name`` of its file, its ``rows``, and its ``size`` in bytes.

    ``written`` : when, in ns, as far as a listing tells; else 0.
    """

    name: str
    rows: int
    size: int
    written: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Shards:
    """A table of n rows of ``width`` features in ``parts``, at ``store``; nothing of it is read.

    ``encoder`` is the identity of what made the features, as ``usl embed`` records it.
    """

    store: Store
    width: int
    parts: tuple[Part, ...]
    encoder: Mapping[str, Any]

    def __len__(self) -> int:
        """Number of rows, of all shards."""
        return sum(part.rows for part in self.parts)

    @property
    def starts(self) -> Rows:
        """The number of each shard's first row, and of all rows: int64 [shards + 1]."""
        return np.cumsum([0, *(part.rows for part in self.parts)], dtype=np.int64)

    def by_shard(self, rows: Rows) -> Iterator[tuple[int, Rows, Rows]]:
        """For each shard that holds some of ``rows`` int64 [r]: its number, and of those rows their
        places in ``rows`` and their rows in the shard.
        """
        starts = self.starts
        of = np.searchsorted(starts, rows, side="right") - 1
        for number in np.unique(of).tolist():
            here = np.flatnonzero(of == number)
            yield number, here, rows[here] - starts[number]

    @property
    def digest(self) -> str:
        """A hash of the record: the same shards, the same hash."""
        return json_digest(_record(self.width, self.parts, self.encoder))

    def read(self, number: int) -> Float32:
        """The features of a shard, float32 [rows, width].

        Raises :class:`DataError` naming a shard that is missing, cut off, of another width, or that
        holds a row that is not finite.
        """
        column = self._column(number, "feature")
        values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        rows = np.asarray(values, dtype=np.float32).reshape(-1, self.width)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            where = self.store.where(self.parts[number].name)
            raise DataError(
                f"{where}: row {int(finite.argmin()) + 1} holds NaN or infinity. Embed that shard "
                "again."
            )
        return rows

    def lengths(self, number: int) -> Float32:
        """The lengths of the rows of a shard, float32 [rows]."""
        return np.asarray(np.linalg.norm(self.read(number), axis=1))

    def texts(self, number: int, name: str = "id") -> NDArray[np.str_] | None:
        """The ids of a shard (or digests, or paths), str [rows]; None for a column it lacks."""
        column = self._column(number, name)
        if column is not None and column.null_count and name in NEEDED:
            where = self.store.where(self.parts[number].name)
            raise DataError(f"{where}: {counted(column.null_count, 'row')} without {name}.")
        return None if column is None else np.array(column.to_pylist(), dtype=np.str_)

    def spans(self, number: int) -> Rows | None:
        """Offset and size of the pictures of a shard in tars, int64 [rows, 2]; None without."""
        import pyarrow as pa

        columns: list[NDArray[np.int64]] = []
        for name in SPAN:
            column = self._column(number, name)
            if column is None or column.null_count or not pa.types.is_integer(column.type):
                return None
            columns.append(column.to_numpy().astype(np.int64))
        return np.stack(columns, axis=1)

    def ids(self, number: int) -> NDArray[np.str_]:
        """The ids of a shard, str [rows]."""
        found = self.texts(number, "id")
        assert found is not None
        return found

    def _column(self, number: int, name: str) -> Any:
        """A column of a shard, checked; None for one that may be missing and is."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        part = self.parts[number]
        where = self.store.where(part.name)
        state = self.store.state(part.name)
        if state is not None and (state[0] != part.size or part.written not in (0, state[1])):
            raise DataError(
                f"{where}: replaced since the shards were opened. Run the same command again."
            )
        with self.store.open(part.name) as handle:
            try:
                file = pq.ParquetFile(handle)
                there = name in file.schema_arrow.names
                column = file.read([name]).column(0) if there else None
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{where}: broken or cut off. Embed it again.") from error
            if file.metadata.num_rows != part.rows:
                rows = counted(file.metadata.num_rows, "row")
                raise DataError(f"{where}: {rows} where {RECORD} says {part.rows:,}. {REDO}")
        if column is None and name in ("id", "feature"):
            raise DataError(f"{where}: no column {name!r}. It needs 'id' and 'feature'.")
        if name == "feature" and column is not None:
            kind = column.type
            if not pa.types.is_fixed_size_list(kind) or kind.list_size != self.width:
                raise DataError(
                    f"{where}: features of type {kind} where {RECORD} says width {self.width}. "
                    f"{REDO}"
                )
            if column.null_count:
                raise DataError(f"{where}: {counted(column.null_count, 'row')} without features.")
        return column


REDO = "All shards come of one embedding: run usl embed again, to an empty place."


def open_shards(address: str) -> Shards:
    """Open the shards under a folder or an address; only the record and a listing are read.

    Raises
    ------
    DataError
        no record, or a shard that is missing, cut off, or of another embedding.
    """
    store = Store(address)
    record = _read_record(store)
    parts = tuple(Part(one["name"], int(one["rows"]), int(one["size"])) for one in record["shards"])
    if not parts or not sum(part.rows for part in parts):
        raise DataError(f"{store.where(RECORD)}: names no rows. {REDO}")
    there = store.states()
    for part in parts:
        if part.name not in there:
            raise DataError(
                f"{store.where(part.name)}: missing, and {RECORD} names it. Put it back, or run "
                "usl embed again."
            )
        size = there[part.name][0]
        if size != part.size:
            raise DataError(
                f"{store.where(part.name)}: {size:,} bytes where {RECORD} says "
                f"{part.size:,}; cut off, or of another embedding. Put it back, or embed it again."
            )
    parts = tuple(replace(part, written=there[part.name][1]) for part in parts)
    return Shards(store, int(record["width"]), parts, record["encoder"])


def has_shards(address: str) -> bool:
    """Whether a record of shards lies under a folder or an address."""
    return Store(address).has(RECORD)


def shard_name(number: int) -> str:
    """The name of a shard's file."""
    return f"part-{number:05d}.parquet"


def write_shard(
    address: str,
    number: int,
    ids: Sequence[str],
    features: NDArray[np.floating[Any]],
    *,
    digests: Sequence[str] | None = None,
    paths: Sequence[str] | None = None,
    spans: Rows | None = None,
) -> Part:
    """Write one shard, whole: ``features`` [rows, width] as float16 or float32, as they are.

    ``spans`` int64 [rows, 2] : offset and size of pictures in tars.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(np.ascontiguousarray(features).reshape(-1))
    columns: dict[str, Any] = {"id": pa.array(list(ids), pa.string())}
    for name, given in (("digest", digests), ("path", paths)):
        if given is not None:
            columns[name] = pa.array(list(given), pa.string())
    if spans is not None:
        columns |= {name: pa.array(spans[:, at]) for at, name in enumerate(SPAN)}
    columns["feature"] = pa.FixedSizeListArray.from_arrays(flat, features.shape[1])
    content = io.BytesIO()
    table: pa.Table = pa.table(columns)
    pq.write_table(table, content, compression="zstd", use_dictionary=False)
    name = shard_name(number)
    Store(address).write(name, content.getbuffer())
    return Part(name, len(table), content.getbuffer().nbytes)


def write_record(
    address: str, width: int, parts: Sequence[Part], encoder: Mapping[str, Any]
) -> Shards:
    """Write the record, last of all, when every shard is there."""
    content = json.dumps(_record(width, parts, encoder), indent=1, ensure_ascii=False)
    Store(address).write(RECORD, content.encode())
    return Shards(Store(address), width, tuple(parts), encoder)


def _record(width: int, parts: Sequence[Part], encoder: Mapping[str, Any]) -> dict[str, Any]:
    shards = [{"name": one.name, "rows": one.rows, "size": one.size} for one in parts]
    return {"format": FORMAT, "width": width, "encoder": dict(encoder), "shards": shards}


def _read_record(store: Store) -> dict[str, Any]:
    where = store.where(RECORD)
    if not store.has(RECORD):
        raise DataError(
            f"{where}: not there, so these are no finished shards of features. Make or finish them "
            "with usl embed SOURCE --engine ray --out PLACE."
        )
    with store.open(RECORD) as handle:
        content = handle.read()
    try:
        record: dict[str, Any] = json.loads(content)
        newer = int(record["format"]) > FORMAT
        if not newer and record["shards"] and int(record["width"]) > 0:
            record.setdefault("encoder", {})
            return record
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: no record of shards. {REDO}") from error
    if newer:
        raise DataError(f"{where}: of a newer version of usl. Upgrade: pip install --upgrade usl.")
    raise DataError(f"{where}: names no shards. {REDO}")
