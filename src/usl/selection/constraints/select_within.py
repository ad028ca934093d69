"""``usl.select_within``: any selection method within constraints.

======================= ==========================================================================
exclude                 items never to pick: they leave ``candidates``
collapse_duplicates     one candidate of each group of near-duplicates; a pick lists the others
include                 items to request whatever the method says: ``labeled`` for the method
groups, quotas          so many picks of each group: the method is called on each group alone
min_distance            no two picks, must-includes and labelled items nearer: the method is called
                        again around what is kept
======================= ==========================================================================

They compose in any way, and no method knows of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import UsageError
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.numeric.arrays import Float32
from usl.numeric.lazy_table import LazyTable
from usl.numeric.near_duplicates import near_duplicates
from usl.numeric.unit_rows import check_table, unit_rows
from usl.numeric.workspace import Workspace
from usl.selection.constraints.by_group import Part, pick_parts
from usl.selection.constraints.quotas import Quotas
from usl.selection.constraints.resolve import Wanted, resolve
from usl.selection.constraints.result import Constrained, assemble
from usl.selection.constraints.spacing import keep_apart, squared_to
from usl.selection.contract import DEFAULT, METHODS
from usl.selection.memory_bound import reserve
from usl.selection.select import checked_predictions, measured_lengths

Rows = NDArray[np.int64]
NEAR_DUPLICATE = 0.1  # the distance of collapse_duplicates=True; see docs/methods.md


@dataclass(frozen=True, eq=False)
class Constraints:
    """What to keep to while picking; all of it optional.

    Attributes
    ----------
    exclude, include : row numbers, a mask [n], or ids where ids are known. For
        :func:`usl.start_run` also a file: one id per line, or a table with a column ``image_id``.
        Must-includes count towards the budget and come first, in the order given.
    collapse_duplicates : a distance in the feature space (unit rows), or True for ``0.1``.
    groups : a group name for each item, [n], or a dict from id to name. For
        :func:`usl.start_run` also a table with the columns ``image_id`` and ``group``, and by
        default the column ``group`` of shards.
    quotas : number of picks by group name (others get none; must-includes count), ``"equal"``
        numbers, or ``"proportional"`` to the sizes of the groups.
    min_distance : least distance between two picks in the feature space (unit rows), 0 to 2.
    """

    exclude: ArrayLike | str | os.PathLike[str] = ()
    include: ArrayLike | str | os.PathLike[str] = ()
    collapse_duplicates: float | bool | None = None
    groups: ArrayLike | Mapping[str, str] | str | os.PathLike[str] | None = None
    quotas: Quotas | None = None
    min_distance: float | None = None

    @property
    def distance_of_duplicates(self) -> float | None:
        """The distance below which items are near-duplicates; None to keep all apart."""
        if self.collapse_duplicates is None or self.collapse_duplicates is False:
            return None
        return NEAR_DUPLICATE if self.collapse_duplicates is True else self.collapse_duplicates


def check_end_to_end(constraints: Constraints) -> None:
    """:class:`UsageError` for constraints under which a method is called several times."""
    if constraints.quotas is not None or constraints.min_distance is not None:
        raise UsageError(
            "end_to_end: trains one encoder with one selection, but quotas and a minimum "
            "distance take several. Leave one or the other out."
        )


def select_within(
    features: ArrayLike | LazyTable | str | os.PathLike[str],
    budget: int,
    constraints: Constraints | Wanted,
    *,
    ids: ArrayLike | None = None,
    method: str = DEFAULT,
    labeled: ArrayLike | None = None,
    candidates: ArrayLike | None = None,
    seed: int = 0,
    memory: int | str | Workspace | None = None,
    scratch: str | os.PathLike[str] | None = None,
    resume: bool | str | os.PathLike[str] = False,
    predictions: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> Constrained:
    """Pick ``budget`` rows within constraints; else as :func:`usl.select`, and with any method.

    Parameters
    ----------
    constraints : see :class:`Constraints`; or what was made of them already, row by row.
    ids : str [n], the items' names, for constraints that give names.
    labeled : as in :func:`usl.select`. Picks keep the minimum distance from these items, too, and
        near-duplicates of them are left out.
    predictions, lengths : as in :func:`usl.select`; each group's call is handed those of its items.
    method_params : parameters with one entry per item are divided among the groups.

    Returns
    -------
    Constrained
        must-includes first, then the method's picks, best first. Those of several groups take
        turns in proportion to their quotas, so that any prefix keeps the proportions.

    Raises
    ------
    UsageError
        for constraints that contradict each other or cannot be met, and as :func:`usl.select`.
    DataError
        for rows and ids that do not exist, or an item without a group.
    """
    if isinstance(features, str | os.PathLike):
        from usl.data.open import open_features

        features = open_features(features)
    seed = seed_number(seed)
    METHODS.check(method, METHODS.load(method), method_params)
    given = check_table(features)
    n = len(given)
    probabilities = checked_predictions(predictions, n, method)
    measured = measured_lengths(lengths, given, method)
    wanted = constraints
    if isinstance(wanted, Constraints):
        wanted = resolve(wanted, n, budget, ids, labeled, candidates)
    asked = wanted.asked
    wanted.parts(budget)
    workspace = memory if isinstance(memory, Workspace) else Workspace(memory, scratch)
    reserve(workspace, method, given, budget, len(wanted.labeled), method_params)
    table = unit_rows(given, workspace, progress=progress)

    # 1. One candidate of each group of near-duplicates.
    original = None
    if (distance := asked.distance_of_duplicates) is not None:
        free = np.flatnonzero(wanted.free)
        original = near_duplicates(
            table,
            distance,
            rows=np.union1d(free, wanted.known),
            first=wanted.known,
            progress=progress,
        )
        wanted = replace(wanted, free=wanted.free & (original == np.arange(n)))

    # 2. How many of each group, from what is left.
    parts = [
        Part(name, number, rows, needs, wanted.free if rows is None else _only(wanted.free, rows))
        for number, (name, rows, needs) in enumerate(wanted.parts(budget))
    ]

    # 3. The method, group by group, until there are enough that keep their distance.
    least = asked.min_distance or 0.0
    if least:
        check_includes_apart(table, wanted.include, wanted.labeled, least, ids)
    rounds = pick_parts(
        table,
        parts,
        wanted.known,
        least,
        included=len(wanted.include),
        workspace=workspace,
        method=method,
        seed=seed,
        resume=resume,
        predictions=probabilities,
        lengths=measured,
        progress=progress,
        params=method_params,
    )
    return assemble(table, parts, wanted, asked, original, rounds=rounds, method=method, seed=seed)


def _only(free: NDArray[np.bool_], rows: Rows) -> NDArray[np.bool_]:
    mask = np.zeros(len(free), dtype=bool)
    mask[rows] = free[rows]
    return mask


def check_includes_apart(
    table: Float32, rows: Rows, labeled: Rows, least: float, ids: ArrayLike | None
) -> None:
    """UsageError for must-includes nearer to each other, or to a labelled item, than allowed.

    ``rows`` and ``labeled`` are rows of ``table`` [n, d], whose items are called ``ids`` [n].
    """
    names = np.arange(len(table)) if ids is None else np.asarray(ids)
    kept = keep_apart(table[rows], least, len(rows))
    near = np.setdiff1d(np.arange(len(rows)), kept)
    others = [int(row) for row in rows[: near[0]]] if len(near) else []
    close = np.flatnonzero(squared_to(table, rows, labeled) < least**2)
    if len(close):
        near, others = close, [int(row) for row in labeled]
    if len(near):
        row = rows[int(near[0])]
        gaps = [float(squared_to(table, row[None], np.array([other]))[0]) for other in others]
        other = others[int(np.argmin(gaps))]
        raise UsageError(
            f"include: {names[row]} lies only {min(gaps) ** 0.5:.3g} from {names[other]}, but "
            f"min_distance is {least:g}. Lower it, or take one of them off the list."
        )
