"""The averages of the last epochs of a training, for an accuracy that is their mean.

MixMatch's paper reports the median error of its last 20 checkpoints, USL's the mean accuracy of
the last 20 epochs (6.12), an epoch being 1,024 steps.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from usl.core.errors import UsageError
from usl.run.models import EPOCHS
from usl.training.models import LinearModel, save_model

EPOCH = 1024  # steps


def epochs_to_keep(asked: int | None, recipe: int, steps: int) -> int:
    """How many of the last epochs of a training of ``steps`` steps are kept.

    Raises
    ------
    UsageError
        more are asked for than there are.
    """
    there = steps // EPOCH
    if asked is not None and not 0 <= asked <= there:
        raise UsageError(
            f"last_epochs: {asked} given, but {steps:,} steps are {there} epochs of {EPOCH:,} "
            "steps. Ask for no more, or train longer."
        )
    return min(recipe, there) if asked is None else asked


class LastEpochs:
    """A monitor of the loop that keeps the teacher at the end of each of the last epochs.

    Parameters
    ----------
    beside : the folder of the checkpoint; files of an earlier training are removed, unless this
        one goes on.
    count : of epochs; steps : of the whole training.
    names : of the classes; told : what the network was told in training.
    """

    def __init__(
        self, beside: Path, count: int, steps: int, names: list[str], told: str, *, resume: bool
    ) -> None:
        from usl.learning.ranks import rank

        self.folder, self.names, self.told = beside / EPOCHS, names, told
        self.writes = rank() == 0  # of several processes one does
        last = steps // EPOCH
        self.epochs = range(last - count + 1, last + 1)
        if not resume and self.writes:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __call__(self, task: Any) -> Mapping[str, float]:
        """Keep the teacher, if an epoch has ended that is one of the last; no figures."""
        from usl.learning.backbone import save_backbone

        epoch, inside = divmod(int(task.steps), EPOCH)
        if inside == 0 and epoch in self.epochs and self.writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            backbone, head = task.kept.backbone, task.kept.head
            save_backbone(network_file(self.folder, epoch), backbone, self.told, epoch=epoch)
            arrays = (value.detach().double().cpu().numpy() for value in head.parameters())
            save_model(model_file(self.folder, epoch), LinearModel(*arrays), self.names)
        return {}

    def copy_to(self, model: Path) -> None:
        """Copy what was kept into the folder of the model."""
        if self.folder.is_dir() and self.writes:
            shutil.copytree(self.folder, model / EPOCHS)


def kept_epochs(model: Path, parameters: Mapping[str, Any]) -> list[int]:
    """The epochs that the training of a model has kept, ascending; none if its files are gone.

    ``model`` : its folder; ``parameters`` : of the training, as in ``run.json``.
    """
    last, count = int(parameters.get("steps") or 0) // EPOCH, parameters.get("last_epochs") or 0
    epochs = list(range(last - int(count) + 1, last + 1))
    files = [make(model / EPOCHS, one) for one in epochs for make in (network_file, model_file)]
    return epochs if all(file.is_file() for file in files) else []


def network_file(folder: Path, epoch: int) -> Path:
    """Where the network of an epoch is."""
    return folder / f"{epoch:06d}.safetensors"


def model_file(folder: Path, epoch: int) -> Path:
    """Where the last layer of an epoch is."""
    return folder / f"{epoch:06d}.npz"
