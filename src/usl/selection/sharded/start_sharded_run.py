"""``usl select SHARDS --engine ray``: pick from shards, and write a run of the picks and a sample.

The run is an ordinary one, of a table beside it, ``RUN-sample.parquet``: the picks, and 2,000 other
rows for the map and for training. All else stays in the shards, whose address the run records.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Any

import numpy as np

from usl.core.errors import DataError, UsageError
from usl.core.files import atomic_write, cache_dir, read_json, write_json
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.data.addresses import shown
from usl.engine.cluster import Cluster, connect
from usl.engine.executor import OnRay, check_reached
from usl.engine.partition import Work
from usl.engine.shards import RECORD, Shards, open_shards
from usl.engine.store import Store
from usl.features.space import open_space
from usl.numeric.arrays import Float32, Rows
from usl.run import folder as runs
from usl.run.folder import Run
from usl.selection.constraints.files import read_ids
from usl.selection.constraints.select_within import Constraints
from usl.selection.prepare import prepare
from usl.selection.ranking import representatives
from usl.selection.result import Selection
from usl.selection.sharded.select_shards import (
    ShardSelection,
    check_method,
    drawn,
    rows_of,
    select_shards,
    texts_of,
)
from usl.selection.write_run import write_run

KEPT = 2_000  # rows beside the picks that the run holds
BY_GROUP = (
    "Each group would need a partition of its own: embed the groups to places of their own, and "
    "select from each."
)
NOT_THERE = {  # constraints, and what to do instead
    "include": "Label these items beside the picks.",
    "groups": BY_GROUP,
    "quotas": BY_GROUP,
}


def start_sharded_run(
    source: object,
    budget: int,
    out: str | os.PathLike[str],
    *,
    method: str,
    seed: int,
    overwrite: bool,
    constraints: Constraints | None,
    scratch: str | os.PathLike[str] | None,
    address: str | None,
    progress: Progress = silent,
    **method_params: Any,
) -> Run:
    """Pick ``budget`` rows of the shards at ``source`` on a Ray cluster, and write the run folder.

    Parameters are those of :func:`usl.start_run`.

    Raises
    ------
    DataError
        no shards there, or one that is missing or damaged; an excluded id that is not there.
    ClusterError
        no cluster at the address.
    """
    began = time.perf_counter()
    if not isinstance(source, str | os.PathLike):
        raise UsageError("source: on Ray it is a folder or an address of shards.")
    source, seed = os.fspath(source), seed_number(seed)
    scratch = None if scratch is None else os.fspath(scratch)
    runs.check_free(out, overwrite=overwrite)
    check_method(method, method_params)
    shards = open_shards(source)
    with connect(address) as cluster:
        _check_places(cluster, shards, scratch)
        executor = OnRay(cluster)
        excluded = _excluded(shards, constraints)
        how: dict[str, Any] = {"method": method, "seed": seed, "scratch": scratch}
        how |= {"exclude": excluded, "progress": progress, **method_params}
        if constraints is not None:
            how["collapse_duplicates"] = constraints.collapse_duplicates
            how["min_distance"] = constraints.min_distance
        found = select_shards(shards, budget, executor, **how)
        others = drawn(len(shards), KEPT, np.union1d(found.rows, excluded), seed)
        work = Work(shards, Store(os.devnull), executor)
        table = Path(f"{os.fspath(out)}-sample.parquet")
        write_sample(table, shards, found, others, rows_of(work, others))
    ready = prepare(str(table), budget, "random", "auto", None, None, None, None, {}, {})
    rows = ready.train
    settings = {"center": None, "standardize": None, "pca": None}
    space = open_space(ready.collection, ready.encoder, rows=rows, settings=settings)
    picks = np.arange(budget)
    stands = representatives(space.features, picks, np.empty(0, np.int64), None)
    columns = {"row": found.rows, **found.columns}
    selection = Selection(picks, stands, columns, method, found.parameters, seed)
    readable = np.ones(len(ready.collection), dtype=bool)
    seconds = {"select": round(time.perf_counter() - began, 3)}
    with runs.new_run(out, overwrite=overwrite) as folder:
        write_run(folder, str(table), ready, space, selection, ready.known, readable, seed, seconds)
        info = read_json(folder / runs.INFO)
        if found.constraints:
            info["selection"]["constraints"] = found.constraints
        info["shards"] = {
            "address": shown(source if "://" in source else os.path.abspath(source)),
            "digest": shards.digest,
            "rows": len(shards),
            "looked_at": found.looked_at,
            "encoder": dict(shards.encoder),
        }
        write_json(folder / runs.INFO, info)
    return Run.open(out)


def _check_places(cluster: Cluster, shards: Shards, scratch: str | None) -> None:
    """:class:`ClusterError` for a host that does not reach the shards, or where files are kept."""
    check_reached(cluster, shards.store, RECORD)
    kept, name = Store(scratch or str(cache_dir() / "engine")), f"reached-{secrets.token_hex(4)}"
    kept.write(name, b"")
    try:
        check_reached(cluster, kept, name)
    finally:
        kept.remove([name])


def refuse_on_ray(**given: Any) -> None:
    """:class:`UsageError` for an option that shards do not have."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise UsageError(f"{name}: not on Ray. Leave it out; shards are taken as they are.")


def write_sample(
    path: Path, shards: Shards, found: ShardSelection, others: Rows, points: Float32
) -> None:
    """Write the picks, best first, and other rows as a table of features: id, path, feature."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = np.concatenate([found.rows, others])
    columns: dict[str, Any] = {}
    for name, column in (("image_id", "id"), ("path", "path")):
        texts = texts_of(shards, rows, column)
        if texts is not None:
            columns[name] = pa.array(texts.tolist(), pa.string())
    flat = np.concatenate([found.points, points]).reshape(-1)
    columns["feature"] = pa.FixedSizeListArray.from_arrays(pa.array(flat), shards.width)
    with atomic_write(path) as handle:
        pq.write_table(pa.table(columns), handle)


def _excluded(shards: Shards, constraints: Constraints | None) -> Rows:
    """The rows of excluded ids, int64; constraints that do not run on Ray are refused."""
    if constraints is None:
        return np.empty(0, np.int64)
    for name, instead in NOT_THERE.items():
        value = getattr(constraints, name)
        if value is not None and not (isinstance(value, tuple) and not value):
            raise UsageError(f"{name}: not on Ray. {instead}")
    exclude = constraints.exclude
    if isinstance(exclude, str | os.PathLike):
        exclude = read_ids(Path(exclude)).ids
    wanted = np.unique(np.asarray(exclude, dtype=np.str_))
    found, seen = [], 0
    for number, start in enumerate(shards.starts[:-1].tolist()):
        here = np.flatnonzero(np.isin(shards.ids(number), wanted))
        seen += len(here)
        found.append(here + start)
    if seen < len(wanted):
        raise DataError(f"exclude: {len(wanted) - seen} of {len(wanted)} ids are not there.")
    return np.concatenate(found).astype(np.int64)
