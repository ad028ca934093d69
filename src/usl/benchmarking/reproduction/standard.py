"""The standard data sets and weights that recipes name, by ``standard.toml``: where they lie.

All lie in one folder of data sets. Nothing is fetched: what is missing is named, with the command
that gets it and the place it belongs to. What differs from its publisher's checksum is refused.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.words import quoted
from usl.data.open import open_collection

NAMED = re.compile(r"\{(\w+)\}")
CLASSES = "imagenet100.txt"


@dataclass(frozen=True)
class Standard:
    """One data set, or one file of weights; the attributes are the keys of ``standard.toml``."""

    name: str
    title: str
    place: str
    get: str
    md5: Mapping[str, str] | str = ""
    also: Sequence[str] = field(default_factory=tuple)
    labels: str = ""

    def found(self, folder: Path) -> Path | None:
        """Where it lies in a folder of data sets; None if it does not."""
        names = (self.place, *self.also)
        return next((folder / name for name in names if (folder / name).exists()), None)

    def how(self, folder: Path) -> str:
        """How to get it, where it belongs, and its publisher's checksums, in a line."""
        classes = resources.files("usl.benchmarking.reproduction") / CLASSES
        folder = folder.absolute()  # links are relative to where they lie
        told = self.get.format(
            folder=quoted(folder), place=quoted(folder / self.place), classes=quoted(str(classes))
        )
        if self.get.startswith("curl") and not folder.exists():
            told = f"mkdir -p {quoted(folder)} && {told}"
        sums = ", ".join(f"{name} {md5}".strip() for name, md5 in self._sums().items())
        stated = f" (MD5: {sums})" if sums else ""
        return f"{self.title} is not at {folder / self.place}. Get it: {told}{stated}"

    def _sums(self) -> Mapping[str, str]:
        """Checksums by the files in its folder; of a single file by no name."""
        if isinstance(self.md5, Mapping):
            return self.md5
        return {"": self.md5} if self.md5 else {}

    def check(self, path: Path) -> None:
        """:class:`DataError` for a copy that is not what its publisher gave out."""
        if path.name == self.place and self.md5:
            for name, wanted in self._sums().items():
                file = path / name if name else path
                if not file.is_file():
                    raise DataError(f"{file} is missing. Get {self.title} again: {self.get}")
                self._compare(file, file_md5(file), wanted)
        elif self.labels:
            collection = open_collection(path)
            if collection.labels is None:
                raise DataError(f"{path} holds no labels, so it is not {self.title} as published.")
            own = label_digest(collection.labels[collection.subsets == "train"])
            self._compare(path, own, self.labels, of=" of its train labels")

    def _compare(self, path: Path, found: str, wanted: str, of: str = "") -> None:
        if found != wanted:
            raise DataError(
                f"{path}: the checksum{of} is {found}; that of {self.title} is {wanted}. The file "
                "is damaged or another one: get it again."
            )


def standard_sets() -> dict[str, Standard]:
    """All of them, by name."""
    text = (resources.files("usl.benchmarking.reproduction") / "standard.toml").read_text("utf-8")
    return {name: Standard(name, **about) for name, about in tomllib.loads(text).items()}


def named_in(value: Any) -> list[str]:
    """The data sets that a part of a recipe names in braces, each once, in their order."""
    if isinstance(value, str):
        return list(dict.fromkeys(NAMED.findall(value)))
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, (Mapping, list)):
        return []
    return list(dict.fromkeys(name for part in parts for name in named_in(part)))


def placed(value: Any, folder: Path) -> Any:
    """A part of a recipe with the place of each data set for its name; missing ones, too.

    Raises :class:`UsageError` for a name that ``standard.toml`` does not have.
    """
    if isinstance(value, Mapping):
        return {key: placed(part, folder) for key, part in value.items()}
    if isinstance(value, list):
        return [placed(part, folder) for part in value]
    if not isinstance(value, str):
        return value
    known = standard_sets() if NAMED.search(value) else {}

    def place(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            raise UsageError(f"no standard data set {name!r}.{did_you_mean(name, known)}")
        return str(known[name].found(folder) or folder / known[name].place)

    return NAMED.sub(place, value)


def file_md5(path: Path) -> str:
    """Hex MD5 of a file, which publishers of data sets state."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def label_digest(labels: ArrayLike) -> str:
    """Hex MD5 of labels by the order in which they first appear, whatever the classes' names."""
    _, first, number = np.unique(np.asarray(labels, str), return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))[number]
    return hashlib.md5(order.astype("<u2").tobytes(), usedforsecurity=False).hexdigest()
