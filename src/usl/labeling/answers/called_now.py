"""What classes are called now, of which a model or a source has the names of earlier.

A class that was renamed keeps its former name in the files of models trained before, and in its
source. Whoever reads them translates: nothing that was trained is written anew.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usl.labeling.answers.class_changes import Names
from usl.labeling.answers.store import Store, store_path
from usl.run.predictions import Predictions, read_predictions
from usl.run.split import Split


def names_now(folder: Path) -> Names:
    """The names of a run's classes and how they came about; none without answers."""
    if not store_path(folder).is_file():
        return Names([], ())
    with Store.open(folder) as store:
        return store.names()


def labels_now(labels: NDArray[np.object_], names: Names) -> NDArray[np.object_]:
    """Labels, object [n] of ``str`` or None, as their classes are called now."""
    if not names.changes:
        return labels
    called = {label: names.present(label) for label in set(labels.tolist()) - {None}}
    return np.array([called.get(label) for label in labels.tolist()], dtype=object)


def classes_now(trained: list[str], names: Names) -> list[str]:
    """The classes of a model as they are called now, each once.

    Those that were merged since keep their former names: the model tells them apart.
    """
    called = [names.present(name) for name in trained]
    count = Counter(called)
    return [now if count[now] == 1 else name for name, now in zip(trained, called, strict=True)]


def former_labels(split: Split, names: Names) -> dict[str, str]:
    """What labels of a split that no person gave are called now, by image, where that is new."""
    now = labels_now(split.labels, names)
    rows = np.flatnonzero((split.sources != "human") & (now != split.labels)).tolist()
    return {str(split.ids[row]): now[row] for row in rows}


def relabeled(split: Split, former: dict[str, str]) -> Split:
    """The split with its :func:`former_labels` by their present names, but where a person came."""
    labels = split.labels.copy()
    for row, word in enumerate(split.ids.tolist()):
        if word in former and split.sources[row] != "human":
            labels[row] = former[word]
    return replace(split, labels=labels)


def predictions_now(folder: Path) -> Predictions | None:
    """The predictions of a run, by the present names of classes."""
    found = read_predictions(folder)
    if found is None:
        return None
    names = names_now(folder)
    return replace(
        found,
        labels=labels_now(found.labels, names),
        suggestions=labels_now(found.suggestions, names),
    )
