"""The last good copy of ``split.csv``, by which a file that is saved at this moment is known.

Spreadsheets and editors write in place, some of them in pieces. What is read in between has fewer
rows, or a last row that is cut off. Whoever reads the split of a run waits for the rest a while,
and then refuses: such a file is never trained on, and never replaced. ``.split.csv.good`` is as
the file was when it was last read whole.
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Callable, Sized
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from usl.core.errors import DataError, UslWarning
from usl.core.files import atomic_write
from usl.data.tables import read_text_table
from usl.run.split_csv import CSV_NAME

Rows = TypeVar("Rows", bound=Sized)

GOOD = f".{CSV_NAME}.good"
PATIENCE = 3.0  # seconds to wait for the rest
PAUSE = 0.1


class HalfSavedError(DataError):
    """The split file has lost rows since it was last read; perhaps it is being saved."""


def read_whole(folder: Path, read: Callable[[Path], Rows]) -> Rows:
    """Read the split of a run by ``read``, and keep a copy of it.

    Raises
    ------
    HalfSavedError : rows are missing, also after a while.
    DataError : what ``read`` refuses.
    """
    end, told = time.monotonic() + PATIENCE, False
    while True:
        fault: HalfSavedError | None
        try:
            split = read(folder)
        except DataError:
            if not _cut_off(folder):
                raise
            fault = _refusal(folder, "the last row is cut off")
        else:
            fault = _fewer_rows(folder, split)
        if fault is None:
            keep_good(folder)
            return split
        if time.monotonic() > end:
            raise fault
        if not told:
            warnings.warn(
                f"{folder / CSV_NAME} has lost rows since it was last read; waiting {PATIENCE:g} "
                "seconds for a program that may be saving it.",
                UslWarning,
                stacklevel=3,
            )
            told = True
        time.sleep(PAUSE)


def keep_good(folder: Path) -> None:
    """Copy the split file as it is now, unless the copy is the same; a help, not a need."""
    path, good = folder / CSV_NAME, folder / GOOD
    if _as_it_was(folder):
        return
    with suppress(DataError, OSError):
        found = path.stat()
        with open(path, "rb") as source, atomic_write(good) as target:
            shutil.copyfileobj(source, target)
        os.utime(good, ns=(found.st_mtime_ns, found.st_mtime_ns))


def _as_it_was(folder: Path) -> bool:
    """Whether the split file is the one that was copied: by size and time of change."""
    with suppress(OSError):
        now, then = (folder / CSV_NAME).stat(), (folder / GOOD).stat()
        return (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)
    return False


def _fewer_rows(folder: Path, split: Sized) -> HalfSavedError | None:
    """What to say of a file that has fewer rows than the copy, or whose last row is cut off."""
    good = folder / GOOD
    if _as_it_was(folder) or not good.is_file():
        return None
    try:
        rows = len(read_text_table(good))
    except DataError:
        return None  # it is there to help
    if len(split) < rows:
        return _refusal(folder, f"{len(split):,} rows, where it had {rows:,}")
    return _refusal(folder, "the last row is cut off") if _cut_off(folder) else None


def _refusal(folder: Path, what: str) -> HalfSavedError:
    return HalfSavedError(
        f"{folder / CSV_NAME}: {what}, and it is left as it is. If a program is still saving it, "
        f"let it finish. If rows are lost, copy {folder / GOOD} over it; if you have deleted them "
        "on purpose, delete that copy. Then run the same command again."
    )


def _cut_off(folder: Path) -> bool:
    """Whether the file ends within a row that is longer in the copy, or is empty."""
    with suppress(OSError):
        good = (folder / GOOD).read_bytes()
        content = (folder / CSV_NAME).read_bytes()
        if not content:
            return bool(good)
        last = content[max(content.rfind(b"\n"), content.rfind(b"\r")) + 1 :]
        start = good.find(b"\n" + last) if last else -1
        if start < 0:
            return False
        return good[start + 1 + len(last) :][:1] not in (b"", b"\n", b"\r")
    return False
