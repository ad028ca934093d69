"""File names for image ids and folder names for classes, safe on every system, and back.

An id may be anything: ``../x``, ``C:\\x``, ``a b#1.jpg``, two that differ in case alone. Its name
is the id with ``_`` between folders, so that nothing in it can point anywhere. Where that changed
more than the separators, or is not unique, a digest of the id makes it so: ``x-1f0c22d4.jpg``.
Names depend on the ids of the whole run alone, so that a later import finds the same ones.
"""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from urllib.parse import unquote

from usl.core.errors import DataError
from usl.core.hashing import bytes_digest
from usl.data.columns import tidy_id
from usl.data.decode import EXTENSIONS
from usl.labeling.exchange.addresses import spellings, upload_names, uploaded

UNSAFE = re.compile(r'[\\/:*?"<>|%#&]')
DEVICES = re.compile(  # on Windows
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\..*)?$", re.IGNORECASE
)
LONGEST = 150  # bytes, of 255 that file systems allow
UNLABELED = "unlabeled"
MOST_NEAR = 20_000  # ids among which a near miss is looked for


def stems(ids: Sequence[str]) -> list[str]:
    """A name without ending for each id, unique even where case and Unicode form do not count."""
    plain = [_plain(word) for word in ids]
    wanted = [_folded(text) for text, _ in plain]
    counts = Counter(wanted)
    names = [
        text if unchanged and counts[key] == 1 else f"{text}-{_digest(word)[:8]}"
        for word, (text, unchanged), key in zip(ids, plain, wanted, strict=True)
    ]
    while True:  # a name that was made may be the one that another id wanted, or has
        made = [_folded(name) for name in names]
        claims = Counter(made)
        claims.update(key for key, name in zip(wanted, made, strict=True) if key != name)
        if all(claims[key] == 1 for key in made):
            break
        names = [
            f"{name}-{_digest(word)}" if claims[key] > 1 else name
            for name, word, key in zip(names, ids, made, strict=True)
        ]
    return names


class Finder:
    """Which image a name of a file or a tool's entry means.

    Parameters
    ----------
    ids : of the whole run.
    files : gives the absolute POSIX path of each id's file, in the order of ``ids``, or []; called
        only when a name cannot be told otherwise.
    """

    def __init__(self, ids: Sequence[str], files: Callable[[], Sequence[str]] = list) -> None:
        self._ids = ids
        self._files = files
        self._rows = {word: row for row, word in enumerate(ids)}

    def id(self, word: str) -> int | None:
        """The row of an id, None if unknown; blanks, split umlauts and ``\\`` are forgiven."""
        tidy = tidy_id(word.strip())
        spellings = (word, tidy, tidy.replace("\\", "/"))
        return next((self._rows[one] for one in spellings if one in self._rows), None)

    def stem(self, word: str) -> int | None:
        """The row of the one id that is this word and the ending of an image."""
        return _only(self._endless.get(tidy_id(word.strip())))

    def file(self, name: str) -> int | None:
        """The row of a file name: an id, a name made by :func:`stems`, the end of one file's path.

        A bare file name is also an id's last part, if that is the only one. Addresses are read as
        :mod:`usl.labeling.exchange.addresses` says.
        """
        for spelling in spellings(name):
            found = self.id(spelling)
            if found is None and "/" not in spelling:
                found = self._by_name(tidy_id(spelling))
            found = self._by_path(spelling) if found is None else found
            if found is None:
                found = self._by_upload(spelling)
            if found is not None:
                return found
        return None

    def by_end(self, name: str) -> tuple[int, str] | None:
        """The row whose whole id a path ends with, and the folder before it; None if none.

        That is how a path of another machine leads to the image: what lies above may be called
        anything there.
        """
        for spelling in spellings(name):
            parts = tidy_id(spelling).split("/")
            for start in range(len(parts) if len(parts) > 1 else 0):
                end = "/".join(parts[start:])
                row = self._rows.get(end)
                row = _only(self._folded_ids.get(_folded(end))) if row is None else row
                if row is not None:
                    return row, parts[start - 1] if start else ""
        return None

    def name(self, row: int) -> str:
        """The id of a row."""
        return self._ids[row]

    def home(self, row: int) -> str:
        """The name of the folder from which the id of a row counts, "" if it is not known."""
        paths = self._paths
        path, word = paths[row] if row < len(paths) else "", self._ids[row]
        return path.removesuffix(f"/{word}").rpartition("/")[2] if path.endswith(word) else ""

    def has_files(self) -> bool:
        """Whether the images are files whose paths are known."""
        return any(self._paths)

    def reason(self, name: str) -> str:
        """Why a name is no image's: several are called so, or none; the nearest there is."""
        spelling = spellings(name)[0] if name.strip() else ""
        spelling = next(reversed(upload_names(spelling)), spelling)
        base = spelling.rpartition("/")[2]
        for rows in (self._of_base.get(base), self._endless.get(spelling)):
            if rows and len(rows) > 1 and "/" not in spelling:
                shown = " and ".join(repr(self._ids[row]) for row in rows[:2])
                return f"{len(rows)} images are called so, {shown} among them"
        if rows := self._of_base.get(base):
            return f"the nearest is {self._ids[rows[0]]!r}"
        bare = split_ending(base)[0].lstrip("0")
        if bare.isdecimal():  # a spreadsheet takes zeros away
            same = (n for n, word in enumerate(self._ids) if _bare(word) == bare)
            if (row := next(same, None)) is not None:
                return f"the nearest is {self._ids[row]!r}"
        known = self._ids if len(self._ids) <= MOST_NEAR else self._ids[:MOST_NEAR]
        near = difflib.get_close_matches(spelling, known, n=1, cutoff=0.6)
        return f"the nearest is {near[0]!r}" if near else "nothing is called alike"

    def _by_name(self, name: str) -> int | None:
        row = self._stems.get(_folded(split_ending(name)[0]))  # tools may convert the picture
        return _only(self._of_base.get(name)) if row is None else row

    def _by_path(self, name: str) -> int | None:
        end = "/" + name.lstrip("/")
        here = self._of_file.get(end.rpartition("/")[2], [])
        return _only([row for row in here if self._paths[row].endswith(end)])

    def _by_upload(self, name: str) -> int | None:
        for one in upload_names(name):
            found = self._by_name(one)
            found = _only(self._uploads.get(one)) if found is None else found
            if found is not None:
                return found
        return None

    @cached_property
    def _stems(self) -> dict[str, int]:
        return {_folded(stem): row for row, stem in enumerate(stems(self._ids))}

    @cached_property
    def _endless(self) -> dict[str, list[int]]:
        return _rows_by(split_ending(word)[0] for word in self._ids)

    @cached_property
    def _folded_ids(self) -> dict[str, list[int]]:
        return _rows_by(map(_folded, self._ids))

    @cached_property
    def _of_base(self) -> dict[str, list[int]]:
        return _rows_by(word.rpartition("/")[2] for word in self._ids)

    @cached_property
    def _uploads(self) -> dict[str, list[int]]:
        return _rows_by(uploaded(word.rpartition("/")[2]) for word in self._ids)

    @cached_property
    def _paths(self) -> Sequence[str]:
        return self._files()

    @cached_property
    def _of_file(self) -> dict[str, list[int]]:
        return _rows_by(path.rpartition("/")[2] for path in self._paths)


