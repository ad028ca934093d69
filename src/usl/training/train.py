"""``usl train``: learn from the labels of a run, and label every image."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import time
import warnings
from collections import Counter
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError, UslWarning
from usl.core.files import atomic_write
from usl.core.hashing import array_digest, json_digest
from usl.core.methods import Methods, find_method
from usl.core.progress import Progress, expect, silent
from usl.core.seeds import seed_number
from usl.core.words import quoted
from usl.data.collection import Collection
from usl.features.contract import require_torch
from usl.features.space import restrict
from usl.labeling.answers.sync import checked_split
from usl.numeric.arrays import Float32
from usl.numeric.lazy_table import taken
from usl.numeric.stage_cache import KeepSearch
from usl.run.folder import Run
from usl.run.identity import writing
from usl.run.model_changes import add_model, name_for, new_model
from usl.run.models import MODEL, NETWORK, SPACE, STAMP, TrainedModel
from usl.run.predictions import prediction_table, write_predictions
from usl.run.propagate import propagate
from usl.run.split import Split
from usl.run.split_csv import rewrite, write_mirror
from usl.training.audited import compared
from usl.training.beyond import look_beyond, told_of_labels
from usl.training.contract import AUGMENTED, DEFAULT, FROZEN, NETWORKS
from usl.training.doubts import doubts_of
from usl.training.labels import Labels, given_labels, missing_classes
from usl.training.models import Model, kind_of, save_model
from usl.training.open_run import Opened, open_run, searched_width
from usl.training.predict import Verdict, judge_points
from usl.training.second_opinions import SUSPICIOUS
from usl.training.stages import frozen_stages
from usl.training.unlike import LIMIT

if TYPE_CHECKING:
    import pyarrow as pa


def training_method(method: str) -> tuple[Methods, ModuleType]:
    """A training method and its kind, by name or by the path of a ``.py`` file."""
    if method in NETWORKS.names():
        require_torch(f"The method {method}")
    return find_method([FROZEN, NETWORKS], method)


def train(
    run: Run | str | os.PathLike[str],
    *,
    method: str = DEFAULT,
    seed: int = 0,
    collection: Collection | None = None,
    source: str | None = None,
    model: str | None = None,
    use: str | bool | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> Run:
    """Train on the labels of a run and label every other image of its collection.

    The same command goes on where a training was stopped: networks from their last checkpoint with
    ``resume``, a method on the neighbours of many images from their search, which is kept in the
    cache once it is done; the rest takes seconds.

    Writes a model (:mod:`usl.run.models`). The first one of a run is active: evaluation, report,
    prediction and export go by it. A later one takes the place of the one with the same settings;
    with others it is kept beside the active one, which stays active unless the run's audit says
    that the new one is better (:mod:`usl.training.audited`).

    Parameters
    ----------
    run : run folder, with labels filled in.
    method : how to learn.
    seed : of every random draw.
    collection : the images, where they live in memory.
    source : where the images are now, if they have moved.
    model : another encoder than the one the selection used.
    use : True makes the new model the active one, whatever the audit says; so does its name.
    **method_params : the method's own parameters, and of one that trains a network those of
        :func:`usl.training.train_network.train_network`.

    Raises
    ------
    DataError : no labels yet, a single class, images that changed since the selection.
    """
    done, made = train_model(
        run,
        method=method,
        seed=seed,
        collection=collection,
        source=source,
        model=model,
        use=use,
        progress=progress,
        **method_params,
    )
    if not made.active:
        tell_kept(done, made)
    return done


def tell_kept(run: Run, made: TrainedModel) -> None:
    """Say that a new model was kept beside the active one."""
    active = run.models()[0]
    warnings.warn(
        f"The model {made.name!r} is kept in {made.path}; {active.name!r} stays the active one, "
        f"which evaluate, report, predict and export go by. To change that: usl train "
        f"{quoted(run.path)} --use {made.name}, or usl.train(..., use=True).",
        UslWarning,
        stacklevel=3,
    )


def train_model(
    run: Run | str | os.PathLike[str],
    *,
    method: str,
    seed: int = 0,
    collection: Collection | None = None,
    source: str | None = None,
    model: str | None = None,
    use: str | bool | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> tuple[Run, TrainedModel]:
    """As :func:`train`; the run and its new model, active or not.

    ``use`` may be the name that the model is to have, else it is refused before the work.
    """
    began = time.perf_counter()
    seed = seed_number(seed)
    kind, module = training_method(method)
    if kind is FROZEN:
        kind.check(method, module, method_params)
    run = run if isinstance(run, Run) else Run.open(run)
    chosen = {"method": method, "seed": seed, "asked": asked(run, model, method_params)}
    check_use(run, use, name_for(run, chosen))
    found = collection if collection is not None else run.collection(source)
    split = propagate(run, checked := checked_split(run, found))
    with writing(run.path, run.identity):
        if split is checked:
            write_mirror(split.whole(), run.path)  # the CSV stays as the person left it
        else:
            rewrite(split.whole())
    with new_model(run) as working:
        fitted: Model
        told: dict[int, tuple[str, float]]
        if kind is NETWORKS:
            from usl.training.train_network import fit_network

            opened, labels, fitted, settings = fit_network(
                module, method, run, working, found, split, model, seed, progress, method_params
            )
            told = {}  # a network has learned its labels by heart
        else:
            opened, labels, fitted, told = fit_frozen(
                module, method, run, found, split, model, seed, progress, method_params
            )
            settings = method_params
        record = {
            **chosen,
            "parameters": settings,
            "labels": int(((labels.classes >= 0) & labels.human).sum()),
            "propagated": int(((labels.classes >= 0) & ~labels.human).sum()),
            "classes": labels.names,
            "single": labels.single(),
            "missing": missing_classes(run, labels.names),
            "images": int((opened.subsets == "train").sum()),
            "encoder": opened.space.record(),
        }
        said = label_every_image(opened, fitted, labels)
        best = np.array(labels.names, dtype=object)[said.classes]
        record["predicted"] = dict(Counter(best.tolist()).most_common())
        audit = compared(run, split, dict(zip(opened.ids.tolist(), best.tolist(), strict=True)))
        if audit is not None:
            record["audit"] = audit
        table = prediction_table(
            opened.ids,
            opened.subsets,
            said.classes,
            said.confidence,
            labels.names,
            labels.human,
            said.unlike,
            {row: one for row, one in told.items() if labels.human[row]},
            labels.swept,
        )
        record |= judged(opened, fitted, labels, said, told)
        record |= counts_of(table)
        with writing(run.path, run.identity):
            record["encoder"] = {**opened.space.record(), **own_encoder(opened, working)}
            stamp = write_model(working, opened, fitted, labels, said, record, table)
        seconds = round(time.perf_counter() - began, 3)
        record |= {"seconds": seconds, STAMP: stamp}
        better = audit is not None and audit["better"]
        return add_model(run, working, record, use=bool(use) or better)


def asked(run: Run, model: str | None, params: dict[str, Any]) -> dict[str, Any]:
    """What a person has chosen beside method and seed, as ``run.json`` keeps it.

    How the training runs on a machine is left out: it makes no other model.
    """
    from usl.learning.loop_options import LoopOptions

    machine = {"hardware", *(field.name for field in fields(LoopOptions))}
    chosen = {name: value for name, value in params.items() if name not in machine}
    own = model is None or model == run.info["encoder"]["name"]
    told: dict[str, Any] = json.loads(json.dumps(chosen, default=str))
    return {"model": None if own else model, **told}


def check_use(run: Run, use: str | bool | None, name: str) -> None:
    """UsageError for the name of another model than the training makes."""
    if isinstance(use, str) and use != name:
        raise UsageError(
            f"use: this training makes the model {name!r}, not {use!r}. Name that one, or leave "
            f"the training out: usl train {quoted(run.path)} --use {use}"
        )


def fit_frozen(
    module: ModuleType,
    method: str,
    run: Run,
    collection: Collection,
    split: Split,
    model: str | None,
    seed: int,
    progress: Progress,
    given: dict[str, Any],
) -> tuple[Opened, Labels, Model, dict[int, tuple[str, float]]]:
    """Open the run and fit a method on its features; what its labels say of each other, by row."""
    opened = open_run(run, collection=collection, split=split, model=model, progress=progress)
    labels = given_labels(opened)
    train_points = opened.subsets == "train"
    features = taken(opened.space.features, np.flatnonzero(train_points))
    known = (labels.classes[train_points], labels.weights[train_points], len(labels.names))
    sizes = len(features), len(train_points) - len(features), features.shape[1], len(labels.names)
    expect(progress, *frozen_stages(module, method, *sizes))
    graph = prepare(module, run, features, given, progress)
    more = handed(module, opened, train_points, seed, progress)
    fitted = module.fit(features, *known, **more, **graph, **given)
    beyond = look_beyond(fitted, features, *known, graph.get("graph"), progress)
    told = told_of_labels(beyond, np.flatnonzero(train_points), labels.names)
    return opened, labels, beyond.model, told


def prepare(
    module: ModuleType,
    run: Run,
    features: Float32,
    method_params: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """What a method on the neighbours of the train items needs of their features alone.

    The search is kept in the user's cache: a selection from the same features has left it there,
    and a training that was stopped, too.
    """
    ready = getattr(module, "prepare", None)
    if ready is None or "keep" not in inspect.signature(ready).parameters:
        return {}
    keep = {"keep": KeepSearch(), "searched": searched_width(run), "progress": progress}
    found: dict[str, Any] = ready(features, **keep, **method_params)
    return found


def handed(
    module: ModuleType,
    opened: Opened,
    train_points: NDArray[np.bool_],
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """What a method on frozen features gets beside its own parameters."""
    shared: dict[str, Any] = {"seed": seed, "progress": progress}
    if AUGMENTED in inspect.signature(module.fit).parameters:
        from usl.features.views import view_features

        train_space = restrict(opened.space, train_points)
        shared[AUGMENTED] = partial(
            view_features, opened.collection, train_space, progress=progress
        )
    return shared


def own_encoder(opened: Opened, working: Path) -> dict[str, str]:
    """Of an encoder that is a file of the run, its name there; one of a model goes with the new.

    The former model is removed with the network that it has.
    """
    path = Path(opened.space.embedding.encoder.name)
    path = path / "encoder.safetensors" if path.is_dir() else path
    home = opened.run.path.resolve()
    if not path.is_file() or not path.resolve().is_relative_to(home):
        return {}
    if path.resolve() == home / "encoder.safetensors":  # of the selection
        return {"file": path.name}
    if path.resolve().parent != working.resolve():
        with open(path, "rb") as source, atomic_write(working / NETWORK) as target:
            shutil.copyfileobj(source, target)
    return {"name": str(opened.run.path / NETWORK), "file": NETWORK}


def judged(
    opened: Opened,
    fitted: Model,
    labels: Labels,
    said: Verdict,
    told: dict[int, tuple[str, float]],
) -> dict[str, Any]:
    """The method's own estimate of its accuracy, None without one, and doubts about the model."""
    estimate = getattr(fitted, "estimate", 0.0) or None
    train = opened.subsets == "train"
    given = np.where(labels.human & (labels.weights > 0), labels.classes, -1)[train]
    guess = said.classes[train]
    right = sum(labels.names[labels.classes[row]] == name for row, (name, _) in told.items())
    doubts = doubts_of(guess, given, labels.names, estimate, (right, len(told)))
    return {"estimate": None if estimate is None else round(estimate, 4), "doubts": doubts}


