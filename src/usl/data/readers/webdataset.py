"""WebDataset: tar files of images, each with what is known of it beside it.

On disk or at an address, one of

- a ``.tar`` file; a glob of such (``photos-*.tar``); a range of numbers
  (``photos-{0000..0009}.tar``), all of which must be there;
- a folder of ``.tar`` files, at its top or in folders, without images beside them. Other files are
  passed over and counted.

In a tar, members whose names are alike up to the first dot after the last slash are one sample::

    000123.jpg  000123.cls

- the picture is the member with the ending of one (.jpg, .png, .webp, ...); of several that of the
  plainest ending counts (``000123.jpg`` before ``000123.mask.png``), which is said;
- ``.cls``, a text, or else the ``label`` (``class``, ``category``...) of the object in ``.json`` is
  the label, a known answer for evaluation. Nothing else of a ``.json`` is looked at.
- Members without a picture are counted by ending. Hidden ones are passed over.

ids are the shard's path below the folder of all, without ``.tar``, and the member's name
(``photos-0003/000123.jpg``). The subset is told by the shard's name (``train-0000.tar``) or its
folder, else all is ``train``. The tars must not be compressed: pictures are read where they lie.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from usl.core.errors import DataError
from usl.core.words import counted
from usl.data.addresses import is_address, shown
from usl.data.collection import Collection
from usl.data.columns import find_column, tidy_id
from usl.data.digests import DigestMemo
from usl.data.endings import passed_over_note, readable_endings
from usl.data.labels import label_notes, read_labels
from usl.data.shard_files import other_files, shard_files, subset_of_file
from usl.data.tar_images import TarImages
from usl.data.tar_index import TarIndex, index_tar

PRIORITY = 12
KIND = "webdataset"
ENDING = ".tar"
TEXTS = (".cls", ".json")
AT_ONCE = 16  # tars at an address that are indexed at the same time
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 1_000_000


def matches(path: Path) -> bool:
    """Tell whether the source is a tar, a glob or a range of them, or a folder of nothing else."""
    if RANGE.search(path.name) and path.suffix.lower() == ENDING and not path.exists():
        return True
    return bool(shard_files(path, ENDING))


def read(path: Path, *, max_pixels: int | None = None) -> Collection:
    """List the pictures; none is opened.

    Parameters
    ----------
    max_pixels : of an image that is still decoded; None for Pillow's limit.

    Raises
    ------
    DataError
        naming the tar: missing, damaged, cut short or compressed; or no picture in any.
    """
    is_range = RANGE.search(path.name) and not path.exists()
    files = [Path(n) for n in expanded(str(path))] if is_range else shard_files(path, ENDING)
    root = Path(os.path.commonpath([os.path.abspath(file.parent) for file in files]))
    names = [Path(os.path.relpath(file, root)).as_posix() for file in files]
    memo = DigestMemo.for_folder(root)
    return from_shards(
        [str(root / name) for name in names],
        names,
        source=str(path),
        memo=memo,
        others=other_files(path, ENDING),
        max_pixels=max_pixels,
    )


def from_shards(
    shards: Sequence[str],
    names: Sequence[str],
    *,
    source: str,
    memo: DigestMemo,
    called: Sequence[str] | None = None,
    others: Counter[str] | None = None,
    max_pixels: int | None = None,
) -> Collection:
    """A collection of tars at paths or addresses.

    Parameters
    ----------
    names : of the tars, below the folder that holds them all.
    called : what the tars are called in messages; None for their paths.
    others : files that lie beside them, by ending.
    """
    open_index = partial(index_tar, texts=TEXTS)
    with ThreadPoolExecutor(AT_ONCE if any(map(is_address, shards)) else 1) as pool:
        indices = list(pool.map(open_index, shards))
    rows = _Rows(others)
    for number, (index, name) in enumerate(zip(indices, names, strict=True)):
        rows.add(number, index, name)
    if not rows.ids:
        kinds = ", ".join(f"{n} x {ending}" for ending, n in rows.others.most_common(3))
        raise DataError(
            f"{source}: no images in {counted(len(shards), 'tar')}; there {kinds or 'is nothing'}."
        )
    labels, faults = read_labels(rows.labels)
    notes = [*label_notes(source, faults), passed_over_note(source, rows.others), rows.note(source)]
    return Collection(
        ids=np.array(rows.ids),
        subsets=np.array(rows.subsets, dtype="<U5"),
        images=TarImages(
            shards,
            [index.state[1] for index in indices],
            rows.names,
            np.array(rows.places, dtype=np.int64),
            called=called,
            memo=memo,
            max_pixels=max_pixels,
        ),
        labels=labels if rows.know_labels else None,
        source=source,
        kind=KIND,
        passed_over=dict(rows.others.most_common()),
        notes=tuple(filter(None, notes)),
    )


def expanded(source: str) -> list[str]:
    """The names that a range of numbers in a name stands for: ``{08..10}`` is 08, 09 and 10."""
    found = RANGE.search(source)
    if found is None:
        return [source]
    first, last = found[1], found[2]
    if not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise DataError(
            f"{shown(source)}: {found[0]} is no range of numbers that go up, {MOST_SHARDS:,} of "
            "them at most."
        )
    before, after = source[: found.start()], source[found.end() :]
    return [
        name
        for number in range(int(first), int(last) + 1)
        for name in expanded(f"{before}{number:0{len(first)}d}{after}")
    ]


class _Rows:
    """The samples of the tars, one tar after the other."""

    def __init__(self, others: Counter[str] | None) -> None:
        self.ids: list[str] = []
        self.names: list[str] = []
        self.places: list[tuple[int, int, int]] = []
        self.subsets: list[str] = []
        self.labels: list[Any] = []
        self.know_labels = False
        self.others: Counter[str] = Counter(others)
        self.several: list[str] = []

    def add(self, number: int, index: TarIndex, name: str) -> None:
        """Append the samples of a tar that is called ``name``."""
        shard = tidy_id(name[: -len(ENDING)])
        subset = subset_of_file(Path(name))
        for members in _samples(index.names):
            pictures = [
                at for at in members if index.names[at].lower().endswith(readable_endings())
            ]
            pictures.sort(key=lambda at: (_ending(index.names[at]).count("."), index.names[at]))
            told = [at for at in members if at in index.texts]
            unused = set(members) - set(pictures) - set(told if pictures else ())
            self.others.update(
                posixpath.splitext(index.names[at])[1].lower() or "no ending" for at in unused
            )
            if not pictures:
                continue
            at = pictures[0]
            self.several += [index.names[at]] * (len(pictures) > 1)
            self.ids.append(f"{shard}/{tidy_id(index.names[at])}")
            self.names.append(index.names[at])
            self.places.append((number, index.offsets[at], index.sizes[at]))
            self.subsets.append(subset)
            self.labels.append(self._label(index, told))

    def _label(self, index: TarIndex, told: Iterable[int]) -> Any:
        texts = {posixpath.splitext(index.names[at])[1].lower(): index.texts[at] for at in told}
        if ".cls" in texts:
            self.know_labels = True
            return texts[".cls"]
        try:
            record = json.loads(texts.get(".json") or "null")
        except (ValueError, RecursionError):
            return None
        key = find_column(record, "label") if isinstance(record, dict) else None
        self.know_labels |= key is not None
        return None if key is None else record[key]

    def note(self, source: str) -> str:
        """What to say of samples with several pictures."""
        if not self.several:
            return ""
        n = len(self.several)
        return (
            f"{source}: {counted(n, 'sample')} of several pictures, of which one counts; "
            f"{self.several[0]!r} is one. What follows the first dot of a name tells them apart."
        )


def _samples(names: Sequence[str]) -> list[list[int]]:
    """The places of the members of each sample, hidden ones left out; of two alike the last."""
    places = {name: at for at, name in enumerate(names)}
    samples: dict[str, list[int]] = {}
    for name, at in places.items():
        path = PurePosixPath(name)
        if not any(part.startswith(".") for part in path.parts):
            samples.setdefault(name[: len(name) - len(_ending(name))], []).append(at)
    return list(samples.values())


def _ending(name: str) -> str:
    """What follows the first dot after the last slash, with the dot."""
    last = name.rpartition("/")[2]
    return last[len(last.partition(".")[0]) :]
