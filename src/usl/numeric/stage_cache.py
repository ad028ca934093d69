"""Cache of finished stages of a long computation, by content, so that a stopped one goes on.

A stage's name on disk is the hash of everything that its result depends on: the features, the
parameters and the versions. What is found is therefore what would be computed, and nothing has to
be told about stopping or going on; but for the kernel (:mod:`usl.numeric.kernel`): a stage that was
made on a processor of another kind is used, and that is said.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UslWarning
from usl.core.files import atomic_write, cache_dir, remove_unless_held
from usl.core.hashing import array_digest, json_digest
from usl.core.npz import read_npz
from usl.core.version import __version__
from usl.numeric.kernel import differs, kernel

VERSION = 3  # raise it when a stage would now give another result
DAYS = 30  # after which a stage that nobody asked for is removed
MOST_BYTES = 2 << 30  # of all stages; beyond, those not asked for the longest are removed
FINISHED = re.compile(r"[a-z]+-[0-9a-f]{32}\.npz")
UNFINISHED = re.compile(rf"\.{FINISHED.pattern}\.[0-9a-f]+\.tmp")

NEIGHBORS = "neighbors"  # the stage with every row's nearest rows
WORTH_KEEPING = 10_000  # rows of a table whose search takes more than a second

MADE_BY = "made_by"  # the kernel, beside a stage's arrays

Arrays = dict[str, NDArray[Any]]


class Keep:
    """Keeps what :meth:`arrays` computes in a folder; this base class keeps nothing."""

    def arrays(self, name: str, parts: dict[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """What ``compute()`` returns, or has returned before.

        Parameters
        ----------
        name : the stage.
        parts : all that the result depends on beside the features: numbers, texts, None, arrays.
        compute : gives the result, named arrays.
        """
        return compute()

    def of(self, features: NDArray[Any]) -> Keep:
        """The same for a table that was not known when this was made."""
        return self

    def firsts(
        self, name: str, parts: dict[str, Any], count: int, compute: Callable[[], Arrays]
    ) -> Arrays:
        """As :meth:`arrays`, of a stage that goes on: its first ``count`` rows.

        They are the first of any longer result, so that one may serve.
        """
        return self.arrays(name, {**parts, "count": count}, compute)


NOTHING = Keep()


class KeepOnDisk(Keep):
    """Keeps stages as ``folder/<name>-<digest>.npz``, each whole or not at all.

    Parameters
    ----------
    features : the table that all stages depend on.
    folder : ``<cache>/stages`` by default.
    search_only : keep the neighbours alone, and without a word: see :class:`KeepSearch`.
    """

    def __init__(
        self,
        features: NDArray[Any],
        folder: str | os.PathLike[str] | None = None,
        *,
        search_only: bool = False,
    ) -> None:
        self.folder = cache_dir() / "stages" if folder is None else Path(folder)
        self.search_only = search_only
        self.features = array_digest(features)
        self.told = False
        self.versions = {"stages": VERSION, "usl": __version__, "numpy": np.__version__}
        clean(self.folder)

    def arrays(self, name: str, parts: dict[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """See :meth:`Keep.arrays`."""
        if self.search_only and name != NEIGHBORS:
            return compute()
        key = json_digest([name, self.features, self.versions, _about(parts)])
        path = self.folder / f"{name}-{key}.npz"
        found = _load(path)
        if found is not None:
            other = _other_kernel(found.pop(MADE_BY, None))
            if not (other and self.search_only):
                self._tell_of_another_kernel(path, other)
                return found
        found = compute()
        try:
            with atomic_write(path) as handle:
                made_by = np.array(json.dumps(kernel()))
                np.savez(handle, **{MADE_BY: made_by}, **found)  # type: ignore[arg-type]
        except (OSError, DataError) as error:
            if not self.search_only:
                warnings.warn(
                    f"{path.parent}: the finished stage {name!r} cannot be kept ({error}). The "
                    "result stands, but if stopped, this selection begins anew.",
                    UslWarning,
                    stacklevel=2,
                )
        return found

    def _tell_of_another_kernel(self, path: Path, found: str) -> None:
        """Warn, once, of a stage whose last digits are not those of this processor."""
        if found and not self.told:
            self.told = True
            warnings.warn(
                f"{path}: made on a processor of another kind ({found}). The picks may differ from "
                "those that either would give alone; --no-resume begins anew.",
                UslWarning,
                stacklevel=3,
            )


class KeepSearch(Keep):
    """Keeps the neighbours of large tables on disk, for whoever searches the same rows again.

    A selection leaves them to a training on the same features, and a training that was stopped to
    the next. Those made on a processor of another kind are not used, so that results stay the same.

    Parameters
    ----------
    folder : ``<cache>/stages`` by default.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = folder

    def of(self, features: NDArray[Any]) -> Keep:
        """See :meth:`Keep.of`; nothing is kept of tables that are searched in a moment."""
        if len(features) < WORTH_KEEPING:
            return NOTHING
        return KeepOnDisk(features, self.folder, search_only=True)


