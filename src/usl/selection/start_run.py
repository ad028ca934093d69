"""``usl.start_run``: embed a source, select, and write the run folder."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from usl.core.errors import DataError, TrainingFailedError, UslWarning
from usl.core.files import atomic_write, cache_dir, write_json_lines
from usl.core.hashing import array_digest, json_digest
from usl.core.progress import Progress, expect, silent
from usl.core.seeds import seed_number
from usl.data.collection import Collection
from usl.data.quality import Figures
from usl.engine.cluster import check_engine
from usl.features.contract import PrecisionName
from usl.features.head_encoder import LayerName, with_layer
from usl.features.space import Space, open_space
from usl.numeric.stage_cache import Keep, KeepSearch
from usl.numeric.unit_rows import unless_one
from usl.run import folder as runs
from usl.run.folder import Run
from usl.selection.constraints.select_within import Constraints, select_within
from usl.selection.contract import DEFAULT, METHODS
from usl.selection.known_methods import takes
from usl.selection.poor_quality import keep_figures, without_poor
from usl.selection.prepare import Prepared, prepare
from usl.selection.result import Selection
from usl.selection.select import select
from usl.selection.sharded.start_sharded_run import refuse_on_ray, start_sharded_run
from usl.selection.stages import selection_stages, stages_of_run
from usl.selection.write_run import write_run

RESUMABLE = 100_000  # images; the stages of a selection from more are kept


def start_run(
    source: str | os.PathLike[str] | Collection,
    budget: int,
    out: str | os.PathLike[str],
    *,
    method: str = DEFAULT,
    model: str = "auto",
    layer: LayerName | None = None,
    precision: PrecisionName = "fp32",
    seed: int = 0,
    overwrite: bool = False,
    on_corrupt: Literal["skip", "fail"] = "skip",
    center: bool | None = None,
    standardize: bool | None = None,
    pca: int | None = None,
    constraints: Constraints | None = None,
    memory: int | str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    resume: bool | None = None,
    as_: str | None = None,
    max_pixels: int | None = None,
    labels: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    use_known: bool = False,
    exclude_quality: bool = False,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> Run:
    """Embed the train subset of a source, pick ``budget`` of it, and write the run folder.

    Parameters
    ----------
    source : folder, glob, manifest (CSV, JSONL, Parquet), embeddings (.npy, .npz, .parquet, .csv,
        or a folder of .npy or .parquet shards), WebDataset tars, idx, CIFAR or MedMNIST files, on
        the disk or at an address (s3://bucket/photos); or builtin:fashion_mnist.
    budget : how many images you are willing to label (m).
    out : run folder to create.
    method : how to pick.
    model : encoder: pixels, efficientnet_lite1, efficientnet_lite0, cifar-cld-small, a folder made
        by usl pretrain, a timm model, or ARCH@FILE_OR_URL; auto takes the best that is installed.
    layer : trunk or head of an encoder whose checkpoint has both; the default is the trunk. USL's
        released code selects on the head, which is not centred.
    precision : of the encoder's network: bf16 and fp16 are faster, where the processor or GPU has
        them, and change the features a little.
    seed : of every random draw; the same seed gives the same picks.
    overwrite : replace an earlier run. One that holds your labels is kept beside it.
    on_corrupt : what to do with an image that cannot be read.
    center : subtract the mean of the train subset; the default is the encoder's.
    standardize : divide by the standard deviation of the train subset; the default is the
        encoder's.
    pca : keep so many principal components; the default is the encoder's.
    constraints : what to keep to (:class:`usl.Constraints`), with items by id or listed in files.
    memory : most memory to take, such as 4GB, the encoder's aside; tables that do not fit lie in
        files. The picks are the same.
    scratch : folder for such files, default: in the cache; on Ray one that hosts share, or address.
    resume : go on from what the same selection had finished when it was stopped, and keep what is
        finished. The default does so above 100,000 images.
    as_ : what a table with both paths and numbers is: embeddings or manifest.
    max_pixels : most pixels of an image that is still decoded; the default is Pillow's limit.
    labels : labels that you have already: a table (CSV, JSONL, Parquet) with the columns image_id
        (or path) and label. They count from the start, what they cover is not asked for again, and
        the budget is for new picks. From Python also a mapping of ids to labels.
    use_known : start from the labels that the source itself carries, in the same way.
    exclude_quality : pick no dark, blank, blurred, tiny or oddly shaped picture, and one of exact
        copies; every picture is read once more.
    engine : ray picks on a cluster, from shards that usl embed has written (docs/scale.md).
    address : of a running Ray cluster; by default one is started on this machine.
    **method_params : the method's own parameters.
    """
    if check_engine(engine, address) == "ray":
        about: Any = {"use_known": use_known, "exclude_quality": exclude_quality}
        refuse_on_ray(memory=memory, layer=layer, **about)
        own: Any = {"method": method, "seed": seed, "overwrite": overwrite, "scratch": scratch}
        own |= {"constraints": constraints, "labels": labels, "address": address}
        own |= {"center": center, "standardize": standardize, "pca": pca}
        return start_sharded_run(source, budget, out, progress=progress, **own, **method_params)
    began = time.perf_counter()
    runs.check_free(out, overwrite=overwrite)
    model = with_layer(model, layer)
    seed = seed_number(seed)
    opened = {"as_": as_, "max_pixels": max_pixels}
    how = (method, model, pca, memory, scratch, constraints, method_params, opened)
    ready = prepare(source, budget, *how, labels, use_known)
    collection, train = ready.collection, ready.train
    expect(progress, *stages_of_run(ready, budget, method, method_params))
    space = open_space(
        collection,
        ready.encoder,
        rows=train,
        settings={"center": center, "standardize": standardize, "pca": pca},
        precision=precision,
        on_corrupt=on_corrupt,
        workspace=ready.workspace,
        progress=progress,
    )
    embedded, quality = time.perf_counter(), cast(Figures, {})
    if exclude_quality:
        ready, quality = without_poor(ready, space.rows, progress)
        constraints = constraints or Constraints()
    readable = ~np.isin(np.arange(len(collection)), np.setdiff1d(train, space.rows))
    known = ready.known.readable(readable, collection.ids)
    expect(progress, *selection_stages(ready, space.features.shape, budget, method, method_params))

    settings = handed_over(ready, space, method, seed, method_params) | {"progress": progress}
    settings["resume"] = kept_stages(len(space.rows)) if resume is None else resume
    training = settings.get("trainable")
    if len(labeled := known.among(space.rows)) and constraints is None:
        settings["labeled"] = labeled
    picks = pick(ready, space, budget, constraints, settings, Path(out))
    selected = time.perf_counter()

    seconds = {"embed": round(embedded - began, 3), "select": round(selected - embedded, 3)}
    with runs.new_run(out, overwrite=overwrite) as folder:
        write_run(folder, source, ready, space, picks, known, readable, seed, seconds)
        if quality:
            keep_figures(folder, collection, space.rows, quality)
    if training is not None and training.folder is not None:
        shutil.rmtree(training.folder, ignore_errors=True)
    return Run.open(out)


def handed_over(
    ready: Prepared, space: Space, method: str, seed: int, params: dict[str, Any]
) -> dict[str, Any]:
    """The method, its parameters, and what it asks for beside the features."""
    handed = {"method": method, "seed": seed, "memory": ready.workspace, **params}
    if ready.oracle and ready.collection.labels is not None:
        handed = {"labels": ready.collection.labels[space.rows], **handed}
    if params.get("end_to_end"):
        handed = {"trainable": trainable(ready.collection, space, params, seed), **handed}
    if takes(METHODS.load(method), "lengths"):
        handed = {"lengths": unless_one(space.lengths()), **handed}
    return handed


def kept_stages(n: int) -> bool | Keep:
    """What is kept of a selection from n images where nobody says: the search, for a training."""
    return True if n > RESUMABLE else KeepSearch()


def pick(
    ready: Prepared,
    space: Space,
    budget: int,
    constraints: Constraints | None,
    settings: dict[str, Any],
    out: Path,
) -> Selection:
    """The picks from the images that could be read; a training that fails leaves its record."""
    try:
        if constraints is None:
            return select(space.features, budget, **settings)
        ids, readable = ready.collection.ids, np.searchsorted(ready.train, space.rows)
        wanted = ready.wanted.restricted(readable, ids[ready.train])
        return select_within(space.features, budget, wanted, ids=ids[space.rows], **settings)
    except TrainingFailedError as error:
        left = out.with_name(f"{out.name}.failed.jsonl")
        write_json_lines(left, error.history)
        raise TrainingFailedError(f"{error} The record is in {left}.", error.history) from error


def trainable(collection: Collection, space: Space, method_params: Any, seed: int) -> Any:
    """What a method that trains the encoder needs (:mod:`usl.selection.methods.usl_t.network`).

    Checkpoints go to the cache, under a hash of everything that defines the training, so that the
    same command goes on where it was stopped.
    """
    from usl.features.open_encoder import open_encoder
    from usl.learning.pictures import open_pictures
    from usl.selection.methods.usl_t.network import Trainable

    assert collection.images is not None
    taken, fitted = collection.images.take(space.rows), space.preprocessing
    defined = repr(sorted(method_params.items()))
    key = json_digest(["network 2", array_digest(space.features), seed, defined])
    return Trainable(
        open_encoder(space.embedding.encoder.name).backbone,  # type: ignore[attr-defined]
        lambda size, progress: open_pictures(
            taken, size, name=collection.source, progress=progress
        ),
        mean=fitted.mean,
        deviation=fitted.deviation,
        components=fitted.components,
        folder=_writable(cache_dir() / "training" / key),
    )


def _writable(folder: Path) -> Path | None:
    """A folder of the cache for checkpoints, or None where it cannot be written, which is said."""
    try:
        with atomic_write(folder / ".writable"):
            pass
        (folder / ".writable").unlink()
    except (OSError, DataError) as error:
        why = error.__cause__ or error
        warnings.warn(
            f"cache: {folder} cannot be written ({why}). If stopped, this training begins anew.",
            UslWarning,
            stacklevel=2,
        )
        return None
    return folder
