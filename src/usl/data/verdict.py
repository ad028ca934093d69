"""What a table is: features of one's own, or a list of images. The one place that decides it.

In this order:

1. ``as_="embeddings"`` or ``"manifest"`` decides.
2. Lists of numbers are features: in a column called features or the like, else in the only column
   of lists; beside paths a list under another name must hold at least 8 numbers.
3. Numbered columns of one prefix, from 0 or 1 without a gap (``f0, f1, ...``), are features, and
   paths beside them are names; beside paths there must be at least 8 of them, or the prefix says
   what they are (``embedding_0``).
4. A column of paths makes a list of images. Other columns, numbers too, stay with the run.
5. Two or more columns of numbers are features.

Index columns of other libraries (``Unnamed: 0``, ``__index_level_0__``) are never features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.data.columns import find_column, is_index, is_number, numbered_groups, spelling
from usl.data.endings import EXTENSIONS
from usl.data.labels import unwrap
from usl.data.parquet_files import peek_parquet
from usl.data.tables import JSON_SUFFIXES, json_head, text_head

LEAST_BESIDE_PATHS = 8  # numbers to a row that are features although there are paths
PREFIXES = (
    *("feature", "features", "feat", "feats", "embedding", "embeddings", "emb", "embed"),
    *("vector", "vec", "dim", "latent"),
)
KINDS = ("embeddings", "manifest")
Kind = Literal["embeddings", "manifest"]


@dataclass(frozen=True)
class Verdict:
    """What a table was taken for.

    Attributes
    ----------
    kind : ``embeddings``, ``manifest``, or "" where it is neither.
    roles : the columns that are ``id``, ``path``, ``label`` and ``subset``, where there are any.
    features : the columns of features: one of lists, or several of numbers.
    others : columns that are none of these, the index of another library left out.
    notes : what a person should know of the decision.
    """

    kind: str
    roles: dict[str, str] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def judge(
    path: Path, names: Sequence[str], first: Mapping[str, Any], as_: str | None = None
) -> Verdict:
    """Decide what a table is from its columns and the first value in each (None: nothing there).

    Raises
    ------
    DataError
        two sets of numbered columns; ``as_`` asks for what is not there.
    """
    if as_ is not None and as_ not in KINDS:
        raise UsageError(
            f"as: {as_!r} given; use embeddings or manifest." + did_you_mean(str(as_), KINDS)
        )
    roles = {
        role: name
        for role in ("id", "path", "label", "subset")
        if (name := find_column([n for n in names if not is_index(n)], role)) is not None
    }
    if "path" in roles and _count(first.get(roles["path"])) > 1:
        del roles["path"]  # a list of numbers under the name of a file
    rest = [name for name in first if name not in roles.values()]
    index = [name for name in rest if is_index(name)]
    usable = [name for name in rest if name not in index]
    features = [] if as_ == "manifest" else _features(path, usable, first, roles, as_)
    if as_ == "manifest" and "path" not in roles:
        raise DataError(
            f"{path}: no column of paths for a list of images; it has {_listed(names)}. Call the "
            "one of the paths path."
        )
    if as_ == "embeddings" and not features:
        raise DataError(f"{path}: no columns of numbers for features; it has {_listed(names)}.")
    kind = "embeddings" if features else "manifest" if "path" in roles else ""
    if kind == "embeddings" and not {"id", "path"} & set(roles):
        roles |= _weak_name(usable, index, first, features)
    others = [n for n in usable if n not in features and n not in roles.values()]
    notes = _notes(path, kind, roles, features, others, first, asked=as_ is not None)
    return Verdict(kind, roles, features, others, notes)


def kind_of(path: Path) -> str:
    """``embeddings``, ``manifest`` or "" for a table; ``broken`` for one that cannot be read."""
    try:
        return judge(path, *peek(path)).kind
    except DataError:
        return "broken"


def peek(path: Path) -> tuple[list[str], dict[str, Any]]:
    """A table's columns and the first value in each.

    Raises
    ------
    DataError
        a broken file, a header that is missing.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return peek_parquet(path)
    if suffix in (*JSON_SUFFIXES, ".json"):
        try:
            with open(path, "rb") as handle:
                records = json_head(handle.read(1 << 20), path)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: not readable as JSON ({error}).") from error
        if not records and path.stat().st_size:
            raise DataError(f"{path}: expected JSON objects like {{...}}, one for each row.")
        names = list(dict.fromkeys(name for record in records for name in record))
        return names, {
            name: next((r[name] for r in records if r.get(name) is not None), None)
            for name in names
        }
    names, rows = text_head(path)
    return names, {
        name: next((row[at] for row in rows if len(row) > at and row[at].strip()), None)
        for at, name in enumerate(names)
        if name or at == 0
    }


