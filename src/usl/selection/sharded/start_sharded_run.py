"""``usl select SHARDS --engine ray``: pick from shards, and write a run of the picks and a sample.

The run is an ordinary one, of a table beside it, ``RUN-sample.parquet``: the picks, and 2,000 other
rows for the map and for training. All else stays in the shards, whose address the run records.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from usl.core.errors import UsageError
from usl.core.files import atomic_write, cache_dir, read_json, write_json
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.data.addresses import address_of, shown
from usl.data.embedded_features import marked
from usl.engine.cluster import Cluster, connect
from usl.engine.executor import OnRay, check_reached
from usl.engine.shards import RECORD, SPAN, Shards, open_shards
from usl.engine.store import Store
from usl.features.space import open_space
from usl.numeric.arrays import Float32, Rows
from usl.run import folder as runs
from usl.run.folder import Run
from usl.selection.constraints.files import Listed
from usl.selection.constraints.result import Constrained
from usl.selection.constraints.select_within import Constraints
from usl.selection.known_labels import NOTHING, ListedLabels, listed_labels
from usl.selection.prepare import prepare
from usl.selection.ranking import representatives
from usl.selection.sharded.pick_rows import check_method, drawn
from usl.selection.sharded.row_lists import RowLists, spans_of, stored_rows, texts_of
from usl.selection.sharded.rows_by_id import listed, rows_by_id
from usl.selection.sharded.select_shards import select_shards
from usl.selection.sharded.shard_groups import read_shard_groups
from usl.selection.write_run import write_run

KEPT = 2_000  # rows beside the picks that the run holds


def start_sharded_run(
    source: object,
    budget: int,
    out: str | os.PathLike[str],
    *,
    method: str,
    seed: int,
    overwrite: bool,
    constraints: Constraints | None,
    labels: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    center: bool | None = None,
    standardize: bool | None = None,
    pca: int | None = None,
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
        no shards there, or one that is missing or damaged; a listed id that is not there.
    ClusterError
        no cluster at the address.
    """
    began = time.perf_counter()
    if not isinstance(source, str | os.PathLike):
        raise UsageError("source: on Ray it is a folder or an address of shards.")
    source, seed = os.fspath(source), seed_number(seed)
    scratch = None if scratch is None else address_of(scratch) or os.fspath(scratch)
    runs.check_free(out, overwrite=overwrite)
    check_method(method, method_params)
    shards = open_shards(source)
    constraints = constraints or Constraints()
    given_labels = None if labels is None else listed_labels(labels)
    with connect(address) as cluster:
        _check_places(cluster, shards, scratch)
        executor = OnRay(cluster)
        lists = row_lists(shards, constraints, given_labels)
        how: dict[str, Any] = {"method": method, "seed": seed, "scratch": scratch}
        how["collapse_duplicates"] = constraints.collapse_duplicates
        how["min_distance"] = constraints.min_distance
        if constraints.groups is not None:
            how["groups"] = read_shard_groups(shards, constraints.groups)
        how["quotas"] = constraints.quotas
        how |= {"center": center, "standardize": standardize, "pca": pca}
        how |= {name: getattr(lists, name) for name in ("exclude", "include", "labeled")}
        found = select_shards(shards, budget, executor, progress=progress, **how, **method_params)
        taken = np.union1d(found.rows, lists.never)
        others = np.union1d(drawn(len(shards), KEPT, taken, seed), lists.labeled)
        rows = np.concatenate([found.rows, others])
        table = Path(f"{os.fspath(out)}-sample.parquet")
        write_sample(table, shards, rows, stored_rows(executor, shards, rows))
    ready = prepare(str(table), budget, "random", "auto", None, None, None, None, {}, {})
    fitted, encoder = found.space, ready.encoder
    space = open_space(ready.collection, encoder, rows=ready.train, preprocessing=fitted)
    known = NOTHING if given_labels is None else given_labels.found_in(ready.collection)
    picks = np.arange(budget)
    stands = representatives(space.features, picks, known.rows, None)
    columns = {"row": found.rows, **found.columns}
    selection = Constrained(
        picks,
        stands,
        columns,
        method,
        found.parameters,
        seed,
        included=picks < found.included,
        chosen=picks >= found.included,
        group=found.group,
        constraints=files_of(constraints) | found.constraints,
    )
    readable = np.ones(len(ready.collection), dtype=bool)
    seconds = {"select": round(time.perf_counter() - began, 3)}
    with runs.new_run(out, overwrite=overwrite) as folder:
        write_run(folder, str(table), ready, space, selection, known, readable, seed, seconds)
        info = read_json(folder / runs.INFO)
        info["shards"] = {
            "address": shown(source if "://" in source else os.path.abspath(source)),
            "digest": shards.digest,
            "rows": len(shards),
            "looked_at": found.looked_at,
            "encoder": dict(shards.encoder),
        }
        write_json(folder / runs.INFO, info)
    return Run.open(out)


def files_of(constraints: Constraints) -> dict[str, str]:
    """The files that constraints came from, by name."""
    given = {name: getattr(constraints, name) for name in ("exclude", "include", "groups")}
    files = {name: one for name, one in given.items() if isinstance(one, str | os.PathLike)}
    return {f"{name}_file": shown(one) for name, one in files.items()}


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
    instead = {
        "use_known": "Shards carry no labels; name a table of them: --labels FILE.",
        "memory": "A task holds a shard: make smaller ones with usl embed --shard-images.",
    }
    for name, value in given.items():
        if value is not None and value is not False:
            why = instead.get(name, "Leave it out; shards hold features alone.")
            raise UsageError(f"{name}: not on Ray. {why}")


def write_sample(path: Path, shards: Shards, rows: Rows, features: Float32) -> None:
    """Write some rows, in this order, as :mod:`usl.data.embedded_features` reads.

    ``features`` [r, width] of them, as the shards hold them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {}
    for name, column in (("image_id", "id"), ("path", "path"), ("digest", "digest")):
        texts = texts_of(shards, rows, column)
        if texts is not None:
            columns[name] = pa.array(texts.tolist(), pa.string())
    if (spans := spans_of(shards, rows)) is not None:
        columns |= {name: pa.array(spans[:, at]) for at, name in enumerate(SPAN)}
    flat = pa.array(features.reshape(-1))
    columns["feature"] = pa.FixedSizeListArray.from_arrays(flat, shards.width)
    with atomic_write(path) as handle:
        pq.write_table(pa.table(columns).replace_schema_metadata(marked(shards.encoder)), handle)


def row_lists(shards: Shards, constraints: Constraints, labels: ListedLabels | None) -> RowLists:
    """The rows of what is excluded, must be picked, or is labelled.

    Raises :class:`DataError` naming an entry that the shards do not hold.
    """
    given = {name: getattr(constraints, name) for name in ("exclude", "include")}
    lists: dict[str, Any] = {
        name: listed(value, len(shards), name) for name, value in given.items()
    }
    if labels is not None:
        lists["labeled"] = Listed(labels.words, labels.where)
    named = {name: one for name, one in lists.items() if isinstance(one, Listed)}
    lists |= rows_by_id(shards, named)
    return RowLists.of(lists["exclude"], lists["include"], lists.get("labeled"))
