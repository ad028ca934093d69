"""What ``usl next --until`` has seen of a run: ``until.json``, with its looks and its rounds.

``looks``   each look at the audits that was spent: ``number``, the ``audits`` it went by, ``state``
            of labels and predictions then, ``judged``, ``accuracy``, ``low``, ``high``
``rounds``  where the collection stood at each training: ``labels`` by people, and the ``errors``
            expected after ``more`` labels if the model learnt nothing from them, a short curve
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.core.files import read_record, write_json

UNTIL = "until.json"


def read_until(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Looks and rounds, in order; none before the first ``--until``.

    Raises :class:`DataError` where the file cannot be read: looks that are forgotten would be spent
    twice.
    """
    path = folder / UNTIL
    if not path.is_file():
        return [], []
    record = read_record(path)
    looks, rounds = record.get("looks"), record.get("rounds")
    if not isinstance(looks, list) or not isinstance(rounds, list):
        raise DataError(
            f"{path} cannot be read: it has no looks, or no rounds. Restore it from a copy; or "
            "remove it, which forgets how often the audits were looked at."
        )
    return looks, rounds


def write_until(folder: Path, looks: list[dict[str, Any]], rounds: list[dict[str, Any]]) -> None:
    """Keep looks and rounds, whole or not at all."""
    write_json(folder / UNTIL, {"looks": looks, "rounds": rounds})
