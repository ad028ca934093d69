"""Records of the run folder for the report, and notes on what in them is out of date."""

from __future__ import annotations

import json
from typing import Any

from usl.core.files import read_record
from usl.run.folder import Run
from usl.run.models import EVALUATION, STAMP, active_model
from usl.run.split import Split
from usl.selection.result import METRICS

COMPARISON = "comparison.json"


def read_optional(run: Run, name: str) -> dict[str, Any] | None:
    """A record of the run folder, or None where it has not been made."""
    path = run.path / name
    return read_record(path) if path.is_file() else None


def read_evaluation(run: Run) -> dict[str, Any] | None:
    """The figures of the active model, or None where nobody has measured."""
    model = active_model(run.path)
    path = (run.path if model is None else model.path) / EVALUATION
    if not path.is_file():
        return None
    figures = read_record(path)
    if model is not None:
        model.check_stamp(path, figures.get(STAMP))
    return figures


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
    learned = training["labels"] + training.get("propagated", 0) if training else labels
    if learned != labels:
        notes.append(
            f"The classifier learned from {learned:,} labels; split.csv now holds {labels:,}. "
            "Train again: usl train."
        )
    figures = read_evaluation(run)
    if figures and training:
        then = (figures["method"], figures["labels"], figures["encoder"])
        if then != (training["method"], training["labels"], training["encoder"]["name"]):
            notes.append(
                "The accuracies are those of an earlier training. Measure again: usl evaluate."
            )
    return notes