def label_every_image(opened: Opened, fitted: Model, labels: Labels) -> Verdict:
    """The class of every point, how sure it is, and how little it is like any class.

    A person's answer stands, whatever the model thinks.
    """
    said = judge_points(fitted, opened.space, opened.subsets == "train")
    given = np.flatnonzero((labels.classes >= 0) & labels.human)
    said.classes[given], said.confidence[given] = labels.classes[given], 1.0
    return said


def counts_of(table: pa.Table) -> dict[str, int | None]:
    """How many images are ``unlike`` every class (None: not known), and ``suspicious`` labels.

    A label is counted where the others nearly rule it out.
    """
    unlike, support = (table[name].to_numpy() for name in ("unlike", "support"))
    known = np.isfinite(unlike).any()
    return {
        "unlike": int((unlike >= LIMIT).sum()) if known else None,
        "suspicious": int((support < SUSPICIOUS).sum()),
    }


def write_model(
    working: Path,
    opened: Opened,
    fitted: Model,
    labels: Labels,
    said: Verdict,
    record: dict[str, Any],
    table: pa.Table,
) -> str:
    """Write the model, its space and a label for every image; the stamp that all of it bears.

    The same training gives the same stamp.
    """
    arrays = {name: array_digest(np.asarray(one)) for name, one in fitted.arrays().items()}
    made_by = [record[name] for name in ("method", "seed", "classes")]
    space = [record["encoder"][name] for name in ("key", "preprocessing")]
    told = array_digest(said.classes), array_digest(said.confidence)
    found = [opened.ids.tolist(), *told, labels.human.tolist()]
    stamp = json_digest([made_by, space, kind_of(fitted), arrays, found])
    save_model(working / MODEL, fitted, labels.names, stamp)
    if opened.space.embedding.encoder.key != opened.run.info["encoder"]["key"]:
        opened.space.preprocessing.save(working / SPACE)
    write_predictions(working, table, stamp)
    return stamp
