"""Which class a picture's folder says: below a wrapper, below ``train``, or ``unlabeled``."""

from __future__ import annotations

from collections.abc import Sequence

from usl.data.columns import UNLABELED, subsets_of_paths, wrapping


def split_classes(paths: Sequence[str], *, unwrap: bool = True) -> list[tuple[str | None, str]]:
    """The folder that is the class, and the path below it, of each relative POSIX path.

    A folder that wraps all others is looked through (``unwrap``), and so are the subsets' folders
    where there is one called ``train``. The class is None in a folder ``unlabeled``, and for files
    that lie in no class's folder.
    """
    depth = wrapping(paths) if unwrap else 0
    subsets = subsets_of_paths([path for path in paths if "/" in path])
    found: list[tuple[str | None, str]] = []
    for path in paths:
        parts = path.split("/")[depth:]
        if subsets is not None and len(parts) > 1 and parts[0].lower() not in UNLABELED:
            parts = parts[1:]
        folder = parts[0] if len(parts) > 1 else None
        if folder is not None and folder.lower() in UNLABELED:
            folder = None
        found.append((folder, "/".join(parts[1:]) if len(parts) > 1 else parts[-1]))
    return found


def without_class(path: str) -> str:
    """Why a path says no class."""
    inside = any(part.lower() in UNLABELED for part in path.split("/")[:-1])
    return f"in {UNLABELED[0]}" if inside else "in no folder of a class"
