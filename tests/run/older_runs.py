"""Run folders as version 0.1.0 made them, copied to where a test may change them."""

from __future__ import annotations

import shutil
from pathlib import Path

from usl.run.folder import Run

OLDER = Path(__file__).parent / "older"
NAMES = ("selected", "trained", "propagated")
POINTS = str(OLDER / "points.npz")  # they name another place, where it is no longer


def older_run(folder: Path, name: str) -> Run:
    """A copy of one of them."""
    shutil.copytree(OLDER / name, folder / name)
    return Run.open(folder / name)
