"""What readers share: names of columns and subsets, ids, labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, did_you_mean
from usl.data.collection import SUBSETS, Collection
from usl.data.image_source import Images
from usl.data.images import ArrayImages
from usl.data.labels import read_labels, unwrap

# What each column may be called, best name first; compared as letters and digits in lower case.
COLUMN_NAMES = {
    "path": (
        *("path", "image", "file", "filename", "filepath", "imagepath", "filenames", "filepaths"),
        *("paths", "files", "imagename", "imagenames", "imagepaths", "imagefile", "imagefilename"),
        *("imagefiles", "imagefilenames", "imagefilepath", "img", "imgs", "imgpath", "imgpaths"),
        *("imgname", "imgnames", "imgfile", "imgfiles", "imgfilename", "imgfilenames"),
        *("photo", "fname", "relativepath", "relpath", "fullpath", "absolutepath"),
    ),
    "id": ("imageid", "id", "imageids", "ids", "imgid", "sampleid", "itemid", "photoid"),
    "name": ("name", "names", "uuid", "guid", "key", "keys", "identifier", "sample"),
    "label": (
        *("label", "labels", "class", "category", "target", "targets"),
        *("classname", "labelname", "categoryname"),
    ),
    "subset": ("subset", "split"),
    "picture": ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp"),
    "features": ("features", "feature", "embeddings", "embedding", "x"),
}

INDEX = re.compile(r"unnamed: ?\d+|__index_level_\d+__|level_\d+|index|rowid|rownames|\.\.\.1|")
MOST_ID = 4096  # characters, as of a path on Linux
MOST_IDS, SPREAD = (
    64 << 20,
    16,
)  # bytes of all ids; above, the longest may be so many times the mean
UNLABELED = ("unlabeled", "unlabelled")  # folders that say that a label is missing

SUBSET_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def spelling(name: str) -> str:
    """A column's name as it is compared: ``Image Path``, ``image_path`` and ``imagePath`` alike."""
    return re.sub(r"[\W_]", "", name).lower()


def find_column(names: Iterable[str], role: str) -> str | None:
    """The column that plays ``role`` (a key of ``COLUMN_NAMES``), as it is spelled, or None."""
    spelled: dict[str, str] = {}
    for name in names:
        spelled.setdefault(spelling(name), name)
    for known in COLUMN_NAMES[role]:
        if known in spelled:
            return spelled[known]
    return None


def is_index(name: str) -> bool:
    """Whether a column is another library's count of the rows: never a feature, never an id."""
    return INDEX.fullmatch(name.strip().lower()) is not None


def numbered_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Columns called alike but for a number that runs from 0 or 1, by what they have in common.

    Each in the order of the numbers. ``x1, y1`` are no such columns, nor are ``0.1257, 0.1258``.
    """
    groups: dict[str, dict[int, str]] = {}
    for name in names:
        found = re.fullmatch(r"(.*?)(\d+)", name.strip(), re.ASCII)
        if found and (not found[1] or not is_number(name)):
            groups.setdefault(found[1], {})[int(found[2])] = name
    return {
        prefix: [members[number] for number in sorted(members)]
        for prefix, members in groups.items()
        if len(members) > 1
        and min(members) in (0, 1)
        and max(members) - min(members) == len(members) - 1
    }


def is_number(text: str) -> bool:
    """Whether a text is a number as tables write it; nan and infinity count."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def subset_name(word: str) -> str | None:
    """``train``, ``val`` or ``test`` for any usual way of writing it, else None."""
    return SUBSET_NAMES.get(word.strip().lower())