def is_numeric(value: Any) -> bool:
    """Whether a cell is a number, or text that is one."""
    if isinstance(value, str):
        return is_number(value.strip())
    return isinstance(value, int | float) and not isinstance(value, bool)


def _features(
    path: Path,
    usable: list[str],
    first: Mapping[str, Any],
    roles: Mapping[str, str],
    as_: str | None,
) -> list[str]:
    """The columns of features, in their order; [] if there are none."""
    listed = [name for name in usable if _count(first.get(name), bare=True)]
    column = find_column(listed, "features")
    if column is not None:
        return [column]
    least = LEAST_BESIDE_PATHS if "path" in roles and as_ is None else 2
    long = [name for name in usable if _count(first.get(name)) >= least]
    if len(long) == 1:
        return long
    no_rows = all(value is None for value in first.values())
    numbers = [name for name in usable if no_rows or is_numeric(first.get(name))]
    groups = numbered_groups(numbers)
    named = next((prefix for prefix in groups if spelling(prefix) in PREFIXES), None)
    if named is not None:
        return groups[named]
    large = {prefix: group for prefix, group in groups.items() if len(group) >= least}
    best = max(large.values(), key=len, default=[])
    alike = [group for group in large.values() if len(group) == len(best)]
    if len(alike) > 2:  # rows of a picture: 1x1, 1x2, ..., 28x28
        return [name for name in numbers if any(name in group for group in alike)]
    rivals = [f"{p}0, {p}1, ... ({len(g)})" for p, g in large.items() if len(g) >= 8]
    if len(rivals) > 1:
        raise DataError(
            f"{path}: several sets of numbered columns, {' and '.join(rivals)}. Features of one "
            "collection come from one encoder: keep one set."
        )
    if len(alike) > 1:
        best = []
    if best or ("path" in roles and as_ is None):
        return best
    return numbers if len(numbers) > 1 else []


def _count(value: Any, *, bare: bool = False) -> int:
    """How many numbers a cell lists; 0 if it is no list. ``bare``: as text without brackets too."""
    if isinstance(value, str):
        text = value.strip()
        inner = text
        while inner[:1] + inner[-1:] in ("[]", "()"):
            inner = inner[1:-1].strip()
        if inner == text and not (bare and any(character in text for character in " ;,")):
            return 0
        text = inner
        words = text.replace(",", " ").replace(";", " ").split()
        return len(words) if words and all(map(is_number, words)) else 0
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return 0
    return (
        len(value) if all(is_numeric(part) and not isinstance(part, str) for part in value) else 0
    )


def _weak_name(
    usable: list[str], index: list[str], first: Mapping[str, Any], features: list[str]
) -> dict[str, str]:
    """A column of texts that names the rows although it is not called id: name, uuid, no name."""

    def is_text(name: str) -> bool:
        value, _ = unwrap(first.get(name))
        return isinstance(value, str) and not is_number(value)

    texts = [name for name in usable if name not in features and is_text(name)]
    found = find_column(texts, "name")
    unnamed = [name for name in index if is_text(name)]  # pandas: df.set_index(paths).to_csv()
    found = found if found is not None else next(iter(unnamed), None)
    return {} if found is None else {"id": found}


def _notes(
    path: Path,
    kind: str,
    roles: Mapping[str, str],
    features: list[str],
    others: list[str],
    first: Mapping[str, Any],
    *,
    asked: bool,
) -> tuple[str, ...]:
    """What was taken for what, where it could have been meant otherwise."""
    numbers = [name for name in others if is_numeric(first.get(name)) or _count(first.get(name))]
    if kind == "manifest" and numbers and not asked:
        return (
            f"{path}: taken for a list of images ({roles['path']} is the path); {_listed(numbers)} "
            "stay with the run as columns. If they are the features: --as embeddings.",
        )
    if kind != "embeddings" or asked:
        return ()
    names = roles.get("id") or roles.get("path")
    said, hint = [], " If it lists images: --as manifest." if "path" in roles else ""
    if "path" in roles:
        said.append(f"{names or 'nothing'} names the rows, and no picture is opened")
    elif names is not None and find_column([names], "id") is None:
        said.append(f"{names or 'the column without a name'} names the rows")
    elif names is not None and str(first.get(names)).lower().endswith(EXTENSIONS):
        said.append(f"{names} names the rows, and no picture is opened")
        hint = f" If it lists images, call the column {names} path."
    if others:
        said.append(f"not used: {_listed(others)}")
    if not said:
        return ()
    return (f"{path}: taken for features ({_listed(features)}); {'; '.join(said)}.{hint}",)


def _listed(names: Sequence[str]) -> str:
    """A few names, the first and the last."""
    shown = [name[:40] or "(no name)" for name in names]
    if len(shown) > 8:
        return f"{len(shown)} columns, {shown[0]} to {shown[-1]}"
    return ", ".join(shown) or "none"
