"""The predictions of a model: ``predictions.parquet`` and ``.csv``, a label for every image.

======================= ===========================================================================
image_id, subset        as in the split file
label                   a person's if there is one, else the most probable class
confidence              the model's probability of that label
source                  ``human``, ``swept`` (a person's, at a glance) or ``predicted``
unlike                  of a prediction, how little the image is like any class: 0 is usual, from 1
                        on it is like none (:mod:`usl.training.unlike`); empty if not known
suggestion, support     of a person's label, what the other labels say: the likeliest class, and the
                        probability of the label itself (:mod:`usl.training.second_opinions`)
======================= ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.run.models import active_model
from usl.run.split import Split
from usl.run.split_csv import SWEPT, by_people
from usl.run.tables import ID, read_table, write_table

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTIONS = "predictions.parquet"
RECORD = "run.json"  # of the run, which every training rewrites
STAMPED = b"usl.stamp"  # in the metadata of the Parquet file: the model's stamp
COLUMNS = (ID, "subset", "label", "confidence", "source")
MORE = ("unlike", "suggestion", "support")  # which tables of older trainings have not


@dataclass(frozen=True, eq=False)
class Predictions:
    """A label for each of n images.

    ``ids``, ``subsets``, ``labels`` object [n] of ``str`` (a label None where there is none);
    ``confidence`` float64 [n]; ``own`` bool [n], whether the model said it and no person;
    ``unlike`` and ``support`` float64 [n], NaN where not known, ``suggestions`` object [n].
    """

    ids: NDArray[np.object_]
    subsets: NDArray[np.object_]
    labels: NDArray[np.object_]
    confidence: NDArray[np.float64]
    own: NDArray[np.bool_]
    unlike: NDArray[np.float64]
    suggestions: NDArray[np.object_]
    support: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Those of the ``rows`` int64 [m], in that order."""
        return type(self)(**{name: values[rows] for name, values in vars(self).items()})

    def by_id(self) -> dict[str, tuple[str | None, float]]:
        """Label and confidence of each image."""
        pairs = zip(self.labels.tolist(), self.confidence.tolist(), strict=True)
        return dict(zip(self.ids.tolist(), pairs, strict=True))

    def aligned(self, row_of: Mapping[str, int], n: int) -> Self:
        """Those of a collection of n rows, in its order; no label and NaN where nothing is said."""
        rows = np.array([row_of.get(name, -1) for name in self.ids.tolist()], dtype=np.int64)
        known = rows >= 0
        ids, subsets, labels, suggestions = (np.full(n, None, dtype=object) for _ in range(4))
        sure, unlike, support = (np.full(n, np.nan) for _ in range(3))
        own = np.zeros(n, dtype=bool)
        found = type(self)(ids, subsets, labels, sure, own, unlike, suggestions, support)
        for name, values in vars(self).items():
            getattr(found, name)[rows[known]] = values[known]
        return found


def read_predictions(folder: Path) -> Predictions | None:
    """The predictions of a run, or of a model's folder, in the order of the file.

    None before a training. Raises :class:`DataError` naming a file that is damaged, or of another
    training than the run's record.
    """
    model = active_model(folder)
    path = (folder if model is None else model.path) / PREDICTIONS
    if not path.is_file() and path.parent == folder:
        return None
    try:
        table = read_table(path, COLUMNS, more=MORE, fix="Train again: usl train.")
    except DataError:
        now = active_model(folder)
        if model is None or now is None or now.path == model.path:
            raise
        return read_predictions(folder)  # it was trained anew meanwhile
    ids, subsets, labels, sources, suggestions = (
        _texts(path, table, name) for name in (ID, "subset", "label", "source", "suggestion")
    )
    own = sources == "predicted"
    if model is not None:
        model.check_stamp(path, _stamp(table))
        if not set(model.info.get("classes", labels)).issuperset(labels[own].tolist()):
            model.check_stamp(path, "of other classes")
    confidence, unlike, support = (
        _numbers(path, table, name) for name in ("confidence", "unlike", "support")
    )
    return Predictions(ids, subsets, labels, confidence, own, unlike, suggestions, support)


def training_stamp(folder: Path) -> str:
    """What changes when the run is trained anew, so that its predictions are to be read again."""
    found = (folder / RECORD).stat()
    return f"{found.st_mtime_ns}.{found.st_ino}"