def tidy_id(name: str) -> str:
    """A relative path as an id: ``/`` between folders is expected, Unicode NFC is made.

    Macs write decomposed umlauts into file names; the id must not depend on who unpacked the zip.
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def check_told_apart(source: object, ids: Sequence[str], names: Sequence[str]) -> None:
    """Refuse two files whose names differ in how their letters are composed alone."""
    first: dict[str, str] = {}
    for name, word in zip(names, ids, strict=True):
        if first.setdefault(word, name) != name:
            raise DataError(
                f"{source}: two files are called {word!r}, which differ in how their letters are "
                f"composed alone: {first[word]!a} and {name!a}. Rename one."
            )


def id_column(values: Sequence[Any], where: Callable[[int], str]) -> NDArray[np.str_]:
    """A column of ids as text; DataError naming the row for an empty or repeated one."""
    ids = [id_text(value) for value in values]
    check_ids(ids, where)
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


def check_ids(ids: Sequence[str], where: Callable[[int], str]) -> None:
    """Refuse ids that cannot be kept: far too long, of half a character, or with a NUL in them.

    Ids are an array of one width: a long one among many would take its length for each of them.

    Raises :class:`DataError` naming the row.
    """
    longest, total = 0, 0
    for row, word in enumerate(ids):
        size = len(word)
        longest, total = max(longest, size), total + size
        if size > MOST_ID:
            raise DataError(
                f"{where(row)}: an id of {size:,} characters, {word[:40]!r}...; at most "
                f"{MOST_ID:,} are allowed. Is a quote opened there and never closed?"
            )
        if "\0" in word:
            raise DataError(f"{where(row)}: the id {word[:80]!r} holds a NUL. Leave it out.")
    if 4 * longest * len(ids) > max(MOST_IDS, SPREAD * 4 * total):
        row = next(row for row, word in enumerate(ids) if len(word) == longest)
        raise DataError(
            f"{where(row)}: an id of {longest:,} characters among {len(ids):,} of "
            f"{total // len(ids):,} on average, which would fill the memory. Shorten it."
        )
    try:
        "".join(ids).encode()
    except UnicodeEncodeError:
        for row, word in enumerate(ids):
            if shown(word) != word:
                raise DataError(
                    f"{where(row)}: the id {shown(word)[:80]!r} is not valid Unicode. Correct it."
                ) from None


def shown(word: str) -> str:
    """A word that can be printed: halves of characters, which JSON can hold, written out."""
    return word.encode("utf-8", "backslashreplace").decode()


def id_text(value: Any) -> str:
    """An id or a path as text: bytes are decoded, containers of one opened; "" for none."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value == value and value.is_integer():
        return str(int(value))
    found, _ = (value, "") if isinstance(value, bool) else unwrap(value)
    try:
        return "" if found is None or found != found else str(found).strip()
    except ValueError:  # a number of more than 4,300 digits
        return "a number of thousands of digits"


def subset_column(values: Sequence[Any], where: Callable[[int], str]) -> NDArray[np.str_]:
    """Normalise a column of subset names; empty means train.

    ``where(row)`` names a row in the DataError for an unknown name.
    """
    values = [id_text(value) for value in values]
    known = {"": "train", **{v: subset_name(v) for v in set(values) if v}}
    for row, value in enumerate(values):
        if known[value] is None:
            raise DataError(
                f"{where(row)}: unknown subset {value!r}; use train, val or test."
                + did_you_mean(str(value), SUBSETS)
            )
    return np.array([known[value] for value in values], dtype="<U5")


def subsets_of_paths(paths: Sequence[str]) -> NDArray[np.str_] | None:
    """Subsets told by the first folder of relative POSIX paths, str array [n].

    None unless *every* path lies below a subset's folder and at least one below ``train``: a lone
    folder called ``test`` beside ``cars`` is a class, or chance. ``unlabeled`` beside ``train`` is
    part of it. A folder that wraps all others is looked through.
    """
    depth = wrapping(paths)
    tops = [_folder_at(path, depth) for path in paths]
    names = {top: "train" if top.lower() in UNLABELED else subset_name(top) for top in set(tops)}
    if "train" not in map(subset_name, names) or None in names.values():
        return None
    return np.array([names[top] for top in tops], dtype="<U5")


def wrapping(paths: Sequence[str]) -> int:
    """How many folders wrap all others: those that all paths share and that hold folders alone.

    A subset's folder is none; a folder that holds the images themselves is none either.
    """
    folders = [path.split("/")[:-1] for path in {path.rpartition("/")[0] + "/" for path in paths}]
    depth, shallowest = 0, min(map(len, folders), default=0)
    while depth + 1 < shallowest and len({parts[depth] for parts in folders}) == 1:
        if subset_name(folders[0][depth]) == "train" or folders[0][depth].lower() in UNLABELED:
            break
        depth += 1
    return depth


def _folder_at(path: str, depth: int) -> str:
    parts = path.split("/")
    return parts[depth] if len(parts) > depth + 1 else ""


def index_ids(subset: str, n: int) -> list[str]:
    """The ids of array data: ``train/00000``, ``train/00001``, ..."""
    return [f"{subset}/{index:05d}" for index in range(n)]


def label_texts(values: Iterable[Any], names: Sequence[str] | None = None) -> NDArray[np.object_]:
    """Labels as an object array of ``str`` or None; see :func:`usl.data.labels.one_label`."""
    return read_labels(values, names)[0]


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
