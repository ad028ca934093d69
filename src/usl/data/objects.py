"""Data set objects of torchvision and Hugging Face, and bare arrays, as collections.

Neither library is imported: what counts is that an object behaves like theirs. ids are
``train/00000``, ... in the object's own order.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.data.collection import SUBSETS, Collection
from usl.data.columns import find_column, label_texts, numbered, subset_name
from usl.data.decode import decode_file
from usl.data.images import ObjectImages
from usl.data.readers.embeddings import from_array

TARGET_NAMES = ("targets", "labels", "_labels", "y")  # what torchvision's classes call them


def opener(dataset: Any) -> Callable[..., Collection]:
    """The function that opens an object, told by what the object can do."""
    if isinstance(dataset, np.ndarray) or callable(getattr(dataset, "numpy", None)):
        return from_memory
    first = next(iter(dataset.values()), None) if isinstance(dataset, Mapping) else dataset
    if hasattr(first, "column_names"):
        return from_huggingface
    if hasattr(first, "__getitem__") and not isinstance(first, (list, tuple, Mapping)):
        return from_torchvision
    raise UsageError(
        f"A {type(dataset).__name__} cannot be opened as a collection. Give a path, an array "
        "[n, d] or [n, h, w, 3], or a torchvision or Hugging Face data set; a list of files goes "
        "into a table with a path column."
    )


def from_memory(dataset: Any) -> Collection:
    """Take over an array or tensor of features [n, d], or of uint8 images [n, h, w(, 1 or 3)]."""
    array = dataset if isinstance(dataset, np.ndarray) else dataset.numpy()
    return from_array(array, source="array")


def from_torchvision(dataset: Any, *, subset: str = "train") -> Collection:
    """Take over a map-style data set whose items are ``(image, target, ...)``.

    Parameters
    ----------
    dataset : the object, opened without a transform; or a mapping of subset names to objects.
    subset : what an object on its own is.
    """
    parts = _parts(dataset, subset)
    return _collection(
        parts,
        get=partial(_item, key=0),
        labels=[label_texts(_targets(part), _class_names(part)) for _, part in parts],
        kind="torchvision",
    )


def from_huggingface(
    dataset: Any,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    subset: str = "train",
) -> Collection:
    """Take over a ``datasets.Dataset``, or a ``DatasetDict`` of train, validation and test.

    Parameters
    ----------
    image_column, label_column : column names; by default the columns of type ``Image`` and
        ``ClassLabel``, or those with a usual name. Without a label column nothing is known.
    subset : what a ``Dataset`` on its own is.
    """
    parts = _parts(dataset, subset)
    first = parts[0][1]
    image = image_column or _column(first, "Image", "picture")
    label = label_column or _column(first, "ClassLabel", "label")
    for column in (image_column, label_column):
        if column is not None and column not in first.column_names:
            raise UsageError(
                f"No column {column!r}; there are {', '.join(first.column_names)}."
                + did_you_mean(column, first.column_names)
            )
    if image is None:
        raise UsageError(
            f"Which column holds the images? Give image_column=, one of "
            f"{', '.join(first.column_names)}."
        )
    labels = None
    if label is not None:
        names = getattr((first.features or {}).get(label), "names", None)
        labels = [label_texts(part[label], names) for _, part in parts]
    return _collection(parts, get=partial(_item, key=image), labels=labels, kind="huggingface")


class Joined:
    """Several map-style data sets, one after the other."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = parts
        self.ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        """Number of items of all parts."""
        return self.ends[-1]

    def __getitem__(self, index: int) -> Any:
        """Item ``index``, 0 <= index < n."""
        part = bisect_right(self.ends, index)
        return self.parts[part][index - (self.ends[part - 1] if part else 0)]


def _collection(
    parts: list[tuple[str, Any]], *, get: Any, labels: list[Any] | None, kind: str
) -> Collection:
    joined = Joined([part for _, part in parts])
    if not len(joined):
        raise DataError(f"The {kind} data set is empty.")
    name = type(parts[0][1]).__name__
    counts = [(subset, len(part)) for subset, part in parts]
    return numbered(counts, ObjectImages(joined, get, name=name), labels, name, kind)


def _parts(dataset: Any, subset: str) -> list[tuple[str, Any]]:
    """``(subset, data set)`` pairs, train first; UsageError for an unknown name or no length."""
    named = dataset.items() if isinstance(dataset, Mapping) else [(subset, dataset)]
    parts = []
    for word, part in named:
        known = subset_name(str(word))
        if known is None:
            raise UsageError(
                f"Unknown subset {word!r}; use train, val or test."
                + did_you_mean(str(word), SUBSETS)
            )
        if not hasattr(part, "__len__"):
            raise UsageError("A streaming data set has no length. Open it with streaming=False.")
        parts.append((known, part))
    return sorted(parts, key=lambda pair: SUBSETS.index(pair[0]))


def _item(dataset: Any, index: int, *, key: Any) -> Any:
    """One image: a PIL image or array; Hugging Face's undecoded ``{"bytes": ...}`` is decoded."""
    value = dataset[index][key]
    if isinstance(value, Mapping):
        content = value.get("bytes")
        return decode_file(io.BytesIO(content) if content else value.get("path"), f"item {index}")
    return value


def _targets(dataset: Any) -> Iterable[Any]:
    """Labels [n], without decoding images where the object allows it."""
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):  # torch.utils.data.Subset
        everything = list(_targets(dataset.dataset))
        return [everything[index] for index in dataset.indices]
    for name in TARGET_NAMES:
        values = getattr(dataset, name, None)
        if values is not None and hasattr(values, "__len__") and len(values) == len(dataset):
            return list(values.tolist() if hasattr(values, "tolist") else values)
    return [_plain(dataset[index][1]) for index in range(len(dataset))]


def _plain(target: Any) -> Any:
    """A Python number for a tensor with one value."""
    return target.item() if hasattr(target, "item") else target


def _class_names(dataset: Any) -> Sequence[str] | None:
    """Class names of a data set, or of the one it is a subset of."""
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        return _class_names(dataset.dataset)
    names = getattr(dataset, "classes", None)
    return list(names) if names is not None and all(isinstance(n, str) for n in names) else None


def _column(dataset: Any, feature: str, role: str) -> str | None:
    """The column of a feature type, or with a usual name for the role."""
    for name, kind in (dataset.features or {}).items():
        if type(kind).__name__ == feature:
            return str(name)
    return find_column(dataset.column_names, role)
