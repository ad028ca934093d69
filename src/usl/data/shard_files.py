"""The files of a collection that is kept in shards: of one ending, in a folder without images."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from usl.data.columns import subset_name
from usl.data.endings import EXTENSIONS
from usl.data.listing import expand_glob, is_glob


def shard_files(path: Path, ending: str) -> list[Path]:
    """The shards of a source: itself, of a glob, or below a folder without images."""
    if is_glob(path):
        if path.suffix.lower() != ending:
            return []
        root, names = expand_glob(path)
        return [root / name for name in sorted(names) if name.lower().endswith(ending)]
    if path.is_file():
        return [path] if path.suffix.lower() == ending else []
    if not path.is_dir():
        return []
    found: list[Path] = []
    return sorted(found) if _gather(path, ending, 2, found) else []


def _gather(folder: Path, ending: str, depth: int, found: list[Path]) -> bool:
    """Collect a folder's shards; False at the first image: there may be a million."""
    below = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.lower()
                if name.startswith("."):
                    continue
                if name.endswith(EXTENSIONS):
                    return False
                if entry.is_dir():
                    below.append(Path(entry.path))
                elif name.endswith(ending):
                    found.append(Path(entry.path))
    except OSError:  # which the reader of folders complains about
        return False
    return depth == 0 or all(_gather(inner, ending, depth - 1, found) for inner in sorted(below))


def other_files(path: Path, ending: str) -> Counter[str]:
    """Files beside the shards of a folder, by ending."""
    if not path.is_dir():
        return Counter()
    return Counter(
        file.suffix.lower() or "no ending"
        for file in path.rglob("*")
        if file.is_file() and file.suffix.lower() != ending and file.name[0] != "."
    )


def subset_of_file(file: Path) -> str:
    """The subset that a shard's name or folder says; else train."""
    word = re.split(r"[-_.\d]", file.name, maxsplit=1)[0]
    return subset_name(word) or subset_name(file.parent.name) or "train"
