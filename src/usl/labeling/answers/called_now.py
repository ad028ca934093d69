"""What classes are called now, of which a model or a source has the names of earlier.

A class that was renamed keeps its former name in the files of models trained before, and in its
source. Whoever reads them translates: nothing that was trained is written anew.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usl.labeling.answers.class_changes import Names
from usl.labeling.answers.store import Store, store_path
from usl.run.predictions import Predictions, read_predictions
from usl.run.split import Split
from usl.run.split_csv import by_people

UNCHANGED = Names([], ())


def names_now(folder: Path) -> Names:
    """The names of a run's classes and how they came about; none without answers."""
    if not store_path(folder).is_file():
        return UNCHANGED
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

    Of those that were merged since, one has the name, and the others keep their former ones.
    """
    called = [names.present(name) for name in trained]
    owners = parts_now(trained, names).tolist()
    known = enumerate(zip(trained, called, strict=True))
    return [now if owners[number] == number else name for number, (name, now) in known]


def parts_now(trained: list[str], names: Names) -> NDArray[np.int64]:
    """For each class of a model the number of that which it is part of now: its own, unless merged.

    By any names that :func:`classes_now` or the model has for them.
    """
    called = [names.present(name) for name in trained]
    owners: dict[str, int] = {}
    for number, (name, now) in enumerate(zip(trained, called, strict=True)):
        if now not in owners or name == now:
            owners[now] = number
    return np.array([owners[now] for now in called], dtype=np.int64)


def former_labels(split: Split, names: Names) -> dict[str, str]:
    """What labels of a split that no person gave are called now, by image, where that is new."""
    now = labels_now(split.labels, names)
    rows = np.flatnonzero(~by_people(split.sources) & (now != split.labels)).tolist()
    return {str(split.ids[row]): now[row] for row in rows}


def relabeled(split: Split, former: dict[str, str]) -> Split:
    """The split with its :func:`former_labels` by their present names, but where a person came."""
    labels = split.labels.copy()
    for row in np.flatnonzero(~by_people(split.sources)).tolist():
        labels[row] = former.get(str(split.ids[row]), labels[row])
    return replace(split, labels=labels)


def predictions_now(folder: Path, names: Names | None = None) -> Predictions | None:
    """The predictions of a run, by the present ``names`` of classes; by default they are read."""
    found = read_predictions(folder)
    if found is None:
        return None
    names = names_now(folder) if names is None else names
    return replace(
        found,
        labels=labels_now(found.labels, names),
        suggestions=labels_now(found.suggestions, names),
    )