def _other_kernel(made_by: NDArray[Any] | None) -> str:
    """How the processor of a stage differs from this one; empty if it does not, as far as known."""
    try:
        return "" if made_by is None else differs(json.loads(str(made_by)), kernel())
    except ValueError:
        return ""


def _about(parts: dict[str, Any]) -> dict[str, Any]:
    """What a stage depends on, arrays by their content."""
    return {
        part: array_digest(value) if isinstance(value, np.ndarray) else value
        for part, value in parts.items()
    }


def _load(path: Path) -> Arrays | None:
    """The arrays of a kept stage; None if there is none, or none that can be read."""
    try:
        found = read_npz(path)
        with contextlib.suppress(OSError):  # a cache that may not be written to can be read
            os.utime(path)  # asked for today
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, DataError) as error:
        warnings.warn(
            f"{path} is damaged ({error}); it is computed again.", UslWarning, stacklevel=3
        )
        return None
    return found


def clean(folder: Path) -> None:
    """Remove stages not asked for in a month, the oldest of too many, and what kills have left."""
    now, total = time.time(), 0
    found = []
    with contextlib.suppress(OSError):
        for file in folder.iterdir():  # a folder may hold other things: by name, not by ending
            if UNFINISHED.fullmatch(file.name):
                remove_unless_held(file)
            elif FINISHED.fullmatch(file.name):
                with contextlib.suppress(OSError):  # another process may clean as well
                    found.append((file.stat().st_mtime, file.stat().st_size, file))
    for changed, size, file in sorted(found, reverse=True):
        total += size
        if (now - changed) / 86_400 > DAYS or total > MOST_BYTES:
            with contextlib.suppress(OSError):
                file.unlink()


class KeepInMemory(Keep):
    """Keeps stages for as long as it lives, for many selections from the same features.

    Attributes
    ----------
    saved : seconds that the stages found had taken when they were computed; set it to 0 before a
        selection, and add it to what the selection took.
    clock : gives the seconds, of the wall or of the processor.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.saved, self.clock = 0.0, clock
        self._found: dict[str, tuple[Arrays, float]] = {}

    def arrays(self, name: str, parts: dict[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """See :meth:`Keep.arrays`."""
        key = json_digest([name, _about(parts)])
        if key in self._found:
            found, seconds = self._found[key]
            self.saved += seconds
            return found
        return self._compute(key, compute)

    def firsts(
        self, name: str, parts: dict[str, Any], count: int, compute: Callable[[], Arrays]
    ) -> Arrays:
        """See :meth:`Keep.firsts`; the seconds saved are the rows' share of those it took."""
        key = json_digest([name, _about(parts)])
        if key in self._found:
            found, seconds = self._found[key]
            length = min(len(column) for column in found.values())
            if count <= length:
                self.saved += seconds * count / max(1, length)
                return {column: values[:count] for column, values in found.items()}
        return self._compute(key, compute)

    def _compute(self, key: str, compute: Callable[[], Arrays]) -> Arrays:
        began = self.clock()
        found = compute()
        self._found[key] = found, self.clock() - began
        return found
