"""``usl predict`` of shards of features, or of images by way of them: a table in shards, too.

===================== ============================================================================
part-00000.parquet    ``image_id``, ``label``, ``confidence``, ``unlike``, in the order of the
                      features' shard of that name
features/             the features, where images were given: a source like any other
_predicting.json      what is made here: the model, and the features it labels
_predictions.json     the record, last of all: rows of each shard, and how many have each label
===================== ============================================================================
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from usl.core.errors import DataError, UsageError
from usl.core.hashing import bytes_digest
from usl.core.progress import Progress, silent
from usl.data.addresses import is_address, shown
from usl.data.collection import Collection
from usl.data.open import open_collection, tell
from usl.data.sinks import check_sink
from usl.engine.cluster import check_engine, connect
from usl.engine.executor import Executor, InProcess, OnRay, check_reached
from usl.engine.shards import RECORD as FEATURES_RECORD
from usl.engine.shards import Shards, open_shards, shard_name
from usl.engine.store import Store
from usl.features.embed import GIVEN
from usl.features.embed_shards import embed_shards
from usl.features.preprocessing import Preprocessing
from usl.labeling.answers.called_now import names_now
from usl.run.folder import Run
from usl.run.models import MODEL
from usl.training.models import Model, open_model
from usl.training.open_run import recorded_encoder, recorded_preprocessing
from usl.training.predict import JUDGED, JUDGED_ROWS, judge
from usl.training.told import most_probable
from usl.training.unlike import LIMIT

PLAN, RECORD, FEATURES = "_predicting.json", "_predictions.json", "features"
TOLD = b"usl"  # in the metadata of a shard: its counts
LABEL = "predictions"


@dataclass(frozen=True)
class PredictedInShards:
    """Predictions that were written as shards under ``place``.

    ``counts`` tells how many of the ``rows`` have each label, ``unlike`` how many are like no
    class, None where the method does not know; ``skipped`` is what could not be read.
    """

    place: str
    rows: int
    counts: Mapping[str, int]
    unlike: int | None
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Judge:
    """What a worker needs to label features: the classifier, its space, and its classes' names."""

    model: Model
    space: Preprocessing
    called: list[str]


def predict_shards(
    run: Run | str | os.PathLike[str],
    source: str | os.PathLike[str] | Collection,
    out: str | os.PathLike[str],
    *,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> PredictedInShards:
    """Label every row of a sharded table of features, or every image of a source.

    The labels are those of :func:`usl.training.predict.predict`: the models of all methods label
    an item by itself, whatever other items there are. A call that was interrupted goes on with
    what is there.

    Parameters
    ----------
    run : run folder, trained.
    source : shards made by usl embed, or images, whose features are kept under out/features.
    out : folder or address for the shards of predictions.
    engine : local for this machine, ray for a cluster.
    address : of the Ray cluster; default: one of this machine's cores, until the work is done.
    overwrite : replace other predictions under ``out``.

    Raises
    ------
    DataError
        the run is not trained, or its features are others than those of the source.
    UsageError
        features in one file, or other predictions under ``out``.
    ClusterError
        no cluster at the address, or one that has lost its workers or is full.
    """
    check_engine(engine, address)
    check_sink(out)
    run = run if isinstance(run, Run) else Run.open(run)
    trained, model, class_names = open_model(run.path)
    record: dict[str, Any] = trained.info["encoder"]
    space = recorded_preprocessing(run, record, trained)
    called = [names_now(run.path).present(name) for name in class_names]  # some merged, perhaps
    place = os.fspath(out) if is_address(out) else str(Path(out).expanduser().absolute())
    skipped: tuple[tuple[str, str], ...] = ()
    with nullcontext(None) if engine == "local" else connect(address) as cluster:
        if (shards := _opened(source)) is None:
            collection = open_collection(source)
            tell(collection)
            _check_images(run, record, collection)
            embedded = embed_shards(
                collection,
                f"{place.rstrip('/')}/{FEATURES}",
                recorded_encoder(run, record, trained),
                dtype="float32",  # so that the labels are those of one machine
                engine=engine,
                address=address,
                overwrite=overwrite,
                progress=progress,
            )
            shards, skipped = embedded.shards, (*collection.skipped, *embedded.skipped)
        _check_features(run, record, space, shards)
        plan = {
            "model": bytes_digest((trained.path / MODEL).read_bytes()),
            "space": space.digest,
            "classes": called,
            "features": shards.digest,
        }
        store = Store(place)
        _begin(store, plan, overwrite=overwrite)
        judging: Any = Judge(model, space, called)
        executor: Executor = InProcess()
        if cluster is not None:
            check_reached(cluster, shards.store, FEATURES_RECORD)
            check_reached(cluster, store, PLAN)
            executor, judging = OnRay(cluster), cluster.ray.put(judging)
        items = [(shards, number, store, judging) for number in range(len(shards.parts))]
        parts = list(executor.map(predict_shard, items, progress=progress, label=LABEL))
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part["labels"])
    known = [part["unlike"] for part in parts if part["unlike"] is not None]
    unlike = sum(known) if known else None
    labels = dict(counts.most_common())
    told = {"rows": len(shards), "labels": labels, "unlike": unlike}
    rows = [{"name": shard_name(k), "rows": part.rows} for k, part in enumerate(shards.parts)]
    store.write(RECORD, json.dumps({**told, "shards": rows}, indent=1, ensure_ascii=False).encode())
    return PredictedInShards(store.root, len(shards), labels, unlike, skipped)


