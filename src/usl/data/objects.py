"""Data set objects of torchvision and Hugging Face, and bare arrays, as collections.

Neither library is imported: what counts is that an object behaves like theirs. ids are
``train/00000``, ... in the object's own order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.plain_arrays import as_numpy, is_frame, is_tensor
from usl.data.collection import SUBSETS, Collection
from usl.data.columns import find_column, numbered, stacked, subset_name
from usl.data.frames import from_frame, from_paths, is_paths
from usl.data.images import ObjectImages
from usl.data.labels import label_notes, read_labels
from usl.data.readers.embeddings import from_array, from_features

TARGET_NAMES = ("targets", "labels", "_labels", "y")  # what torchvision's classes call them


def opener(dataset: Any) -> Callable[..., Collection]:
    """The function that opens an object, told by what the object can do."""
    if is_frame(dataset):
        return from_frame
    if is_paths(dataset):
        return from_paths
    if isinstance(dataset, np.ndarray) or is_tensor(dataset):
        return from_memory
    first = next(iter(dataset.values()), None) if isinstance(dataset, Mapping) else dataset
    if isinstance(dataset, Mapping) and (isinstance(first, np.ndarray) or is_tensor(first)):
        return from_arrays
    if hasattr(first, "column_names"):
        return from_huggingface
    plain = isinstance(first, list | tuple | str | bytes | Mapping) or is_frame(first)
    if hasattr(first, "__getitem__") and not plain:
        return from_torchvision
    raise UsageError(
        f"A {type(dataset).__name__} cannot be opened as a collection. Give a path, an array "
        "[n, d] or [n, h, w, 3], a list of image files, a table of pandas or polars, or a "
        "torchvision or Hugging Face data set."
    )


def from_memory(dataset: Any) -> Collection:
    """Take over an array or tensor of features [n, d], or of uint8 images [n, h, w(, 1 or 3)]."""
    return from_array(as_numpy(dataset), source="array")


def from_arrays(dataset: Mapping[str, Any]) -> Collection:
    """Take over arrays by subset: of features [n, d], or of uint8 images [n, h, w(, 1 or 3)]."""
    parts = [(word, as_numpy(part)) for word, part in _parts(dataset, "train")]
    if all(array.dtype == np.uint8 and array.ndim > 2 for _, array in parts):
        return stacked([(w, array, None) for w, array in parts], source="arrays", kind="arrays")
    widths = {array.shape[1:] for _, array in parts}
    if len(widths) > 1 or any(array.ndim != 2 for _, array in parts):
        held = ", ".join(f"{word} {array.dtype} {list(array.shape)}" for word, array in parts)
        raise UsageError(
            f"Arrays by subset must be features [n, d] of one width, or uint8 images; these are "
            f"{held}."
        )
    subsets = np.repeat([word for word, _ in parts], [len(array) for _, array in parts])
    features = np.concatenate([array for _, array in parts])
    return from_features(features, source="arrays", subsets=subsets)


def from_torchvision(dataset: Any, *, subset: str = "train") -> Collection:
    """Take over a map-style data set of images, of ``(image, target, ...)`` or of mappings.

    Parameters
    ----------
    dataset : the object, opened without a transform; or a mapping of subset names to objects.
    subset : what an object on its own is.
    """
    parts = _parts(dataset, subset)
    read = [_targets(part) for _, part in parts]
    labels, notes = _labels(
        [(values, _class_names(part)) for values, (_, part) in zip(read, parts, strict=True)]
    )
    return _collection(parts, get=_picture, labels=labels, kind="torchvision", notes=notes)


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
    parts = [(word, _unformatted(part)) for word, part in _parts(dataset, subset)]
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
    labels: list[Any] | None = None
    notes: tuple[str, ...] = ()
    if label is not None:
        kind = (first.features or {}).get(label)
        names = getattr(kind, "names", None) or getattr(getattr(kind, "feature", 0), "names", None)
        labels, notes = _labels([(part[label], names) for _, part in parts])
    return _collection(
        parts, get=partial(_item, key=image), labels=labels, kind="huggingface", notes=notes
    )


def _unformatted(dataset: Any) -> Any:
    """A data set that gives images and numbers, whatever tensors it was told to give."""
    told = getattr(dataset, "format", None)
    if isinstance(told, Mapping) and told.get("type") and hasattr(dataset, "with_format"):
        return dataset.with_format(None)
    return dataset


def _labels(
    parts: Iterable[tuple[Iterable[Any] | None, Sequence[str] | None]],
) -> tuple[list[Any] | None, tuple[str, ...]]:
    """Labels by part, None if no part has any, and what to say of those that do not count."""
    found, faults = [], Counter[str]()
    for values, names in parts:
        texts, why = (None, {}) if values is None else read_labels(values, names)
        found.append(texts)
        faults.update(why)
    return (
        None if all(texts is None for texts in found) else found,
        label_notes("The data set", faults),
    )


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
    parts: list[tuple[str, Any]],
    *,
    get: Any,
    labels: list[Any] | None,
    kind: str,
    notes: tuple[str, ...] = (),
) -> Collection:
    joined = Joined([part for _, part in parts])
    if not len(joined):
        raise DataError(f"The {kind} data set is empty.")
    name = type(parts[0][1]).__name__
    known = labels and [
        np.full(len(part), None, dtype=object) if texts is None else texts
        for texts, (_, part) in zip(labels, parts, strict=True)
    ]
    counts = [(subset, len(part)) for subset, part in parts]
    images = ObjectImages(joined, get, name=name)
    return replace(numbered(counts, images, known or None, name, kind), notes=notes)


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
    """One image: a PIL image or array, or Hugging Face's undecoded ``{"bytes": ...}``."""
    return dataset[index][key]


