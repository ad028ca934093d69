"""A run's own columns about its images: ``columns.parquet``, numbers or words by ``image_id``.

Whatever is known of images beside their labels: a camera, a patient, a price, a score. An image
may lack a value, and images that the run has not may have one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.run.tables import ID, read_table, write_table

COLUMNS = "columns.parquet"


@dataclass(frozen=True, eq=False)
class Columns:
    """Values about m images.

    Attributes
    ----------
    ids : str, m of them, each once.
    values : by name, float64 [m] with NaN where nothing is known, or object [m] of str or None.
    """

    ids: list[str]
    values: dict[str, NDArray[Any]]

    def of(self, ids: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The values about other images [n], by name; unknown where there are none."""
        place = {name: row for row, name in enumerate(self.ids)}
        rows = np.array([place.get(name, -1) for name in ids], dtype=np.int64)
        return {
            name: np.append(column, [_unknown(column)])[rows]  # -1 is the last
            for name, column in self.values.items()
        }


def read_columns(folder: Path) -> Columns:
    """The columns of a run folder; none where there is no file.

    Raises :class:`DataError` naming a file that is damaged.
    """
    path = folder / COLUMNS
    if not path.is_file():
        return Columns([], {})
    table = read_table(path, [ID], fix="Restore it, or delete it and add the columns again.")
    values = {name: table[name] for name in table.column_names if name != ID}
    return Columns(
        table[ID].to_pylist(),
        {
            name: _column(f"{path}, column {name!r}", column.to_pylist(), str(column.type))
            for name, column in values.items()
        },
    )


def add_columns(folder: Path, ids: Sequence[str], values: Mapping[str, Sequence[Any]]) -> Columns:
    """Add columns to a run folder, or replace those of the same name; all columns as they are now.

    Parameters
    ----------
    ids : image ids, n of them, each once. Images that are not among them keep no value.
    values : by name, n numbers or n words; None or NaN where nothing is known.

    Raises
    ------
    DataError : an id twice, a column of another length, a mixture, or a name that cannot be.
    """
    import pyarrow as pa

    path = folder / COLUMNS
    (most, times), *_ = Counter(ids).most_common(1) or [("", 1)]
    if times > 1:
        raise DataError(f"{path}: image {most!r} is given twice. Give each image once.")
    new = {}
    for name, column in values.items():
        if not name.strip() or name == ID:
            raise DataError(f"{path}: {name!r} cannot be the name of a column.")
        if len(column) != len(ids):
            raise DataError(f"{path}: {len(ids)} images but {len(column)} values of {name!r}.")
        new[name] = _column(f"{path}, column {name!r}", list(column))
    former = read_columns(folder)
    everyone = list(dict.fromkeys([*former.ids, *ids]))
    merged = {**former.of(everyone), **Columns(list(ids), new).of(everyone)}
    arrays = {
        name: pa.array(
            column, pa.string() if column.dtype == object else pa.float64(), from_pandas=True
        )
        for name, column in merged.items()
    }
    write_table(path, pa.table({ID: pa.array(everyone, pa.string()), **arrays}))
    return Columns(everyone, merged)


def _column(where: str, given: list[Any], kind: str = "") -> NDArray[Any]:
    """Numbers as float64, words as objects; DataError for anything else, or for both."""
    known = [one for one in given if one is not None]
    words = isinstance(known[0], str) if known else kind == "string"
    of_its_kind = str if words else (int, float, np.number, np.bool_)
    for one in known:
        if not isinstance(one, of_its_kind):
            raise DataError(f"{where}: holds {one!r}; a column is numbers alone or words alone.")
    if words:
        return np.array([None if one is None else str(one) for one in given], dtype=object)
    return np.array([np.nan if one is None else float(one) for one in given])


def _unknown(column: NDArray[Any]) -> Any:
    return None if column.dtype == object else np.nan
