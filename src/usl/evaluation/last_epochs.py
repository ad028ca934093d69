"""Accuracy over the last epochs of a training: their mean, as USL's paper has it for MixMatch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress
from usl.features.embed import embed
from usl.run.models import EPOCHS, TrainedModel
from usl.training.last_epochs import kept_epochs, model_file, network_file
from usl.training.models import load_model
from usl.training.open_run import Opened


def last_epochs_figures(
    opened: Opened,
    trained: TrainedModel,
    classes: NDArray[np.int64],
    names: list[str],
    progress: Progress,
) -> dict[str, Any]:
    """``last_epochs``: for test and val the accuracies of each, mean and median; or nothing.

    Parameters
    ----------
    classes : the answers [n] as numbers in ``names``, -1 where none is known.
    """
    path, told = trained.path, trained.info["parameters"]
    epochs = kept_epochs(path, told)
    if not epochs:
        return {}
    found: dict[str, Any] = {"epochs": epochs}
    for subset in ("test", "val"):
        rows = np.flatnonzero((opened.subsets == subset) & (classes >= 0))
        if not len(rows):
            continue
        part = opened.collection.take(opened.space.rows[rows]).pictures_alone()
        shares = []
        for epoch in epochs:
            network = str(network_file(path / EPOCHS, epoch))
            made = embed(part, network, cache=False, on_corrupt="fail", progress=progress)
            model, known = load_model(model_file(path / EPOCHS, epoch))
            numbers = np.array([names.index(name) for name in known])
            best = model.probabilities(np.asarray(made.rows, np.float32)).argmax(axis=1)
            shares.append(float((numbers[best] == classes[rows]).mean()))
        found[subset] = {
            "accuracies": shares,
            "mean": float(np.mean(shares)),
            "median": float(np.median(shares)),
        }
    return {"last_epochs": found}
