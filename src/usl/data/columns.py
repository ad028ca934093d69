"""What readers share: names of columns and subsets, ids, labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, did_you_mean
from usl.data.collection import SUBSETS, Collection, Images
from usl.data.images import ArrayImages

# What each column may be called, best name first; compared in lower case, "-" and " " as "_".
COLUMN_NAMES = {
    "path": ("path", "image", "file", "file_name", "filename", "filepath", "image_path"),
    "id": ("image_id", "id", "image_ids", "ids"),
    "label": ("label", "labels", "class", "category", "target", "targets"),
    "subset": ("subset", "split"),
    "picture": ("image", "img", "picture", "jpg", "png", "webp"),
    "features": ("features", "feature", "embeddings", "embedding", "x"),
}

SUBSET_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def find_column(names: Iterable[str], role: str) -> str | None:
    """The column that plays ``role`` (a key of ``COLUMN_NAMES``), as it is spelled, or None."""
    spelled = {name.strip().lower().replace("-", "_").replace(" ", "_"): name for name in names}
    for known in COLUMN_NAMES[role]:
        if known in spelled:
            return spelled[known]
    return None


def numbered_columns(names: Sequence[str]) -> list[str]:
    """Columns called alike but for a running number, in the order of the numbers."""
    groups: dict[str, dict[int, str]] = {}
    for name in names:
        if found := re.fullmatch(r"(.*?)(\d+)", name.strip()):
            groups.setdefault(found[1], {})[int(found[2])] = name
    largest = max(groups.values(), key=len, default={})
    return [largest[number] for number in sorted(largest)] if len(largest) > 1 else []


def other_columns(names: Sequence[str]) -> list[str]:
    """Columns that play no known role."""
    known = {find_column(names, role) for role in ("id", "path", "label", "subset")}
    return [name for name in names if name not in known]


def subset_name(word: str) -> str | None:
    """``train``, ``val`` or ``test`` for any usual way of writing it, else None."""
    return SUBSET_NAMES.get(word.strip().lower())


def tidy_id(name: str) -> str:
    """A relative path as an id: ``/`` between folders is expected, Unicode NFC is made.

    Macs write decomposed umlauts into file names; the id must not depend on who unpacked the zip.
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def id_column(values: Sequence[Any], where: Callable[[int], str]) -> NDArray[np.str_]:
    """A column of ids as text; DataError naming the row for an empty or repeated one."""
    ids = ["" if value is None else str(value).strip() for value in values]
    seen: dict[str, int] = {}
    for row, word in enumerate(ids):
        if not word:
            raise DataError(f"{where(row)}: no id. Fill it in, or remove the row.")
        if seen.setdefault(word, row) != row:
            raise DataError(
                f"{where(row)}: the id {word!r} is taken ({where(seen[word])}). Every image needs "
                "an id of its own: remove the row, or give it another image_id."
            )
    return np.array(ids, dtype=np.str_)


def subset_column(values: Sequence[str | None], where: Callable[[int], str]) -> NDArray[np.str_]:
    """Normalise a column of subset names; empty means train.

    ``where(row)`` names a row in the DataError for an unknown name.
    """
    known = {"": "train", **{v: subset_name(v) for v in set(values) if v}}
    for row, value in enumerate(values):
        if known[value or ""] is None:
            raise DataError(
                f"{where(row)}: unknown subset {value!r}; use train, val or test."
                + did_you_mean(str(value), SUBSETS)
            )
    return np.array([known[value or ""] for value in values], dtype="<U5")


def subsets_of_paths(paths: Sequence[str]) -> NDArray[np.str_] | None:
    """Subsets told by the first folder of relative POSIX paths, str array [n].

    None unless *every* path lies below a subset's folder and at least one below ``train``: a lone
    folder called ``test`` beside ``cars`` is a class, or chance.
    """
    tops = [path.partition("/")[0] if "/" in path else "" for path in paths]
    names = {top: subset_name(top) for top in set(tops)}
    if "train" not in names.values() or None in names.values():
        return None
    return np.array([names[top] for top in tops], dtype="<U5")


def index_ids(subset: str, n: int) -> list[str]:
    """The ids of array data: ``train/00000``, ``train/00001``, ..."""
    return [f"{subset}/{index:05d}" for index in range(n)]


def label_texts(values: Iterable[Any], names: Sequence[str] | None = None) -> NDArray[np.object_]:
    """Labels as an object array of ``str`` or None.

    Numbers become class names where ``names`` are known, else digits (``3.0`` is ``"3"``: tables
    turn whole numbers into floats where a value is missing). None, NaN, empty text and the
    negative numbers that data sets use for "unlabelled" are None.
    """
    texts: list[str | None] = []
    for value in values:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float):
            value = None if value != value else int(value) if value.is_integer() else value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = None if value < 0 else value
            if names is not None and isinstance(value, int):
                if value >= len(names):
                    raise DataError(f"label {value} has no name: there are {len(names)} classes.")
                value = names[value]
        text = "" if value is None else str(value).strip()
        texts.append(text or None)
    return np.array(texts, dtype=object)


def stacked(
    parts: Sequence[tuple[str, NDArray[np.uint8], Sequence[Any] | None]],
    *,
    source: str,
    kind: str,
    names: Sequence[str] | None = None,
) -> Collection:
    """One collection of the image arrays of several subsets.

    Parameters
    ----------
    parts : ``(subset, uint8 images [n, h, w(, 1 or 3)], labels [n] or None)``.
    names : class names that number labels stand for.
    """
    images = [array for _, array, _ in parts]
    if len({array.shape[1:] for array in images}) > 1:
        shapes = " and ".join(str(list(array.shape[1:])) for array in images)
        raise DataError(f"{source}: the subsets' images differ in size: {shapes}.")
    if not sum(map(len, images)):
        raise DataError(f"{source}: holds no images.")
    labels = None
    if any(given is not None for _, _, given in parts):
        labels = [
            label_texts([None] * len(array) if given is None else given, names)
            for _, array, given in parts
        ]
    pixels = images[0] if len(images) == 1 else np.concatenate(images)
    counts = [(subset, len(array)) for subset, array, _ in parts]
    return numbered(counts, ArrayImages(pixels, name=source), labels, source, kind)


def numbered(
    counts: Sequence[tuple[str, int]],
    images: Images,
    labels: Sequence[NDArray[np.object_]] | None,
    source: str,
    kind: str,
) -> Collection:
    """A collection of images that are known by their number in a subset.

    ``counts`` are the subsets in order, each with its images; ``labels`` are theirs.
    """
    subsets, sizes = zip(*counts, strict=True)
    return Collection(
        ids=np.array([name for subset, n in counts for name in index_ids(subset, n)]),
        subsets=np.repeat(subsets, sizes),
        images=images,
        labels=None if labels is None else np.concatenate(labels),
        source=source,
        kind=kind,
    )
