"""The columns of a split file as text, read with forgiveness and written plainly.

What the columns mean stands in :mod:`usl.run.split`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, did_you_mean
from usl.data.collection import SUBSETS
from usl.data.tables import Table, csv_text

COLUMNS = ("image_id", "subset", "state", "label", "weight", "source")
STATES = ("requested", "labeled", "unlabeled")
SOURCES = ("human", "propagated", "predicted")

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
DECIMAL_COMMA = r"^([+-]?[0-9]*),([0-9]+)$"


def parse(table: Table) -> dict[str, NDArray[Any]]:
    """The fields of a ``Split`` from a table whose cells are all text.

    Blanks around cells are trimmed (but for ids: a file name may begin with one), words are taken
    in any case, further columns ignored; ``weight`` and ``source`` may be missing, and a weight
    may have a decimal comma, a label that is a number a needless ``.0``. A label makes its row
    labeled, and human unless it says otherwise; a source without a label is dropped.

    Raises
    ------
    DataError
        naming file, row and value: a missing column or id, an unknown word, a weight that is no
        number of at least 0, a labeled row without a label.
    """
    columns = _trimmed(table)
    ids = columns["image_id"]
    if len(empty := np.flatnonzero(ids == "")):
        raise DataError(f"{table.where(empty[0])}: no image_id. Fill it in or delete the row.")
    states = _words(table, "state", columns["state"], STATES)
    sources = _words(table, "source", columns["source"], ("", *SOURCES))
    labels = _labels(columns["label"], states)
    has_label = labels != ""
    if len(missing := np.flatnonzero((states == "labeled") & ~has_label)):
        raise DataError(
            f"{table.where(missing[0])}: {ids[missing[0]]!r} is labeled but has no label. "
            "Fill in the label, or set the state to unlabeled."
        )
    states[has_label] = "labeled"
    sources[has_label & (sources == "")] = "human"
    sources[~has_label] = ""
    return {
        "ids": np.array(ids.tolist(), dtype=np.str_),
        "subsets": _words(table, "subset", columns["subset"], SUBSETS),
        "states": states,
        "labels": np.where(has_label, labels, np.array(None, dtype=object)),
        "weights": _weights(table, columns["weight"]),
        "sources": sources,
    }


def render(fields: Mapping[str, NDArray[Any]]) -> tuple[bytes, Any]:
    """The CSV file's bytes and the typed pyarrow table of a ``Split``'s fields.

    The CSV starts with a byte order mark only if it holds more than ASCII: Excel needs the mark to
    take such a file for UTF-8.
    """
    import pyarrow as pa

    labels = pa.array(fields["labels"], pa.string(), from_pandas=True)
    columns = {
        "image_id": pa.array(fields["ids"], pa.string()),
        "subset": _coded(fields["subsets"], SUBSETS),
        "state": _coded(fields["states"], STATES),
        "label": labels,
        "weight": pa.array(fields["weights"], pa.float64()),
        "source": _coded(fields["sources"], ("", *SOURCES)),
    }
    values, inverse = np.unique(fields["weights"], return_inverse=True)
    weights = pa.array([repr(value).removesuffix(".0") for value in values.tolist()], pa.string())
    texts = columns | {"label": labels.fill_null(""), "weight": weights.take(pa.array(inverse))}
    text = csv_text(COLUMNS, [texts[name] for name in COLUMNS])
    content = text.encode("utf-8" if text.isascii() else "utf-8-sig")
    return content, pa.table(columns)


def _coded(values: NDArray[np.str_], known: Sequence[str]) -> Any:
    """A column of few known words as a pyarrow string array (fast for a million rows)."""
    import pyarrow as pa

    codes = np.zeros(len(values), dtype=np.int8)
    for code, word in enumerate(known):
        codes[values == word] = code
    return pa.array(known, pa.string()).take(pa.array(codes))


def _trimmed(table: Table) -> dict[str, NDArray[np.object_]]:
    """The six columns as object arrays of text."""
    import pyarrow.compute as pc

    spelled = {name.lower(): column for name, column in table.columns.items()}
    columns = {}
    for name in COLUMNS:
        if name in spelled:
            column = pc.utf8_trim_whitespace(spelled[name])
            if name == "image_id":
                column = pc.if_else(pc.equal(column, ""), "", spelled[name])
            columns[name] = column.to_numpy(zero_copy_only=False)
        elif name in ("weight", "source"):
            columns[name] = np.full(len(table), "", dtype=object)
        else:
            raise DataError(
                f"{table.path}, row 1: no column {name!r}. A split file has the columns "
                f"{', '.join(COLUMNS)}; this one has {', '.join(table.columns)}."
            )
    return columns


def _words(
    table: Table, name: str, column: NDArray[np.object_], known: Sequence[str]
) -> NDArray[np.str_]:
    """A column of known words in lower case; DataError for any other word."""
    import pyarrow as pa

    coded = pa.array(column, pa.string()).dictionary_encode()
    spelled = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy()
    for code, word in enumerate(spelled):
        if word.lower() not in known:
            row = int(np.flatnonzero(codes == code)[0])
            choice = [option or "nothing" for option in known]
            raise DataError(
                f"{table.where(row)}: unknown {name} {word!r}; use {', '.join(choice[:-1])} or "
                f"{choice[-1]}.{did_you_mean(word, known)}"
            )
    width = f"<U{max(map(len, known))}"
    words: NDArray[np.str_] = np.array([word.lower() for word in spelled], dtype=width)[codes]
    return words


def _labels(texts: NDArray[np.object_], states: NDArray[np.str_]) -> NDArray[np.object_]:
    """Labels; numbers as pandas leaves them beside empty cells, ``1.0``, are ``1``.

    A -1 that was filled in is none. Both hold where all labels are whole numbers: ``1.0`` beside
    ``1.5`` stays as it is.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pa.array(texts, pa.string())
    if not pc.all(pc.match_substring_regex(column, r"^$|^-?[0-9]+(\.0*)?$")).as_py():
        return texts
    whole = pc.replace_substring_regex(column, r"\.0*$", "")
    open_ = pa.array(states != "labeled")
    whole = pc.if_else(pc.and_(pc.equal(whole, "-1"), open_), "", whole)
    return np.asarray(whole.to_numpy(zero_copy_only=False), dtype=object)


def _weights(table: Table, texts: NDArray[np.object_]) -> NDArray[np.float64]:
    """Weights float64 [n]; an empty cell is 1, a decimal comma a point."""
    import pyarrow as pa
    import pyarrow.compute as pc

    points = pc.replace_substring_regex(pa.array(texts, pa.string()), DECIMAL_COMMA, r"\1.\2")
    points = pc.if_else(pc.equal(points, ""), "1", points)
    numeric = pc.match_substring_regex(points, NUMBER)
    values = pc.cast(pc.if_else(numeric, points, "-1"), pa.float64()).to_numpy()
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        raise DataError(
            f"{table.where(bad[0])}: weight {texts[bad[0]]!r} is not a number of at least 0. "
            "Correct it, or leave it empty for 1."
        )
    return np.asarray(values, dtype=np.float64)
