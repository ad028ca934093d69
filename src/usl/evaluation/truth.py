"""Ground truth: which answers are known. Only this room reads it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.data.collection import Collection
from usl.labeling.answers.called_now import labels_now, names_now
from usl.labeling.answers.class_changes import Names
from usl.run.split import Split
from usl.training.open_run import Opened


def source_answers(
    collection: Collection, split: Split, names: Names
) -> NDArray[np.object_] | None:
    """The labels the source holds, object [n], or None if it holds none that are answers.

    By the ``names`` that a run has for them, where classes were renamed there.

    Folders of albums or dates look like class folders. They give themselves away as soon as a
    person has labelled: then not one name is common to both.
    """
    if collection.labels is None:
        return None
    labels = labels_now(collection.labels, names)
    given = set(split.labels[split.labeled()].tolist())
    answers = {label for label in labels.tolist() if label is not None}
    return None if given and not given & answers else labels


def strangers(collection: Collection, split: Split, names: Names) -> str:
    """What to say where a source has names, but not one of those that people gave; "" else."""
    if collection.labels is None or source_answers(collection, split, names) is not None:
        return ""
    given = sorted(set(split.labels[split.labeled()].tolist()))
    answers = sorted({label for label in collection.labels.tolist() if label is not None})
    return (
        f" The labels {', '.join(given[:5])} are none of the names that the source knows "
        f"({', '.join(answers[:5])})."
    )


def known_answers(opened: Opened) -> tuple[NDArray[np.object_], bool]:
    """The true label of every point or None, object [r]; and whether the source holds them.

    Else they are the labels that a person gave to val and test images in the split file.
    """
    labels = source_answers(opened.collection, opened.split, names_now(opened.run.path))
    if labels is not None:
        return labels[opened.space.rows], True
    truth = opened.split.labels[opened.split_rows()].copy()
    truth[opened.subsets == "train"] = None
    return truth, False
