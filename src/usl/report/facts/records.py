"""The files of the run folder that the report reads, and whether they still fit together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.files import read_json
from usl.run.folder import EVALUATION, Run
from usl.run.split import Split
from usl.selection.result import METRICS

COMPARISON = "comparison.json"


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the trained model says of each row of the collection; ``own`` where nobody told it.

    ``labels`` object [n] of ``str`` or None; ``confidence`` float64 [n]; ``own`` bool [n].
    """

    labels: NDArray[np.object_]
    confidence: NDArray[np.float64]
    own: NDArray[np.bool_]


def read_selection(run: Run) -> dict[str, list[Any]]:
    """The columns of ``selection.parquet``."""
    import pyarrow.parquet

    path = run.path / "selection.parquet"
    try:
        return dict(pyarrow.parquet.read_table(path).to_pydict())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}). Restore it, or select anew: usl select."
        ) from error


def read_predictions(run: Run, row_of: dict[str, int], n: int) -> Predictions | None:
    """``predictions.parquet`` in the order of a collection of n rows."""
    import pyarrow.parquet

    path = run.path / "predictions.parquet"
    if not path.is_file():
        return None
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Train again: usl train.") from error
    rows = np.array([row_of.get(name, -1) for name in table["image_id"].to_pylist()], np.int64)
    known = rows >= 0
    labels = np.full(n, None, dtype=object)
    confidence, own = np.full(n, np.nan), np.zeros(n, dtype=bool)
    labels[rows[known]] = np.array(table["label"].to_pylist(), dtype=object)[known]
    confidence[rows[known]] = table["confidence"].to_numpy()[known]
    own[rows[known]] = np.array([s == "predicted" for s in table["source"].to_pylist()])[known]
    return Predictions(labels, confidence, own)


def read_optional(run: Run, name: str) -> dict[str, Any] | None:
    """A record of the run folder, or None where it has not been made."""
    path = run.path / name
    if not path.is_file():
        return None
    record = read_json(path)
    if not isinstance(record, dict):
        raise DataError(f"{path}: not a record of this program. Delete it, and make it again.")
    return record


def read_history(run: Run, notes: list[str]) -> tuple[dict[str, Any], ...]:
    """What the method recorded while it trained; a note, and none, if that cannot be read."""
    path = run.path / METRICS
    if not path.is_file():
        return ()
    records: list[dict[str, Any]] = []
    try:
        for text in path.read_text(encoding="utf-8").rstrip().split("\n"):
            record = json.loads(text)
            if not isinstance(record, dict):
                raise ValueError("a record is needed")
            records.append(record)
    except (OSError, ValueError, RecursionError) as error:
        notes.append(
            f"How the clusters were learned is not shown: {path}, line {len(records) + 1}, cannot "
            f"be read ({error}). Restore it, or select anew: usl select."
        )
        return ()
    return tuple(records)


def out_of_date(run: Run, split: Split) -> list[str]:
    """Notes on figures that are older than what they describe."""
    notes = []
    training = run.info.get("training")
    labels = len(split.labeled("train"))
    if training and training["labels"] != labels:
        notes.append(
            f"The classifier learned from {training['labels']:,} labels; split.csv now holds "
            f"{labels:,}. Train again: usl train."
        )
    figures = read_optional(run, EVALUATION)
    if figures and training:
        then = (figures["method"], figures["labels"], figures["encoder"])
        if then != (training["method"], training["labels"], training["encoder"]["name"]):
            notes.append(
                "The accuracies are those of an earlier training. Measure again: usl evaluate."
            )
    return notes
