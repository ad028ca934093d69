"""What lies below an address, listed once; and which of it are the images of a collection."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from usl.data.addressed_images import UNKNOWN, AddressedImages
from usl.data.addresses import WEB, check_address, open_filesystem, reaching, shown, version_told
from usl.data.listing import OURS, RUBBISH, Listing

MAGIC = frozenset("*?[")


class Entry(NamedTuple):
    """A file: its size in bytes and its version, as :func:`usl.data.addresses.version_of` says."""

    size: int
    version: int


@dataclass(frozen=True)
class Place:
    """A folder at an address, and what was listed in it.

    Attributes
    ----------
    address : of the folder, without a slash at its end.
    entries : by name below it, in the order of names; None where nothing lists it (on the web).
    pattern : the glob that all of them match; "" for none.
    ours : folders below it of runs, exports and pre-trainings of this package.
    """

    address: str
    entries: Mapping[str, Entry] | None = None
    pattern: str = ""
    ours: frozenset[str] = frozenset()

    @property
    def source(self) -> str:
        """What is shown, and written down, of it."""
        return shown(f"{self.address}/{self.pattern}" if self.pattern else self.address)

    @cached_property
    def listing(self) -> Listing:
        """The images among the entries, as :func:`usl.data.listing.list_images` finds them."""
        listing, passed_over = Listing(Path(self.source)), set[str]()
        for name in self.entries or {}:
            parts = name.split("/")
            if not is_plain(name):
                listing.add(name, "no file can be called that: an empty part, . or ..; rename it")
            elif (folder := self._foreign(parts)) is not None:
                passed_over.add(folder)
            elif not any(part.startswith(".") for part in parts):
                listing.add(name, None)
        for folder in passed_over:
            kind = "run and export folders of usl" if folder in self.ours else _last(folder) + "/"
            listing.others[kind] += 1
        listing.names.sort(key=lambda name: name.split("/"))
        listing.skipped.sort()
        return listing

    def _foreign(self, parts: Sequence[str]) -> str | None:
        """The folder above a file that is no part of a collection, or None."""
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder in self.ours or parts[depth - 1].lower() in RUBBISH:
                return folder
        return None

    def images(self, names: Sequence[str], max_pixels: int | None) -> AddressedImages:
        """The images of these names."""
        return AddressedImages(self.address, names, self._states(names), max_pixels=max_pixels)

    def _states(self, names: Sequence[str]) -> NDArray[np.int64]:
        entries, unknown = self.entries or {}, Entry(UNKNOWN, 0)
        found = [entries.get(name, unknown) for name in names]
        return np.array(found, dtype=np.int64).reshape(len(names), 2)

    def find(self, folder: str, text: str) -> str | None:
        """The name below this address of a file that a table in ``folder`` calls ``text``.

        A name or a whole address; None if no such file was listed. ValueError if it lies elsewhere:
        nothing beside what a person has named is ever contacted.
        """
        if text.startswith(f"{self.address}/"):
            text = text[len(self.address) + 1 :]
        elif "://" in text or text.startswith("/"):
            raise ValueError(text)
        for spelling in (text, text.replace("\\", "/")):
            name = posixpath.normpath(posixpath.join(folder, spelling))
            if name.startswith("../"):
                raise ValueError(text)
            if self.entries is None or name in self.entries:
                return name
        return None


def list_address(address: str) -> Place:
    """All files below an address, or those that match it as a glob, by one listing.

    Raises
    ------
    DataError
        nothing is there.
    StoreError
        it may not be listed, or cannot be reached; the web lists nothing.
    """
    root, pattern = split_glob(address)
    parts = pattern.split("/") if pattern else []
    every = dict(sorted(_listed(root)))
    found = {n: one for n, one in every.items() if not parts or matches(n.split("/"), parts)}
    return Place(root, found, pattern, _our_folders(every))


def is_file(address: str) -> bool:
    """Whether a file lies at an address, and not a folder or nothing; on the web all is a file."""
    if check_address(address) in WEB:
        return True
    filesystem, path = open_filesystem(address)
    with reaching(address):
        if filesystem.type_name.startswith("py"):
            return bool(filesystem.handler.fs.isfile(path))
        return bool(filesystem.get_file_info(path).is_file)


def split_glob(address: str) -> tuple[str, str]:
    """An address up to its last folder without a wildcard, and the rest, a glob or "".

    What follows a question mark on the web is a query.
    """
    address = address.rstrip("/")
    if check_address(address) in WEB or not MAGIC & set(address):
        return address, ""
    parts = address.split("/")
    first = next(place for place, part in enumerate(parts) if MAGIC & set(part))
    return "/".join(parts[:first]), "/".join(parts[first:])


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob, both in parts; ``**`` stands for any folders, or none."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        rest = pattern[1:] or ["*"]
        return any(matches(parts[start:], rest) for start in range(len(parts)))
    return (
        bool(parts)
        and fnmatch.fnmatchcase(parts[0], pattern[0])
        and matches(parts[1:], pattern[1:])
    )


def _listed(address: str) -> Iterator[tuple[str, Entry]]:
    from pyarrow.fs import FileSelector, FileType

    filesystem, root = open_filesystem(address)
    with reaching(address):
        if filesystem.type_name.startswith("py"):
            told: dict[str, Any] = filesystem.handler.fs.find(root, detail=True)
            if not told and not filesystem.handler.fs.exists(root):
                raise FileNotFoundError(root)
            for path, about in told.items():
                entry = Entry(int(about.get("size") or 0), version_told(about))
                yield path[len(root) + 1 :], entry
            return
        for info in filesystem.get_file_info(FileSelector(root, recursive=True)):
            if info.type == FileType.File:
                yield info.path[len(root) + 1 :], Entry(int(info.size), int(info.mtime_ns or 0))


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def is_plain(name: str) -> bool:
    """Whether a name below an address can be that of a file on a disk."""
    return {"", ".", ".."}.isdisjoint(name.split("/"))


def _our_folders(known: Mapping[str, Entry]) -> frozenset[str]:
    """Folders of runs, exports and pre-trainings of this package, told by the files in them."""
    marks = [name.rpartition("/")[::2] for name in known if name.endswith(OURS)]
    return frozenset(
        folder
        for folder, last in marks
        if last in OURS and (last != "run.json" or f"{folder}/split.csv" in known)
    )
