"""Choose which few images of an unlabelled collection a person should label, then learn from them.

The pipeline in five lines::

    run = usl.start_run("photos/", budget=40, out="run")   # embed, select, ask for 40 labels
    # ... usl label run, or fill in the label column of run/split.csv ...
    usl.train("run")                                       # learn, and label every other image
    usl.evaluate("run")                                    # where answers are known
    usl.write_report("run")                                # run/report.html

On features of your own: ``usl.select(features, budget=40).indices``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from usl.core.version import __version__

if TYPE_CHECKING:
    from usl.active.add_images import add_images
    from usl.active.next_round import next_round, undo_round
    from usl.active.query import query
    from usl.benchmarking.reproduction.reproduce import reproduce
    from usl.benchmarking.run import benchmark
    from usl.data import Collection, open_collection
    from usl.evaluation.evaluate import evaluate
    from usl.features.embed import embed
    from usl.features.embed_shards import embed_shards
    from usl.labeling.answers.suspicious import SuspiciousLabel, suspicious_labels
    from usl.pretraining.pretrain import pretrain
    from usl.report.report import write_report
    from usl.run.folder import Run
    from usl.run.split import Split
    from usl.selection.constraints.select_within import Constraints, select_within
    from usl.selection.labels_needed import labels_needed
    from usl.selection.outliers import outliers
    from usl.selection.result import Selection
    from usl.selection.select import select
    from usl.selection.selector import Selector
    from usl.selection.start_run import start_run
    from usl.training.explain import explain
    from usl.training.predict import predict
    from usl.training.predict_shards import predict_shards
    from usl.training.train import train


__all__ = [
    "Collection",
    "Constraints",
    "Run",
    "Selection",
    "Selector",
    "Split",
    "SuspiciousLabel",
    "__version__",
    "add_images",
    "benchmark",
    "embed",
    "embed_shards",
    "evaluate",
    "explain",
    "labels_needed",
    "next_round",
    "open_collection",
    "outliers",
    "predict",
    "predict_shards",
    "pretrain",
    "query",
    "reproduce",
    "select",
    "select_within",
    "start_run",
    "suspicious_labels",
    "train",
    "undo_round",
    "until",
    "write_report",
]

_HOMES = {
    "Collection": "usl.data.collection",
    "Constraints": "usl.selection.constraints.select_within",
    "Run": "usl.run.folder",
    "Selection": "usl.selection.result",
    "Selector": "usl.selection.selector",
    "Split": "usl.run.split",
    "SuspiciousLabel": "usl.labeling.answers.suspicious",
    "add_images": "usl.active.add_images",
    "benchmark": "usl.benchmarking.run",
    "embed": "usl.features.embed",
    "embed_shards": "usl.features.embed_shards",
    "evaluate": "usl.evaluation.evaluate",
    "explain": "usl.training.explain",
    "labels_needed": "usl.selection.labels_needed",
    "next_round": "usl.active.next_round",
    "open_collection": "usl.data.open",
    "outliers": "usl.selection.outliers",
    "predict": "usl.training.predict",
    "predict_shards": "usl.training.predict_shards",
    "pretrain": "usl.pretraining.pretrain",
    "query": "usl.active.query",
    "reproduce": "usl.benchmarking.reproduction.reproduce",
    "select": "usl.selection.select",
    "select_within": "usl.selection.constraints.select_within",
    "start_run": "usl.selection.start_run",
    "suspicious_labels": "usl.labeling.answers.suspicious",
    "train": "usl.training.train",
    "undo_round": "usl.active.next_round",
    "until": "usl.active.until",
    "write_report": "usl.report.report",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'usl' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