def _picture(dataset: Any, index: int) -> Any:
    """The image of an item, whatever the item is."""
    return _image_and_rest(dataset[index])[0]


def _image_and_rest(item: Any) -> tuple[Any, Any]:
    """An item's image and its label or None; UsageError if there is no image in it.

    The image of a tuple is its first one; the label is what follows it, or the only other thing.
    """
    if isinstance(item, Mapping):
        keys = {str(key): key for key in item}
        seen = [name for name, key in keys.items() if _is_image(item[key])]
        name = find_column(seen, "picture") or find_column(keys, "picture") or next(iter(seen), "")
        if not name:
            raise UsageError(
                f"The data set's items are mappings of {', '.join(keys)}, and none of these is an "
                "image. Call the one that is image, and open the data set without a transform."
            )
        label = find_column([word for word in keys if word != name], "label")
        return item[keys[name]], None if label is None else item[keys[label]]
    if isinstance(item, list | tuple) and item:
        at = next((number for number, part in enumerate(item) if _is_image(part)), 0)
        rest = item[at + 1 :] or item[:at]
        return item[at], rest[0] if rest else None
    return item, None


def _is_image(value: Any) -> bool:
    """A PIL image, an array or tensor of at least two dimensions, or an undecoded file."""
    if isinstance(value, Mapping):
        return "bytes" in value or "path" in value
    return hasattr(value, "getbands") or getattr(value, "ndim", 0) >= 2


def _targets(dataset: Any) -> Iterable[Any] | None:
    """Labels [n], without decoding images where the object allows it; None if there are none."""
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):  # torch.utils.data.Subset
        everything = _targets(dataset.dataset)
        known = None if everything is None else list(everything)
        return None if known is None else [known[index] for index in dataset.indices]
    for name in TARGET_NAMES:
        values = getattr(dataset, name, None)
        if values is not None and hasattr(values, "__len__") and len(values) == len(dataset):
            return list(values.tolist() if hasattr(values, "tolist") else values)
    if not len(dataset):
        return None
    first = _fetched(dataset, 0)
    is_pair = isinstance(first, list | tuple) and len(first) > 1
    if _image_and_rest(first)[1] is None and not is_pair:
        return None
    return [_image_and_rest(_fetched(dataset, index))[1] for index in range(len(dataset))]


def _fetched(dataset: Any, index: int) -> Any:
    try:
        return dataset[index]
    except Exception as error:
        raise DataError(
            f"{type(dataset).__name__}[{index}]: the data set cannot give this item "
            f"({type(error).__name__}: {error})."
        ) from error


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