def _texts(path: Path, table: pa.Table, name: str) -> NDArray[np.object_]:
    """A column of texts; None where an older table has none."""
    if name in MORE and name not in table.column_names:
        return np.full(len(table), None, dtype=object)
    if str(table[name].type) not in ("string", "large_string"):
        raise DataError(f"{path} cannot be read ({name} is no text). Train again: usl train.")
    return np.array(table[name].to_pylist(), dtype=object)


def _numbers(path: Path, table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column of numbers; NaN where an older table has none."""
    if name in MORE and name not in table.column_names:
        return np.full(len(table), np.nan)
    try:
        return np.asarray(table[name].to_numpy(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({name} is not of numbers). Train again: usl train."
        ) from error


def _stamp(table: pa.Table) -> str | None:
    found = (table.schema.metadata or {}).get(STAMPED)
    return None if found is None else found.decode(errors="replace")


def machine_labelled(folder: Path, split: Split) -> Predictions | None:
    """The train images whose label is a prediction, by id in ascending order; None if untrained.

    Images that a person has labelled since, in the ``split``, are left out.
    """
    found = read_predictions(folder)
    if found is None:
        return None
    given = set(split.ids[by_people(split.sources)].tolist())
    asked = np.array([name not in given for name in found.ids.tolist()], dtype=bool)
    rows = np.flatnonzero((found.subsets == "train") & found.own & asked)
    return found.take(rows[np.argsort(found.ids[rows], kind="stable")])


def write_predictions(folder: Path, table: pa.Table, stamp: str | None = None) -> None:
    """Write a :func:`prediction_table` into the folder of a model, with the model's stamp."""
    if stamp is not None:
        table = table.replace_schema_metadata({STAMPED: stamp.encode()})
    write_table(folder / PREDICTIONS, table)
    write_table((folder / PREDICTIONS).with_suffix(".csv"), table)


def suspicious_rows(found: Predictions) -> NDArray[np.int64]:
    """Rows of people's labels that the other labels contradict, the least supported first."""
    texts = zip(found.labels.tolist(), found.suggestions.tolist(), strict=True)
    differ = np.array([other not in (None, label) for label, other in texts], dtype=bool)
    rows = np.flatnonzero(~found.own & differ & np.isfinite(found.support))
    names = found.ids[rows].astype(str)
    return rows[np.lexsort((names, found.support[rows]))]


def prediction_table(
    ids: NDArray[np.str_],
    subsets: NDArray[np.str_],
    classes: NDArray[np.int64],
    confidence: NDArray[np.float64],
    class_names: list[str],
    human: NDArray[np.bool_],
    unlike: NDArray[np.float64] | None = None,
    opinions: Mapping[int, tuple[str, float]] | None = None,
    swept: NDArray[np.bool_] | None = None,
) -> pa.Table:
    """The table of n images: those that a person labelled first, then the surest.

    Parameters
    ----------
    classes : int64 [n], numbers in ``class_names``; ``confidence`` float64 [n], their probability.
    human : bool [n], whether a person gave the label.
    unlike : float64 [n], how little each is like any class, NaN where not known.
    opinions : by row, the class and the support that the other labels give a person's label.
    swept : bool [n], whether a person gave it at a glance.
    """
    import pyarrow as pa

    n = len(classes)
    order = np.lexsort((np.arange(n), -confidence, ~human))
    score = np.full(n, np.nan) if unlike is None else np.where(human, np.nan, unlike)
    source = np.where(human, "human", "predicted")
    source = source if swept is None else np.where(swept, SWEPT, source)
    told = [(opinions or {}).get(row, (None, None)) for row in order.tolist()]
    return pa.table(
        {
            ID: pa.array(ids[order].tolist(), pa.string()),
            "subset": pa.array(subsets[order].tolist(), pa.string()),
            "label": pa.array([class_names[number] for number in classes[order].tolist()]),
            "confidence": confidence[order],
            "source": pa.array(source[order].tolist()),
            "unlike": pa.array(score[order].round(4), pa.float64(), from_pandas=True),
            "suggestion": pa.array([name for name, _ in told], pa.string()),
            "support": pa.array([share for _, share in told], pa.float64()),
        }
    )
