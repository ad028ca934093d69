"""List the image files below a folder, or those that match a glob."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from usl.core.errors import DataError
from usl.core.words import counted
from usl.data.endings import passed_over_note, readable_endings

# Folders of what was thrown away, thumbnails and snapshots: of NAS, Windows, Linux and Macs.
RUBBISH = (
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "@__thumb"),
    *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),
    *("lost+found", "__macosx", "network trash folder", "temporary items", "~snapshot"),
)
OURS = (".usl-export.json", "run.json", "pretraining.json")  # what our own folders are known by


@dataclass(frozen=True)
class Listing:
    """Image files below ``root``.

    Attributes
    ----------
    names : paths relative to ``root``, with ``/``, ordered by folder, then name.
    skipped : ``(name, reason)`` of image files and links that cannot be used.
    others : how many files have which other ending, and folders that are none of the collection.
    twice : links to folders that are listed already.
    """

    root: Path
    names: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)

    def notes(self, source: str) -> tuple[str, ...]:
        """What a person should know of what was left out."""
        found = [passed_over_note(source, self.others)]
        if self.twice:
            shown = ", ".join(self.twice[:3]) + (", ..." if len(self.twice) > 3 else "")
            links = counted(len(self.twice), "link")
            found.append(f"{source}: {links} to folders that are listed already: {shown}.")
        return tuple(filter(None, found))

    def add(self, name: str, fault: str | None) -> None:
        """Sort a file in: an image, one that cannot be used, or another file."""
        if not name.lower().endswith(readable_endings()):
            self.others[os.path.splitext(name)[1].lower() or "no ending"] += 1
        elif fault or _printable(name) != name:
            reason = fault or "the file name is not valid UTF-8; rename the file"
            self.skipped.append((_printable(name), reason))
        else:
            self.names.append(name)


def list_images(path: Path) -> Listing:
    """List a folder or glob; none is opened.

    Passed over are hidden files, recycle bins and thumbnails, and run and export folders of ours
    that lie inside. Linked folders are listed once.
    """
    if is_glob(path):
        root, names = expand_glob(path)
        listing = Listing(root)
        for name in _seen_once(listing, names):
            listing.add(name, _fault_of(root / name))
    else:
        listing = Listing(path)
        _Walk(listing).all()
    listing.names.sort(key=lambda name: name.split("/"))
    listing.skipped.sort()
    listing.twice.sort()
    return listing


def is_glob(path: Path) -> bool:
    """Tell whether the path has wildcards and nothing is really called that."""
    return glob.has_magic(str(path)) and not path.exists()


class _Walk:
    """Goes through a folder: what really lies there first, then linked folders not seen yet."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.seen: set[tuple[int, int]] = set()
        self.linked: list[tuple[str, str]] = []

    def all(self) -> None:
        """List everything below the root."""
        self.below(str(self.listing.root), "")
        while self.linked:
            (folder, name), *rest = sorted(self.linked)
            self.linked = rest
            if _identity(folder) in self.seen:
                self.listing.twice.append(_printable(name))
            else:
                self.below(folder, name + "/")

    def below(self, folder: str, prefix: str) -> None:
        """List one folder and those in it; linked ones are kept for later."""
        self.seen.add(_identity(folder))
        for entry in _entries(folder):
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError as error:
                self.listing.skipped.append((_printable(name), _unusable(error)))
                continue
            if not is_folder:
                self.listing.add(name, None if is_file else _fault_of(Path(entry.path)))
            elif (why := _foreign(entry.name, entry.path)) is not None:
                self.listing.others[why] += 1
            elif entry.is_symlink():
                self.linked.append((entry.path, name))
            elif _identity(entry.path) not in self.seen:
                self.below(entry.path, f"{name}/")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{_printable(folder)}: cannot be listed ({error.strerror}). Allow reading it, or "
            "remove it."
        ) from error


def _identity(folder: str) -> tuple[int, int]:
    """What tells a folder from others, whatever way leads there."""
    here = os.stat(folder)
    return here.st_dev, here.st_ino


def _foreign(name: str, path: str | Path) -> str | None:
    """What a folder is called in the count of what was passed over, or None if it is listed."""
    if name.lower() in RUBBISH:
        return f"{name}/"
    if is_ours(Path(path)):
        return "run and export folders of usl"
    return None


