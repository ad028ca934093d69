"""Lists that the authors of USL, or we, have published: their images, with the source's own labels.

A list says which images were chosen (:mod:`usl.run.released`), not what they show: that is known of
the data sets it was made for. Labels that it passes on itself (``Pseudolabel``) come first.
"""

from __future__ import annotations

from pathlib import Path

from usl.core.errors import DataError
from usl.core.words import counted
from usl.data.collection import Collection
from usl.data.tables import column_names
from usl.labeling.exchange.contract import Given
from usl.run.released import read_released

RELEASED = "released"  # as the name of a format


def is_released(path: Path) -> bool:
    """Whether a file looks like such a list: an array, or a table of ``Index`` and ``ImageID``."""
    if not path.is_file():
        return False
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return {"Index", "ImageID"} <= set(column_names(path))
    return suffix == ".npy"


def read_list(path: Path, collection: Collection) -> list[Given]:
    """The images of a list in its order, each with its label.

    Raises
    ------
    DataError : a list that does not fit the collection; images whose label nobody knows.
    """
    split = read_released(path, collection.ids, collection.subsets)
    known = {} if collection.labels is None else dict(
        zip(collection.ids.tolist(), collection.labels.tolist(), strict=True)
    )  # fmt: skip
    listed = [row for row, state in enumerate(split.states.tolist()) if state != "unlabeled"]
    ids = [str(word) for word in split.ids[listed].tolist()]
    passed_on = split.labels[listed].tolist()
    labels = [
        known.get(word) if label is None else label
        for word, label in zip(ids, passed_on, strict=True)
    ]
    if missing := labels.count(None):
        raise DataError(
            f"{path}: a list of {counted(len(ids), 'image')} without labels, and "
            f"{collection.source} does not know those of {missing:,} either. Label them by hand: "
            "usl label."
        )
    return [
        Given(f"{path}, entry {number}", word, str(label))
        for number, (word, label) in enumerate(zip(ids, labels, strict=True))
    ]
