"""Read and write ``split.csv``: forgive what people do to it, and keep their own columns.

What the columns mean stands in :mod:`usl.run.split`. ``split.csv`` of a run that exists is written
here alone, by :func:`rewrite`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, did_you_mean
from usl.core.files import atomic_write
from usl.data.collection import SUBSETS
from usl.data.columns import check_ids
from usl.data.tables import Table, column_names, csv_text, read_text_table

if TYPE_CHECKING:
    from usl.run.split import Split

CSV_NAME, PARQUET_NAME = "split.csv", "split.parquet"
COLUMNS = ("image_id", "subset", "state", "label", "weight", "source")
STATES = ("requested", "labeled", "unlabeled")
SOURCES = ("human", "swept", "propagated", "predicted")
SWEPT = "swept"  # confirmed at a glance, with a whole sheet of others

MOST_WEIGHT = 1e9  # beyond, sums of weights overflow
STATE = r"[,;\t](requested|labeled|unlabeled)"
SWALLOWED = rf"(?is)[\r\n].*{STATE}|{STATE}.*[\r\n]"
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
    check_ids(ids.tolist(), table.where)
    states = _words(table, "state", columns["state"], STATES)
    sources = _words(table, "source", columns["source"], ("", *SOURCES))
    _refuse_swallowed_rows(table)
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


def by_people(sources: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which labels people gave, one by one or swept, by their sources str [n]: bool [n]."""
    return np.asarray((sources == "human") | (sources == SWEPT), dtype=bool)


class FileChangedError(DataError):
    """The split file is not as it was when it was read."""


def signature(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written or replaced: time, size and number on the disk."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def rewrite(split: Split, *, safe: str = "") -> None:
    """Write a split into the file it was read from, and the mirror beside it.

    The user's own columns stay, and the order of all. Their cells go with the rows, by ``numbers``;
    rows that were appended are empty in them.

    Parameters
    ----------
    safe : a sentence for the refusal, on what is not lost.

    Raises
    ------
    FileChangedError : the file has changed since it was read; it is left alone.
    DataError : the file cannot be written.
    """
    content = rendered(split, safe=safe)
    replace_csv(split, content, safe=safe)


def rendered(split: Split, *, safe: str = "") -> bytes:
    """The new content of the split's file; writes the mirror. What takes long of a rewriting."""
    path = check_unchanged(split)
    with _plain_refusal(path, safe):
        write_mirror(split, path.parent)
    names = column_names(path)
    own = names != list(COLUMNS)
    return csv_bytes(split, read_text_table(path, blank=True, as_written=True) if own else None)


def replace_csv(split: Split, content: bytes, *, safe: str = "") -> None:
    """Put the :func:`rendered` content in place, unless the file has changed."""
    path = check_unchanged(split)
    with _plain_refusal(path, safe), atomic_write(path) as handle:
        handle.write(content)


def check_unchanged(split: Split) -> Path:
    """The file a split was read from; FileChangedError if that is another one by now."""
    path = Path(split.path)
    if signature(path) != split.seen:
        raise FileChangedError(
            f"{path} was changed meanwhile, and is left as it is. Run the same command once more."
        )
    return path


def csv_bytes(split: Split, former: Table | None = None) -> bytes:
    """The CSV file's bytes, in the order of columns of the ``former`` file, with those it has more.

    The CSV starts with a byte order mark only if it holds more than ASCII: Excel needs the mark to
    take such a file for UTF-8.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns: dict[str, Any] = typed_columns(split)
    values, inverse = np.unique(split.weights, return_inverse=True)
    weights = pa.array([repr(value).removesuffix(".0") for value in values.tolist()], pa.string())
    columns["label"] = columns["label"].fill_null("")
    columns["weight"] = weights.take(pa.array(inverse))
    if former is not None:
        numbers = split.numbers if len(split.numbers) else np.full(len(split), -1)
        rows = pc.index_in(pa.array(numbers), value_set=pa.array(former.numbers))
        own = {name: cells.take(rows).fill_null("") for name, cells in former.columns.items()}
        columns = {name: columns.pop(name.lower(), own[name]) for name in own} | columns
    theirs = [name.strip() for name in columns if name.lower() not in COLUMNS]
    text = csv_text([name.strip() for name in columns], list(columns.values()), as_written=theirs)
    return text.encode("utf-8" if text.isascii() else "utf-8-sig")


def write_mirror(split: Split, folder: str | Path) -> None:
    """Write ``split.parquet`` alone, the typed mirror of ``split.csv``."""
    import pyarrow as pa
    import pyarrow.parquet

    with atomic_write(Path(folder) / PARQUET_NAME) as handle:
        pyarrow.parquet.write_table(pa.table(typed_columns(split)), handle)


def typed_columns(split: Split) -> dict[str, Any]:
    """The six columns as pyarrow arrays; a label is null where there is none."""
    import pyarrow as pa

    return {
        "image_id": pa.array(split.ids, pa.string()),
        "subset": _coded(split.subsets, SUBSETS),
        "state": _coded(split.states, STATES),
        "label": pa.array(split.labels, pa.string(), from_pandas=True),
        "weight": pa.array(split.weights, pa.float64()),
        "source": _coded(split.sources, ("", *SOURCES)),
    }


@contextmanager
def _plain_refusal(path: Path, safe: str) -> Iterator[None]:
    """Turn an OSError into a :class:`DataError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}). {safe}{' ' if safe else ''}"
            "Close other programs that have the file open, see that the folder can be written and "
            "the disk has space, then try again."
        ) from error


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

    spelled: dict[str, Any] = {}
    for name, column in table.columns.items():
        if name.lower() in COLUMNS and name.lower() in spelled:
            raise DataError(f"{table.path}, row 1: two columns are called {name!r}. Rename one.")
        spelled[name.lower()] = column
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


def _refuse_swallowed_rows(table: Table) -> None:
    """Refuse what two stray quotes make of the rows between them: one cell with line breaks.

    Such a cell has as many delimiters as the rows it swallowed, and their states.
    """
    import pyarrow.compute as pc

    for cells in table.columns.values():
        odd = np.flatnonzero(pc.match_substring_regex(cells, SWALLOWED).to_numpy(False))
        for row in odd.tolist():
            text = cells[row].as_py()
            breaks = text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
            if max(map(text.count, ",;\t")) >= breaks * (len(COLUMNS) - 1):
                raise DataError(
                    f"{table.where(row)}: a cell holds {breaks} line breaks and what looks "
                    f"like rows: {text[:60]!r}. Is a quote opened there that is closed rows below? "
                    "Remove it."
                )
        if pc.any(pc.match_substring(cells, "\0")).as_py():
            row = int(pc.index(pc.match_substring(cells, "\0"), True).as_py())
            raise DataError(f"{table.where(row)}: a cell holds a NUL. Remove it.")


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
    bad = np.flatnonzero(~((values >= 0) & (values <= MOST_WEIGHT)))
    if len(bad):
        raise DataError(
            f"{table.where(bad[0])}: weight {texts[bad[0]]!r} is not a number of at least 0 "
            f"and at most {MOST_WEIGHT:,.0f}. Correct it, or leave it empty for 1."
        )
    return np.asarray(values, dtype=np.float64)