def _rows_by(keys: Iterable[str]) -> dict[str, list[int]]:
    """The rows of each key."""
    found: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return found


def _bare(word: str) -> str:
    """A file's name without folders, ending and leading zeros."""
    return split_ending(word.rpartition("/")[2])[0].lstrip("0")


def _only(rows: Sequence[int] | None) -> int | None:
    return rows[0] if rows and len(rows) == 1 else None


def split_ending(name: str) -> tuple[str, str]:
    """A name without the ending of an image file, and that ending ("" if it has none)."""
    stem, ending = os.path.splitext(name)
    return (stem, ending) if ending.lower() in EXTENSIONS else (name, "")


def class_folders(labels: Sequence[str]) -> dict[str, str]:
    """Each label's folder name; the way back is :func:`class_of`.

    What could not be a folder's name is written as ``%2F``, as in a web address; the whole of it
    for labels that differ in case alone, which are one folder on many systems.
    """
    plain = {label: _encoded(label) for label in labels}
    counts = Counter(map(_folded, plain.values()))
    folders = {}
    for label, name in plain.items():
        folders[label] = name if counts[_folded(name)] == 1 else _hex(label)
        if len(folders[label].encode()) > 250:
            raise DataError(f"The class {label[:40]!r}... has too long a name for a folder.")
    return folders


def class_of(folder: str) -> str:
    """The label that a folder stands for."""
    try:
        label = unquote(folder, errors="strict")
    except UnicodeDecodeError:
        return tidy_id(folder)
    return label if folder in (_encoded(label), _hex(label)) else tidy_id(folder)


def _plain(word: str) -> tuple[str, bool]:
    """The id as a file name without ending, and whether nothing but ``/`` was replaced."""
    text = split_ending(tidy_id(word))[0].replace("/", "_")
    safe = _printable(UNSAFE.sub("_", text), "_").lstrip(" .-~").rstrip(" .") or "image"
    safe = f"_{safe}" if DEVICES.match(safe) else safe
    short = safe.encode()[:LONGEST].decode(errors="ignore").rstrip(" .")
    ending = split_ending(short)[1]  # one more: without it, this would be another's name
    return short, short == text and not ending


def _encoded(label: str) -> str:
    """The label with what a folder's name cannot hold as ``%XX``."""
    if label.casefold() == UNLABELED or DEVICES.match(label):
        return _hex(label[0]) + _encoded(label[1:])
    composed = unicodedata.is_normalized("NFC", label)
    parts = [
        _hex(letter)
        if UNSAFE.match(letter) or not letter.isprintable() or not (composed or letter.isascii())
        else letter
        for letter in label
    ]
    for place in (0, -1):
        if parts and parts[place] in (".", " "):
            parts[place] = _hex(parts[place])
    return "".join(parts)


def _hex(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _printable(text: str, other: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else other for letter in text)


def _folded(name: str) -> str:
    """What file systems that ignore case and Unicode form compare."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _digest(word: str) -> str:
    return bytes_digest(word.encode())
