"""``usl export RUN --to onnx``: the model of a run, encoder and classifier, for other programs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.core.methods import Methods
from usl.core.progress import Progress, silent
from usl.data.addresses import is_address, shown
from usl.features.contract import Encoder
from usl.features.embed import GIVEN
from usl.features.preprocessing import Preprocessing
from usl.labeling.exchange.export_images import EXPORTS
from usl.labeling.exchange.place import RECORD, check_place, new_place, place_of
from usl.run.folder import Run
from usl.training.models import Model, open_model
from usl.training.open_run import recorded_encoder, recorded_preprocessing

WRITERS = Methods("usl.training.exports", "write", noun="format")


@dataclass(frozen=True)
class ExportedModel:
    """What a form is written from.

    ``model`` classifies the rows that ``preprocessing`` makes of those of ``encoder``; ``classes``
    are the names of its columns, ``about`` what made it, ``home`` where the result will lie.
    """

    encoder: Encoder
    preprocessing: Preprocessing
    model: Model
    classes: list[str]
    about: dict[str, Any]
    home: Path


@dataclass(frozen=True)
class Written:
    """What was written: the folder ``out`` and the ``paths`` in it; ``next`` says how to use it."""

    out: Path
    paths: list[Path]
    next: list[str]


def export_model(
    run: Run | str | os.PathLike[str],
    to: str = "onnx",
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **format_params: Any,
) -> Written:
    """Write the active model of a run, from the prepared picture to the probabilities.

    Parameters
    ----------
    run : run folder, trained.
    to : the form.
    out : folder to write, also at an address; the default is in the folder exports of the run.
    overwrite : replace an earlier export, if nothing changed in it since.
    **format_params : the form's own parameters.

    Raises
    ------
    UsageError
        unknown form or parameter, a place that is taken, an encoder that cannot be exported.
    DataError
        the run is not trained, or on features that were given.
    MissingDependencyError
        a package that the form needs is not installed.
    """
    module = WRITERS.load(to)
    WRITERS.check(to, module, format_params)
    run = run if isinstance(run, Run) else Run.open(run)
    home = place_of(run.path / EXPORTS / to if out is None else out)
    check_place(home, folder=True, overwrite=overwrite)
    trained, model, classes = open_model(run.path)
    record: dict[str, Any] = trained.info["encoder"]
    if record["name"] == GIVEN:
        raise DataError(
            f"{run.path}: the run was made from features that were given, so it has no encoder to "
            f"export. Start a run from the images, with an encoder: usl select IMAGES --model NAME"
        )
    progress(0, 1, "export")
    encoder = recorded_encoder(run, record, trained)
    if encoder.key != record["key"]:
        raise DataError(
            f"{run.path}: the weights of the encoder {record['name']!r} are not those that the "
            "model was trained on. Install that version again, or train again."
        )
    about = {
        "method": trained.info["method"],
        "encoder": {name: record[name] for name in ("name", "key", "supervision")},
    }
    fitted = recorded_preprocessing(run, record, trained)
    with new_place(home, folder=True, about={"to": to}, run=run) as temporary:
        exported = ExportedModel(encoder, fitted, model, classes, about, home)
        steps = module.write(exported, temporary, **format_params)
    progress(1, 1, "export")
    if is_address(home):
        return Written(home, [home], [step.replace(str(home), shown(home)) for step in steps])
    paths = sorted(path for path in home.iterdir() if path.name != RECORD)
    return Written(home, paths, steps)
