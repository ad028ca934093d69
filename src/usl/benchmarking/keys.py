"""Keys of a ledger's lines: hashes of all that a selection, or a score of it, rests on."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usl.benchmarking.entries import Entry
from usl.benchmarking.network_options import PLACES
from usl.core.hashing import json_digest
from usl.core.version import __version__

if TYPE_CHECKING:
    from usl.benchmarking.pools import Pool


def selection_key(pool: Pool, seed: int, budget: int, entry: Entry) -> str:
    """Hash of all that a selection depends on."""
    return json_digest([pool.key, seed, budget, *_about(entry)])


def entry_key(entry: Entry) -> str:
    """Hash of a method or learner with its parameters."""
    return json_digest(_about(entry))


def _about(entry: Entry) -> list[Any]:
    """A method of ours is as its version; a user's own, as the content of its file."""
    code = _content(Path(entry.method)) if entry.method.endswith(".py") else __version__
    about: list[Any] = [Path(entry.method).name, code, sorted(entry.params.items())]
    if entry.network:
        places = [str(entry.params[name]) for name in PLACES if name in entry.params]
        about += [_content(Path(place)) for place in places]
        about += [_about(entry.begins)] if entry.begins is not None else []
    if (asking := entry.asking) is not None:
        sizes: list[Any] = [asking.size, asking.batch]
        about.append([_about(asking.start), *sizes, _about(asking.model)])
    return about


def _content(path: Path) -> str:
    """Hash of a file, or of what ``usl pretrain`` left in a folder; empty for a name of neither."""
    if path.is_dir():
        path = path / "encoder.safetensors"
    if not path.is_file():
        return ""
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache
def _digest(path: Path, changed: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
