"""Read and write selections in the files that the authors of USL published.

- CIFAR: ``.npy``, int [m], indices into torchvision's train set, best first or in any order.
- ImageNet: ``train_{p}p_gen_{run}_index.csv`` with ``Index,ImageID`` (USL-T adds ``Pseudolabel``),
  sorted by ``Index``, which counts torchvision's ``ImageFolder`` order; ``ImageID`` is
  ``class/name.JPEG``; p is the percentage chosen. A second file of 100 - p holds the complement.

Index i stands for the i-th image of subset train. In a :class:`~usl.run.split.Split` the listed
images are ``requested``, in the order of the file; those with a pseudo-label are ``labeled``, from
source ``propagated``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import atomic_write
from usl.data.arrays import load_npy
from usl.data.formulas import first_formula
from usl.data.tables import Table, csv_text, read_text_table
from usl.run.split import Split

INDEX_ID = re.compile(r"train/\d{5,}")  # ids of array data tell nothing about a file's name


def read_released(path: str | Path, ids: ArrayLike, subsets: ArrayLike) -> Split:
    """Read a published selection, ``.npy`` or ``.csv``, as the split of a collection.

    Parameters
    ----------
    ids, subsets : str [n], the collection's.

    Raises
    ------
    DataError
        naming the row: an index that is out of range or listed twice, or an ImageID that is not
        the image with that index.
    """
    path = Path(path)
    ids, subsets = np.asarray(ids, dtype=np.str_), np.asarray(subsets, dtype=np.str_)
    train = np.flatnonzero(subsets == "train")
    if path.suffix.lower() == ".npy":
        indices = _npy_indices(path)
        _check_indices(indices, len(train), lambda row: f"{path}, entry {row}")
        return Split.start(ids, subsets, picks=train[indices])
    table = read_text_table(path, as_written=True)
    indices = _csv_indices(table)
    _check_indices(indices, len(train), table.where)
    if "ImageID" in table.columns:
        _check_names(table, ids[train[indices]])
    split = Split.start(ids, subsets, picks=train[indices])
    if "Pseudolabel" not in table.columns:
        return split
    labels = [label.strip() for label in table.values("Pseudolabel")]
    given = np.flatnonzero(np.array(labels) != "")
    return split.with_labels(given, [labels[row] for row in given], source="propagated")


def write_index_npy(path: str | Path, split: Split, ids: ArrayLike, subsets: ArrayLike) -> None:
    """Write the chosen (requested or labeled) train images as int64 indices, in split order."""
    indices, _ = _chosen(split, ids, subsets)
    with atomic_write(path) as handle:
        np.save(handle, indices)


def write_index_csv(
    folder: str | Path,
    split: Split,
    ids: ArrayLike,
    subsets: ArrayLike,
    *,
    run: str,
    percent: float | None = None,
    pseudolabels: bool = False,
) -> tuple[Path, Path]:
    """Write the ImageNet form of the chosen train images, and its complement.

    Parameters
    ----------
    run : the run's name, part of both file names.
    percent : p in the file names; by default the percentage chosen, to one digit below 1 and whole
        above (2,911 of 1,281,167: 0.2).
    pseudolabels : add the column ``Pseudolabel`` with the split's labels.

    Returns
    -------
    The paths of the selection and of the complement.
    """
    indices, rows = _chosen(split, ids, subsets)
    train_ids = np.asarray(ids)[np.asarray(subsets) == "train"]
    names = _file_names(100 * len(indices) / len(train_ids), percent, run)
    chosen_path, rest_path = (Path(folder) / name for name in names)
    order = np.argsort(indices, kind="stable")
    labels = split.labels[rows[order]] if pseudolabels else None
    rest = np.setdiff1d(np.arange(len(train_ids)), indices)
    _write_csv(chosen_path, indices[order], train_ids, labels)
    _write_csv(rest_path, rest, train_ids, None)
    return chosen_path, rest_path


def _chosen(
    split: Split, ids: ArrayLike, subsets: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Train indices of the chosen images, and their rows in the split; both int64 [m]."""
    subsets = np.asarray(subsets, dtype=np.str_)
    positions = split.positions(ids)
    chosen = (split.states != "unlabeled") & (split.subsets == "train")
    index_of = np.full(len(subsets), -1, dtype=np.int64)
    train = np.flatnonzero(subsets == "train")
    index_of[train] = np.arange(len(train))
    rows = np.flatnonzero(chosen)
    indices = np.where(positions[rows] < 0, -1, index_of[positions[rows]])
    if (indices < 0).any():
        row = int(rows[indices < 0][0])
        raise DataError(f"{split.where(row)}: {str(split.ids[row])!r} is no train image.")
    return indices, rows


