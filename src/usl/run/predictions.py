"""A label and a confidence for every image of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.files import atomic_write
from usl.features.space import Space, restrict
from usl.run.folder import Run
from usl.training.contract import Model, Probabilities
from usl.training.open_run import Opened

if TYPE_CHECKING:
    import pyarrow as pa


def predict_points(model: Model, space: Space, train_points: NDArray[np.bool_]) -> Probabilities:
    """Probabilities of every point: the method's own for train, the model's for all others."""
    own = model.fitted()
    if own is None:
        return model.probabilities(space.features)
    if len(own) != train_points.sum():
        raise DataError(
            f"The model was trained on {len(own):,} images, but there are now "
            f"{int(train_points.sum()):,} in the train subset. Train again: usl train RUN."
        )
    others = restrict(space, ~train_points)
    result = np.empty((len(space.features), own.shape[1]))
    result[train_points] = own
    if len(others.features):
        result[~train_points] = model.probabilities(others.features)
    return result


def write_predictions(
    run: Run,
    opened: Opened,
    probabilities: Probabilities,
    class_names: list[str],
    human: NDArray[np.bool_],
) -> None:
    """Write ``predictions.csv`` and ``.parquet``: a person's labels first, then the surest."""
    table = prediction_table(opened.ids, opened.subsets, probabilities, class_names, human)
    for ending in (".parquet", ".csv"):
        write_table(run.path / f"predictions{ending}", table)


def prediction_table(
    ids: NDArray[np.str_],
    subsets: NDArray[np.str_],
    probabilities: Probabilities,
    class_names: list[str],
    human: NDArray[np.bool_],
) -> pa.Table:
    """``image_id``, ``subset``, ``label``, ``confidence`` (its probability) and ``source``."""
    import pyarrow as pa

    best = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(best)), best]
    order = np.lexsort((np.arange(len(best)), -confidence, ~human))
    return pa.table(
        {
            "image_id": pa.array(ids[order].tolist(), pa.string()),
            "subset": pa.array(subsets[order].tolist(), pa.string()),
            "label": pa.array([class_names[number] for number in best[order].tolist()]),
            "confidence": confidence[order],
            "source": pa.array(np.where(human, "human", "predicted")[order].tolist()),
        }
    )


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as ``.csv`` or ``.parquet``, by the ending."""
    import pyarrow.csv
    import pyarrow.parquet

    with atomic_write(path) as handle:
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(table, handle)
        else:
            pyarrow.csv.write_csv(table, handle)