def predict_shard(shards: Shards, number: int, store: Store, judging: Judge) -> dict[str, Any]:
    """Label a shard, unless that is done; how many rows have each label, or are like no class."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = shard_name(number)
    if store.has(name):
        with store.open(name) as handle:
            try:
                kept = pq.read_schema(handle).metadata[TOLD]
            except (pa.ArrowException, OSError, LookupError, TypeError) as error:
                raise DataError(
                    f"{store.where(name)}: broken. Remove it, and run the same command again."
                ) from error
        found: dict[str, Any] = json.loads(kept)
        return found
    rows = shards.read(number)
    classes, confidence = np.empty(len(rows), np.int64), np.empty(len(rows))
    unlike = np.full(len(rows), np.nan)
    step = max(1, min(JUDGED_ROWS, JUDGED // len(judging.called)))
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        chances, unlike[part] = judge(judging.model, judging.space.transform(rows[part]))
        classes[part], confidence[part] = most_probable(chances)
    labels = [judging.called[one] for one in classes.tolist()]
    strange = int((unlike >= LIMIT).sum()) if np.isfinite(unlike).any() else None
    told = {"labels": dict(Counter(labels)), "unlike": strange}
    table = pa.table(
        {
            "image_id": pa.array(shards.ids(number).tolist(), pa.string()),
            "label": pa.array(labels, pa.string()),
            "confidence": confidence,
            "unlike": pa.array(unlike.round(4), pa.float64(), from_pandas=True),
        }
    ).replace_schema_metadata({TOLD: json.dumps(told).encode()})
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    store.write(name, content.getbuffer())
    return told


def _opened(source: str | os.PathLike[str] | Collection) -> Shards | None:
    """The shards that a source names; None where it names something else."""
    if isinstance(source, Collection):
        return None
    place = os.fspath(source)
    if not is_address(source):
        place = str(Path(place).expanduser().absolute())
        if not Path(place).is_dir():
            return None
    return open_shards(place) if Store(place).has(FEATURES_RECORD) else None


def _check_images(run: Run, record: Mapping[str, Any], collection: Collection) -> None:
    """Refuse features in one file, and images where the run has no encoder for them."""
    if collection.features is not None:
        raise UsageError(
            f"{collection.source}: features in one file, not in shards. Label them without "
            "--engine ray: usl predict RUN SOURCE --out FILE."
        )
    if record["name"] == GIVEN:
        raise DataError(
            f"{run.path}: the run was made from features that were given; {collection.source} "
            "holds images. Name features of these images, made in the same way."
        )


def _check_features(
    run: Run, record: Mapping[str, Any], space: Preprocessing, shards: Shards
) -> None:
    """Refuse features that were made by another encoder than those of the training."""
    key = shards.encoder.get("key")
    if record["name"] != GIVEN and key != record["key"]:
        name = shards.encoder.get("name", "no encoder that is known")
        raise DataError(
            f"{run.path}: was trained on {record['name']} features; {shown(shards.store.root)} "
            f"holds others ({name}, or the same with other weights). Name the images instead."
        )
    if shards.width != space.width:
        raise DataError(
            f"{shown(shards.store.root)}: features of width {shards.width}; {run.path} was "
            f"trained on {space.width}."
        )


def _begin(store: Store, plan: Mapping[str, Any], *, overwrite: bool) -> None:
    """Claim the place; what the same model has left there for the same features stays."""
    there = None
    if store.has(PLAN):
        with store.open(PLAN) as handle:
            there = handle.read()
    here = json.dumps(plan, indent=1, ensure_ascii=False).encode()
    if there == here and not overwrite:
        return
    files = store.sizes()
    if files and not overwrite:
        what = "files" if there is None else "predictions by another model or of other features"
        raise UsageError(
            f"{shown(store.root)}: holds {what}. Name an empty place, or replace what is there: "
            "--overwrite."
        )
    old = [name for name in files if name.startswith("part-") and name.endswith(".parquet")]
    store.remove([RECORD, PLAN, *old])
    store.write(PLAN, here)
