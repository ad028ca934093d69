"""The rounds of a run: one selection after another, each with its own picks.

Round 0 is the selection that made the run; its files lie at the top of the run folder, and its
record is the section ``selection`` of ``run.json``. A later one is a folder ``rounds/NN/``::

    round.json              what made it: method, budget, seed, parameters, what was known then
    selection.csv .parquet  the picks, best first, with their reasons and figures
    before.parquet          what every image was called before the round: :mod:`usl.run.before`
    trained.safetensors     the network that it asked through, and its last layer, where one was
    model.npz               trained for it  (usl next --task)
    .coming, .withdrawn     its requests are to be written into ``split.csv``, or taken out of it

A marker is there for a moment alone, unless a command is killed; then the next one finishes what
it stands for (:mod:`usl.labeling.answers.requests`).

(What the labelling page asks in one go is a round too: :mod:`usl.labeling.answers.rounds`.)
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError
from usl.core.files import beside, new_folder, read_record, sync_folder, write_json
from usl.run.picks import picked_ids, write_picks
from usl.run.tables import ID, write_table

if TYPE_CHECKING:
    import pyarrow as pa

ROUNDS, RECORD, BEFORE = "rounds", "round.json", "before.parquet"
COMING, WITHDRAWN = ".coming", ".withdrawn"


@dataclass(frozen=True)
class SelectionRound:
    """One round: its ``number``, the folder ``path`` of its picks, and ``info``, what made it."""

    number: int
    path: Path
    info: dict[str, Any]

    def ids(self) -> list[str]:
        """Image ids of its picks, best first; :func:`usl.run.picks.read_picks` reads the rest."""
        return picked_ids(self.path)

    def passed(self) -> list[tuple[str, int]]:
        """Audited images that it passed over, though it wanted them: each with the number of its
        picks that it wanted more.
        """
        return [(str(name), int(place)) for name, place in self.info.get("passed", ())]


def list_rounds(folder: Path, selection: dict[str, Any]) -> list[SelectionRound]:
    """All rounds of a run folder in order, round 0 with its record ``selection``.

    Raises :class:`DataError` naming the record of a round that cannot be read.
    """
    found = [SelectionRound(0, folder, selection)]
    for number in _numbers(folder):
        path = _place(folder, number)
        if not (path / WITHDRAWN).exists():
            found.append(SelectionRound(number, path, read_record(path / RECORD)))
    return found


def unsettled_rounds(folder: Path) -> list[tuple[SelectionRound, str]]:
    """The rounds whose requests a killed command has left to be written, each with its marker."""
    found = []
    for number in _numbers(folder):
        path = _place(folder, number)
        for marker in (WITHDRAWN, COMING):
            if (path / marker).exists():
                found.append((SelectionRound(number, path, {}), marker))
                break
    return found


def mark_round(made: SelectionRound, marker: str) -> None:
    """Set a marker of a round."""
    (made.path / marker).touch()
    sync_folder(made.path)


def settle_marker(made: SelectionRound, marker: str) -> None:
    """Its requests are as the marker wants them: remove it, or with it the withdrawn round."""
    if marker == COMING:
        (made.path / COMING).unlink(missing_ok=True)
        sync_folder(made.path)
        return
    rest = beside(made.path)
    try:
        made.path.rename(rest)
    except FileNotFoundError:
        return  # another command was quicker
    sync_folder(made.path.parent)
    shutil.rmtree(rest, ignore_errors=True)


def add_round(
    folder: Path,
    table: pa.Table,
    info: Mapping[str, Any],
    *,
    before: pa.Table | None = None,
    files: Mapping[str, bytes] = MappingProxyType({}),
    coming: bool = False,
) -> SelectionRound:
    """Add a round with the next number: its picks, as of :meth:`usl.Selection.table` with ids.

    It appears whole or not at all; of two programs that add one at once, each gets its own.

    Parameters
    ----------
    before : what every image was called until then, a table of :mod:`usl.run.before`.
    files : what else is written into its folder, by name.
    coming : its requests are yet to be written into the split file.

    Raises
    ------
    DataError : the table has no image ids, or one twice.
    """
    if ID not in table.column_names:
        raise DataError(f"{folder / ROUNDS}: picks without a column {ID!r}. Give the table ids.")
    ids = table[ID].to_pylist()
    if len(set(ids)) < len(ids):
        raise DataError(f"{folder / ROUNDS}: an image is picked twice in one round.")
    number = max(_numbers(folder), default=0) + 1
    while True:
        place = _place(folder, number)
        try:
            with new_folder(place) as temporary:
                write_picks(temporary, table)
                if before is not None:
                    write_table(temporary / BEFORE, before)
                for name, content in files.items():
                    (temporary / name).write_bytes(content)
                write_json(temporary / RECORD, dict(info))
                if coming:
                    (temporary / COMING).touch()
            return SelectionRound(number, place, dict(info))
        except OSError:
            if not place.exists():
                raise
            number += 1  # another program was quicker


def _numbers(folder: Path) -> list[int]:
    """The numbers of the later rounds, ascending."""
    return sorted(
        int(path.name)
        for path in folder.glob(f"{ROUNDS}/*")
        if path.name.isascii() and path.name.isdigit() and path.is_dir()
    )


def _place(folder: Path, number: int) -> Path:
    return folder / ROUNDS / f"{number:02d}"
