"""Try again while another program changes the split file under our hands."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from usl.core.errors import DataError
from usl.run.split_csv import CSV_NAME, FileChangedError

Result = TypeVar("Result")

TRIES = 12
PAUSE, LONGEST_PAUSE = 0.01, 0.4  # seconds before the next: at most so long at first, and at last


def patiently(folder: Path, once: Callable[[], Result]) -> Result:
    """What ``once`` returns as soon as it raises no :class:`FileChangedError`.

    Raises :class:`DataError` where the file changes again and again.
    """
    for turn in range(TRIES):
        if turn:  # not all that write at once try again at once
            most = min(LONGEST_PAUSE, PAUSE * 2.0**turn)
            time.sleep(random.Random().uniform(0, most))
        try:
            return once()
        except FileChangedError:
            continue
    raise DataError(
        f"{folder / CSV_NAME}: another program keeps changing it. Close that one, then try again."
    )