def _npy_indices(path: Path) -> NDArray[np.int64]:
    values = load_npy(path)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise DataError(
            f"{path}: expected a list of whole numbers [m], this is {values.dtype} "
            f"{list(values.shape)}."
        )
    return np.asarray(values, dtype=np.int64)


def _csv_indices(table: Table) -> NDArray[np.int64]:
    if "Index" not in table.columns:
        raise DataError(
            f"{table.path}, row 1: no column 'Index'; it has {', '.join(table.columns)}."
        )
    indices = []
    for row, text in enumerate(table.values("Index")):
        try:
            indices.append(int(text))
        except ValueError:
            raise DataError(f"{table.where(row)}: Index {text!r} is not a whole number.") from None
    return np.array(indices, dtype=np.int64)


def _check_indices(indices: NDArray[np.int64], n: int, where: Callable[[int], str]) -> None:
    """DataError for an index out of range or listed twice."""
    outside = np.flatnonzero((indices < 0) | (indices >= n))
    if len(outside):
        raise DataError(
            f"{where(int(outside[0]))}: index {indices[outside[0]]} is out of range; the "
            f"collection has {n} train images. Is this the right collection?"
        )
    _, first = np.unique(indices, return_index=True)
    again = np.setdiff1d(np.arange(len(indices)), first)
    if len(again):
        raise DataError(f"{where(int(again[0]))}: index {indices[again[0]]} is listed twice.")


def _check_names(table: Table, ids: NDArray[np.str_]) -> None:
    """DataError where ImageID is not the (end of the) id."""
    for row, (name, known) in enumerate(zip(table.values("ImageID"), ids.tolist(), strict=True)):
        if not f"/{known}".endswith(f"/{name}") and not INDEX_ID.fullmatch(known):
            raise DataError(
                f"{table.where(row)}: ImageID {name!r}, but the collection's image with this Index "
                f"is {known!r}. Is this the right collection, with all of its train images?"
            )


def _file_names(percentage: float, percent: float | None, run: str) -> list[str]:
    """Names of the selection's and the complement's file."""
    if percent is None:
        percent = float(f"{percentage:.1g}") if percentage < 1 else float(round(percentage))
    names = [f"train_{share:.10g}p_gen_{run}_index.csv" for share in (percent, 100 - percent)]
    if names[0] == names[1]:
        raise UsageError(
            f"percent={percent:g}: selection and complement would share one file name. Give "
            "another percent=."
        )
    return names


def _write_csv(
    path: Path,
    indices: NDArray[np.int64],
    train_ids: NDArray[np.str_],
    labels: NDArray[np.object_] | None,
) -> None:
    import pyarrow as pa

    names = ["Index", "ImageID"]
    columns = [
        pa.array(indices).cast(pa.string()),
        pa.array(
            [word.removeprefix("train/") for word in train_ids[indices].tolist()], pa.string()
        ),
    ]
    if labels is not None:
        names.append("Pseudolabel")
        columns.append(pa.array([label or "" for label in labels.tolist()], pa.string()))
    for name, column in zip(names[1:], columns[1:], strict=True):
        if (found := first_formula(column.to_pylist())) is not None:
            warnings.warn(
                f"{path}: {name} {found!r} would be a formula in a spreadsheet. It is written as "
                "it is, since the authors' programs read it: open the file as text.",
                UslWarning,
                stacklevel=4,
            )
    with atomic_write(path, "w") as handle:
        handle.write(csv_text(names, columns, as_written=names))
