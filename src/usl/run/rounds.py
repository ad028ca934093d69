"""The rounds of a run: one selection after another, each with its own picks.

Round 0 is the selection that made the run; its files lie at the top of the run folder, and its
record is the section ``selection`` of ``run.json``. A later one is a folder ``rounds/NN/``::

    round.json              what made it: method, budget, seed, parameters
    selection.csv .parquet  the picks, best first, with their figures

(What the labelling page asks in one go is a round too: :mod:`usl.labeling.answers.rounds`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError
from usl.core.files import new_folder, read_record, write_json
from usl.run.picks import picked_ids, write_picks
from usl.run.tables import ID

if TYPE_CHECKING:
    import pyarrow as pa

ROUNDS, RECORD = "rounds", "round.json"


@dataclass(frozen=True)
class SelectionRound:
    """One round: its ``number``, the folder ``path`` of its picks, and ``info``, what made it."""

    number: int
    path: Path
    info: dict[str, Any]

    def ids(self) -> list[str]:
        """Image ids of its picks, best first; :func:`usl.run.picks.read_picks` reads the rest."""
        return picked_ids(self.path)


def list_rounds(folder: Path, selection: dict[str, Any]) -> list[SelectionRound]:
    """All rounds of a run folder in order, round 0 with its record ``selection``.

    Raises :class:`DataError` naming the record of a round that cannot be read.
    """
    numbers = sorted(
        int(path.name)
        for path in folder.glob(f"{ROUNDS}/*")
        if path.name.isascii() and path.name.isdigit() and path.is_dir()
    )
    found = [SelectionRound(0, folder, selection)]
    for number in numbers:
        path = _place(folder, number)
        found.append(SelectionRound(number, path, read_record(path / RECORD)))
    return found


def add_round(folder: Path, table: pa.Table, info: Mapping[str, Any]) -> SelectionRound:
    """Add a round with the next number: its picks, as of :meth:`usl.Selection.table` with ids.

    It appears whole or not at all; of two programs that add one at once, each gets its own.

    Raises
    ------
    DataError : the table has no image ids, or one twice.
    """
    if ID not in table.column_names:
        raise DataError(f"{folder / ROUNDS}: picks without a column {ID!r}. Give the table ids.")
    ids = table[ID].to_pylist()
    if len(set(ids)) < len(ids):
        raise DataError(f"{folder / ROUNDS}: an image is picked twice in one round.")
    number = list_rounds(folder, {})[-1].number + 1
    while True:
        place = _place(folder, number)
        try:
            with new_folder(place) as temporary:
                write_picks(temporary, table)
                write_json(temporary / RECORD, dict(info))
            return SelectionRound(number, place, dict(info))
        except OSError:
            if not place.exists():
                raise
            number += 1  # another program was quicker


def _place(folder: Path, number: int) -> Path:
    return folder / ROUNDS / f"{number:02d}"