def is_ours(folder: Path) -> bool:
    """Whether a folder is a run, an export or a pre-training of this package."""
    for name in OURS:
        file = folder / name
        if not file.is_file():
            continue
        if name != "run.json" or (folder / "split.csv").exists():
            return True
        with contextlib.suppress(OSError, ValueError):
            info = json.loads(file.read_bytes())
            if isinstance(info, dict) and {"format", "source"} <= set(info):
                return True
    return False


def _unusable(error: OSError) -> str:
    """Why a name leads nowhere."""
    if error.errno == errno.ELOOP:
        return "a link to itself, or one of a circle; remove it"
    if error.errno == errno.ENAMETOOLONG:
        return "its name, or what it links to, is too long; rename it"
    return f"it cannot be looked at ({error.strerror or error})"


def _fault_of(path: Path) -> str | None:
    """Why a file cannot be opened, or None."""
    try:
        usable = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        usable = False
    except OSError as error:
        return _unusable(error)
    return None if usable else "a broken link, or no regular file"


def expand_glob(pattern: Path) -> tuple[Path, list[str]]:
    """The folder that a glob starts from, and what matches that is neither folder nor hidden."""
    root = pattern
    while glob.has_magic(str(root)):
        root = root.parent
    if not root.is_dir():
        raise DataError(f"{pattern}: there is no folder {root}.")
    names = _expanded(str(root), Path(os.path.relpath(pattern, root)).parts)
    posix = [Path(name).as_posix() for name in names if not os.path.isdir(root / name)]
    known: dict[str, bool] = {"": False}  # folders, and whether they are none of the collection
    return root, [name for name in posix if not _lies_outside(name, root, known)]


def _expanded(root: str, parts: tuple[str, ...]) -> list[str]:
    """What matches the parts of a pattern below a folder; ``**`` enters each folder once.

    The standard library's follows links in circles, which with several of them never ends.
    """
    if "**" not in parts:
        return glob.glob(os.path.join(*parts), root_dir=root) if parts else [""]
    place = parts.index("**")
    before, rest = parts[:place], parts[place + 1 :] or ("*",)
    found: list[str] = []
    for start in sorted(_expanded(root, before)):
        for folder in _folders_once(os.path.join(root, start)):
            inner = os.path.join(start, folder)
            found += [os.path.join(inner, n) for n in _expanded(os.path.join(root, inner), rest)]
    return list(dict.fromkeys(found))


def _folders_once(base: str) -> Iterator[str]:
    """A folder and all below it, as paths from it, each once: links after the real folders."""
    if not os.path.isdir(base):
        return
    seen: set[tuple[int, int]] = set()
    waiting, linked = [""], list[str]()
    while waiting or linked:
        name = waiting.pop() if waiting else linked.pop(0)
        folder = os.path.join(base, name)
        if _identity(folder) in seen:
            continue
        seen.add(_identity(folder))
        yield name
        for entry in reversed(_entries(folder)):
            if not entry.name.startswith(".") and _is_folder(entry):
                inner = os.path.join(name, entry.name)
                (linked if entry.is_symlink() else waiting).append(inner)
        linked.sort()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _seen_once(listing: Listing, names: list[str]) -> list[str]:
    """The files without those of folders that are there by another name: the plainest counts."""
    folders = {name.rpartition("/")[0] for name in names}
    plainest: dict[str, str] = {}
    for folder in sorted(folders, key=lambda folder: (_has_link(listing.root, folder), folder)):
        other = plainest.setdefault(os.path.realpath(listing.root / folder), folder)
        if other != folder:
            listing.twice.append(_printable(folder))
    kept = set(plainest.values())
    return [name for name in names if name.rpartition("/")[0] in kept]


def _has_link(root: Path, folder: str) -> int:
    """How many links a relative path goes through."""
    parts = folder.split("/") if folder else []
    return sum(os.path.islink(root.joinpath(*parts[:depth])) for depth in range(1, len(parts) + 1))


def _lies_outside(name: str, root: Path, known: dict[str, bool]) -> bool:
    """Whether a file is hidden, or in a folder that is none of the collection."""
    folder, _, last = name.rpartition("/")
    if folder not in known:
        above = folder.rpartition("/")[0]
        known[folder] = (
            _lies_outside(folder, root, known)
            or known.get(above, False)
            or _foreign(folder.rpartition("/")[2], root / folder) is not None
        )
    return last.startswith(".") or known[folder]


def _printable(name: str) -> str:
    """The name with bytes that are not UTF-8 written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
