"""Open a run again: its images, its split and its features, in one row order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.progress import Progress, silent
from usl.core.words import quoted
from usl.data.collection import Collection
from usl.features.contract import Encoder
from usl.features.embed import GIVEN
from usl.features.open_encoder import as_recorded, open_encoder, open_recorded
from usl.features.preprocessing import Preprocessing
from usl.features.space import Space, open_space
from usl.labeling.answers.sync import checked_split
from usl.numeric.neighbor_graph import SEARCHED
from usl.run.folder import Run
from usl.run.models import SPACE, TrainedModel
from usl.run.split import Split

PREPROCESSING = "preprocessing.npz"
WIDEST_SEARCH = 100  # neighbours of a selection's search up to which a training looks for it


@dataclass(frozen=True, eq=False)
class Opened:
    """A run with its collection, its checked split and its features, in the same row order."""

    run: Run
    collection: Collection
    split: Split
    space: Space

    @property
    def ids(self) -> NDArray[np.str_]:
        """Image ids of the points, str [r]."""
        return self.collection.ids[self.space.rows]

    @property
    def subsets(self) -> NDArray[np.str_]:
        """Subsets of the points, str [r]."""
        return self.collection.subsets[self.space.rows]

    def split_rows(self) -> NDArray[np.int64]:
        """For each point its row in the split, int64 [r]."""
        position = np.empty(len(self.collection), dtype=np.int64)
        position[self.split.positions(self.collection.ids)] = np.arange(len(self.split))
        return position[self.space.rows]


def open_run(
    run: Run | str | os.PathLike[str],
    *,
    collection: Collection | None = None,
    source: str | None = None,
    split: Split | None = None,
    model: str | None = None,
    trained: TrainedModel | None = None,
    progress: Progress = silent,
) -> Opened:
    """Open a run's images again, match the split to them and bring all into the run's space.

    The space is the selection's, or that of a ``trained`` model. With ``model``
    the images are encoded by another encoder and a new space is fitted. ``split`` is one that was
    checked already.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    found = collection if collection is not None else run.collection(source)
    split = checked_split(run, found) if split is None else split
    record = run.info["encoder"] if trained is None else trained.info["encoder"]
    if model is not None and model != record["name"]:
        space = open_space(found.pictures_alone(), model, progress=progress)
        return Opened(run, found, split, space)
    space = recorded_space(run, record, found, progress, trained, fetch=model is not None)
    check_encoder(run, record, space.embedding.encoder.key, "name another encoder with --model")
    return Opened(run, found, split, space)


def recorded_space(
    run: Run,
    record: dict[str, Any],
    collection: Collection,
    progress: Progress,
    trained: TrainedModel | None = None,
    *,
    fetch: bool = False,
) -> Space:
    """A collection in the space that has the encoder of ``record``, by its name.

    It is the run's, or that of its ``trained`` model. Whether the encoder still is the recorded
    one, its key tells. Anybody may have written the record: its weights are fetched only with
    ``fetch``, when the user has named them, too.
    """
    if record["name"] == GIVEN and collection.features is None:
        raise DataError(
            f"{run.path}: the run was made from features that were given; {collection.source} "
            "holds images. Name features of these images, made in the same way."
        )
    fitted = recorded_preprocessing(run, record, trained)
    made_by = collection.made_by or {"key": GIVEN}
    if record["key"] not in (run.info["encoder"]["key"], made_by["key"]):
        collection = collection.pictures_alone()  # which the model's own encoder looks at
    encoder: Encoder | str = "auto"
    if collection.features is None:
        encoder = recorded_encoder(run, record, trained, fetch=fetch)
    return open_space(
        collection,
        encoder,
        preprocessing=fitted,
        progress=progress,
    )


def recorded_preprocessing(
    run: Run, record: dict[str, Any], trained: TrainedModel | None = None
) -> Preprocessing:
    """The fitted preprocessing of the run, or of its ``trained`` model on another encoder."""
    own = trained is not None and record["key"] != run.info["encoder"]["key"]
    path = trained.path / SPACE if trained is not None and own else run.path / PREPROCESSING
    fitted = Preprocessing.load(path)
    if trained is not None and fitted.digest != record.get("preprocessing", fitted.digest):
        raise DataError(
            f"{path} is not the feature space that the model was trained in. Restore it, or train "
            f"again: usl train {quoted(run.path)}"
        )
    return fitted


def recorded_encoder(
    run: Run,
    record: dict[str, Any],
    trained: TrainedModel | None = None,
    *,
    fetch: bool = False,
) -> Encoder:
    """The encoder of a record by its name or file; whether it still is that one, its key tells."""
    name = _encoder_name(run, record, trained)
    return as_recorded(open_encoder(name), record) if fetch else open_recorded(name, record)


def _encoder_name(run: Run, record: dict[str, Any], trained: TrainedModel | None) -> str:
    """What to open as the encoder of a record: a file of the model or the run, or a name."""
    if "file" not in record:
        return str(record["name"])
    file = Path(str(record["file"])).name
    if trained is not None and (trained.path / file).is_file():
        return str(trained.path / file)
    return str(run.path / file)


def searched_width(run: Run) -> int:
    """How many neighbours a training on the run's features looks for.

    As many as its selection has searched, which finds them in the user's cache, unless that is a
    great number.
    """
    wide = run.info.get("selection", {}).get("parameters", {}).get("k")
    return wide if isinstance(wide, int) and SEARCHED <= wide <= WIDEST_SEARCH else SEARCHED


def run_encoder(run: Run) -> Encoder | None:
    """The encoder that the run was made with, if its weights are here; None where it had none.

    Raises :class:`DataError` where they are others than those of the run.
    """
    record = run.info["encoder"]
    if record["name"] == GIVEN:
        return None
    encoder = open_recorded(_encoder_name(run, record, None), record)
    check_encoder(run, record, encoder.key, "name a start: --start NAME")
    return encoder


def check_encoder(run: Run, record: dict[str, Any], key: str, other: str = "") -> None:
    """DataError where an encoder's ``key`` is not the record's; ``other``: what else may be done.

    Who opens an encoder by its name gets the weights that are here by now.
    """
    if key != record["key"]:
        raise DataError(
            f"{run.path}: the weights of the encoder {record['name']!r} are not those the run was "
            f"made with. Install that version again{f', or {other}' if other else ''}."
        )
