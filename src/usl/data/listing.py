"""List the image files below a folder, or those that match a glob."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from usl.core.errors import DataError
from usl.data.decode import EXTENSIONS

Found = tuple[str, bool]  # path relative to the root, with "/"; is it a file that can be opened?


@dataclass(frozen=True)
class Listing:
    """Image files below ``root``.

    Attributes
    ----------
    names : paths relative to ``root``, with ``/``, ordered by folder, then name.
    skipped : ``(name, reason)`` of image files that cannot be used.
    others : how many files have which other ending.
    """

    root: Path
    names: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def list_images(path: Path) -> Listing:
    """List a folder or glob; hidden files and ``__MACOSX`` are passed over, none is opened."""
    if is_glob(path):
        root, names = expand_glob(path)
        found: Iterable[Found] = [(name, (root / name).is_file()) for name in names]
    else:
        root, found = path, _walk(path)
    listing = Listing(root)
    for name, usable in found:
        if not name.lower().endswith(EXTENSIONS):
            listing.others[os.path.splitext(name)[1].lower() or "no ending"] += 1
        elif (fault := _fault(name, usable)) is not None:
            listing.skipped.append((_printable(name), fault))
        else:
            listing.names.append(name)
    listing.names.sort(key=lambda name: name.split("/"))
    listing.skipped.sort()
    return listing


def is_glob(path: Path) -> bool:
    """Tell whether the path has wildcards and nothing is really called that."""
    return glob.has_magic(str(path)) and not path.exists()


def _walk(root: Path) -> Iterator[Found]:
    """All files below ``root`` that are not hidden."""

    def below(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Found]:
        here = os.stat(folder)
        key = (here.st_dev, here.st_ino)
        if key in above:
            return  # a link back to a folder that this one lies in
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise DataError(
                f"{folder}: cannot be listed ({error.strerror}). Allow reading it, or remove it."
            ) from error
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            if entry.is_dir():
                yield from below(entry.path, f"{prefix}{entry.name}/", (*above, key))
            else:
                yield prefix + entry.name, entry.is_file()

    return below(str(root), "", ())


def expand_glob(pattern: Path) -> tuple[Path, list[str]]:
    """The folder that a glob starts from, and what matches that is neither folder nor hidden."""
    root = pattern
    while glob.has_magic(str(root)):
        root = root.parent
    if not root.is_dir():
        raise DataError(f"{pattern}: there is no folder {root}.")
    names = glob.glob(os.path.relpath(pattern, root), root_dir=root, recursive=True)
    posix = [Path(name).as_posix() for name in names if not (root / name).is_dir()]
    return root, [name for name in posix if not any(map(_is_hidden, name.split("/")))]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _fault(name: str, usable: bool) -> str | None:
    """Why an image file cannot be used, or None."""
    if not usable:
        return "a broken link, or no regular file"
    if _printable(name) != name:
        return "the file name is not valid UTF-8; rename the file"
    return None


def _printable(name: str) -> str:
    """The name with bytes that are not UTF-8 written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
