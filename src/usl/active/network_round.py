"""A round of ``usl next`` that asks through a network, trained on the images of the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from usl.active.network import query_network
from usl.active.round_record import Chosen
from usl.active.state import RunState, Said, every
from usl.active.tasks import asker_of
from usl.core.errors import DataError
from usl.core.progress import Progress
from usl.data.image_source import Images
from usl.labeling.answers.called_now import classes_now, names_now
from usl.learning.backbone import load_backbone
from usl.learning.pictures import encode, open_pictures
from usl.run.identity import check_identity
from usl.run.models import MODEL, NETWORK
from usl.training.models import Probabilities, load_model, save_model
from usl.training.open_run import Opened
from usl.training.train_network import FOLDER, Examples, Place, start_of

NEXT = "next"  # folder of the training of a round, beside that of usl train


def through_network(
    opened: Opened,
    state: RunState,
    budget: int,
    method: str,
    task: str,
    seed: int,
    progress: Progress,
    params: Mapping[str, Any],
    *,
    dry_run: bool = False,
) -> Chosen:
    """Train a network on the images of a run, and pick through it.

    Its checkpoint lies in the run, as that of ``usl train`` does; of a ``dry_run`` nothing stays.

    Raises
    ------
    DataError : the run has features alone.
    UsageError : fewer than two classes have a label.
    """
    source = opened.collection
    if source.images is None:
        raise DataError(
            f"{source.source}: a network is trained on images, but these are features alone. Leave "
            "the task out: a learner on the features is asked instead."
        )
    rows = opened.space.rows[opened.subsets == "train"]
    images = source.images.take(rows)
    asker = asker_of(method, task)
    own, training = asker.divided(params)
    start = start_of(state.run, None, training)
    named = isinstance(start, str)
    training |= {"start": start if named else None, "begin": None if named else start}
    previous = None
    if asker.sees("previous"):
        previous = said_before(state, images, source.source, progress)
    with TemporaryDirectory() as working:
        folder, network = Path(working), Path(working) / NETWORK
        made = query_network(
            Examples(images, state.ids, *every(state), source.source),
            budget,
            class_names=state.names,
            place=Place(
                folder if dry_run else state.run.path / FOLDER / NEXT,
                network,
                lambda: check_identity(state.run.path, state.run.identity),
            ),
            method=method,
            task=task,
            candidates=state.candidates,
            audited=state.audited,
            pending=state.open,
            previous=previous,
            seed=seed,
            params=own,
            progress=progress,
            **training,
        )
        save_model(folder / MODEL, made.trained.model, state.names)
        files = {file.name: file.read_bytes() for file in (network, folder / MODEL)}
    return Chosen(
        method,
        Said(made.task, made.predictions),
        made.query,
        made.passed,
        made.trained.parameters,
        files,
    )


def said_before(
    state: RunState, images: Images, name: str, progress: Progress
) -> Probabilities | None:
    """What the network of the newest round that has one says, float64 [n, C]; None without one.

    Its classes by their present names; 0 for a class that it did not know.
    """
    for one in reversed(state.run.rounds()):
        network = one.path / NETWORK
        if one.number and network.is_file():
            break
    else:
        return None
    backbone, _ = load_backbone(network)
    model, names = load_model(one.path / MODEL)
    names = classes_now(names, names_now(state.run.path))
    pictures = open_pictures(images, backbone.size, name=name, progress=progress)
    said = model.probabilities(encode(backbone, pictures).numpy())
    found = np.zeros((len(images), len(state.names)))
    for number, known in enumerate(names):
        if known in state.names:
            found[pictures.rows, state.names.index(known)] += said[:, number]
    total = found.sum(axis=1, keepdims=True)
    return np.where(total > 0, found / np.maximum(total, 1e-300), 1 / len(state.names))
