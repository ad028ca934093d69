"""Class numbers and weights of a run's labels, for training."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UslWarning
from usl.core.words import counted, quoted, verb_for
from usl.run.folder import Run
from usl.run.split import Split, first_rows
from usl.run.split_csv import CSV_NAME, SWEPT, by_people
from usl.training.open_run import Opened


@dataclass(frozen=True)
class Labels:
    """The labels a training goes by.

    ``classes`` int64 [r], numbers into ``names``, -1 without a usable label; ``weights`` float64
    [r]; ``human`` bool [r], whether a person gave it; ``swept`` [r], whether only at a glance: it
    weighs as much as any other.
    """

    names: list[str]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    human: NDArray[np.bool_]
    swept: NDArray[np.bool_] | None = None

    def among(self, names: list[str]) -> Labels:
        """The same by numbers into ``names``, which hold all of its classes."""
        number = np.array([*(names.index(name) for name in self.names), -1], dtype=np.int64)
        return replace(self, names=names, classes=number[self.classes])

    def single(self) -> list[str]:
        """The classes that rest on one label."""
        counts = np.bincount(self.classes[self.classes >= 0], minlength=len(self.names))
        return [name for name, count in zip(self.names, counts, strict=True) if count == 1]


def missing_classes(run: Run, names: list[str]) -> list[str]:
    """Classes that were offered to choose from on the labelling page, but that no label has."""
    from usl.labeling.answers.store import Store, store_path

    if not store_path(run.path).exists():
        return []
    with Store.open(run.path) as store:
        return [known.name for known in store.classes() if known.name not in set(names)]


def labels_of(run: Run, split: Split, rows: NDArray[np.int64], train: NDArray[np.bool_]) -> Labels:
    """The labels of the split's ``rows`` [r], those of the train subset (bool [r]) being usable."""
    labels = split.labels[rows]
    usable = train & (split.states[rows] == "labeled")
    names = label_names(run, split, labels[usable].tolist())
    heavy = set(labels[usable & (split.weights[rows] > 0)].tolist())
    if len(heavy) < 2:
        raise DataError(
            f"{run.path / CSV_NAME}: only {len(heavy)} of the {len(names)} classes have a label of "
            "weight above 0. Training needs at least two; raise weights, or label more images."
        )
    numbers = {name: number for number, name in enumerate(names)}
    classes = np.array(
        [numbers[label] if use else -1 for label, use in zip(labels, usable, strict=True)],
        dtype=np.int64,
    )
    sources = split.sources[rows]
    weights = split.weights[rows]
    return Labels(names, classes, weights, by_people(sources), sources == SWEPT)


def given_labels(opened: Opened) -> Labels:
    """The labels of an opened run's points."""
    return labels_of(opened.run, opened.split, opened.split_rows(), opened.subsets == "train")


def numbered(labels: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The classes among some labels, sorted, and the number of each label, int64 [L]."""
    names = sorted(set(labels))
    number = {name: place for place, name in enumerate(names)}
    return names, np.array([number[label] for label in labels], dtype=np.int64)


def label_names(run: Run, split: Split, labels: list[str]) -> list[str]:
    """The classes among the ``labels`` of readable train images, sorted; at least two."""
    requested = len(split.requested())
    path = run.path / CSV_NAME
    if not labels:
        which = f"the images of {first_rows(requested)}" if requested else "some images"
        raise DataError(
            f"{path} holds no labels yet. Label {which} (usl label "
            f"{quoted(run.path)}), or fill in their label column, then train again."
        )
    names = sorted(set(labels))
    if len(names) < 2:
        told = verb_for(len(labels), "the only label is", f"all {len(labels)} labels are")
        raise DataError(
            f"{path}: {told} {names[0]!r}. Training needs at least two classes; label more images."
        )
    if requested:
        warnings.warn(
            f"{path}: {counted(requested, 'requested image')} "
            f"{verb_for(requested, 'has', 'have')} no label yet; training on "
            f"{counted(len(labels), 'label')}.",
            UslWarning,
            stacklevel=3,
        )
    if (unread := len(split.labeled("train")) - len(labels)) > 0:
        warnings.warn(
            f"{path}: {counted(unread, 'labelled image')} cannot be read now and "
            f"{verb_for(unread, 'is', 'are')} left out.",
            UslWarning,
            stacklevel=3,
        )
    return names
