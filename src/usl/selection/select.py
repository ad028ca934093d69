"""``usl.select``: pick the items of a feature table to label."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UsageError
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.core.words import counted, more_such, verb_for
from usl.numeric.arrays import Float32
from usl.numeric.lazy_table import LazyTable, of_rows
from usl.numeric.stage_cache import Keep, KeepOnDisk
from usl.numeric.unit_rows import check_table, known_lengths, unit_rows
from usl.numeric.workspace import Workspace
from usl.selection.contract import DEFAULT, METHODS, Picks
from usl.selection.known_methods import takes
from usl.selection.memory_bound import reserve
from usl.selection.ranking import coverage_order, nearest_earlier, representatives
from usl.selection.result import Selection

SUM_TOLERANCE = 1e-2  # of a row of predictions: half precision rounds a thousand classes


def select(
    features: ArrayLike | LazyTable | str | os.PathLike[str],
    budget: int,
    *,
    method: str = DEFAULT,
    labeled: ArrayLike | None = None,
    candidates: ArrayLike | None = None,
    seed: int = 0,
    memory: int | str | Workspace | None = None,
    scratch: str | os.PathLike[str] | None = None,
    resume: bool | str | os.PathLike[str] | Keep = False,
    predictions: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> Selection:
    """Pick the ``budget`` rows whose labels would teach the most about all the others.

    Parameters
    ----------
    features : float [n, d]: an array, a memory map of any float type, or the path of a source of
        features (``.npy``, Parquet, a folder or glob of shards of either). Rows are scaled to unit
        length, as in the paper (2.1); files are read in blocks.
    budget : number of picks, 1 <= budget <= number of candidates; always met exactly.
    method : name of a method, or the path of a ``.py`` file that defines one.
    labeled : rows (numbers or boolean mask [n]) that have a label already: never picked, and what
        they cover is served last.
    candidates : rows (numbers or mask) that may be picked; default all. The others still shape
        density and clusters.
    seed : of every random draw; same seed and features, same picks, whatever the thread count.
        None is any seed; a ``RandomState`` or ``Generator`` gives its next number.
    memory : bytes that the selection may take, or text like ``"4GB"``; None for as much as it
        takes. A table that does not fit lies in a file. The picks are the same.
    scratch : folder for such files; by default one in the user's cache.
    resume : keep finished stages (partition, density) in the user's cache, or in this folder, and
        go on from those that the same selection left when it was stopped. The picks are the same.
        A :class:`usl.numeric.stage_cache.KeepInMemory` serves several selections from the same
        features.
    predictions : float [n, C], class probabilities of every row by the present model, for a method
        that asks for them; None on a cold start.
    lengths : float [n], the length of every row before it was scaled to 1, for a method that asks
        for them; by default those of ``features``, unless all are 1.
    progress : called as work proceeds.
    **method_params : the method's own parameters; an unknown one is refused.

    Returns
    -------
    Selection
        ``.indices`` best first: any prefix is a good selection of that size by itself (for the
        ``random`` and ``stratified`` baselines the order is that of the draw).

    Raises
    ------
    DataError : features that are no finite table, or labels and partitions that do not fit them.
    UsageError : budget, method or parameters out of range, or too little memory: the message says
        how much is needed.
    """
    if isinstance(features, str | os.PathLike):
        from usl.data.open import open_features

        features = open_features(features)
    given = check_table(features)
    n = len(given)
    known = row_numbers(labeled, n, "labeled") if labeled is not None else np.empty(0, np.int64)
    allowed = row_numbers(candidates, n, "candidates") if candidates is not None else np.arange(n)
    allowed = np.setdiff1d(allowed, known, assume_unique=True)
    check_budget(budget, len(allowed))
    seed = seed_number(seed)
    module = METHODS.load(method)
    METHODS.check(method, module, method_params)
    probabilities = checked_predictions(predictions, n, method)
    measured = measured_lengths(lengths, given, method)
    workspace = memory if isinstance(memory, Workspace) else Workspace(memory, scratch)
    reserve(workspace, method, given, int(budget), len(known), method_params)
    table = unit_rows(given, workspace, progress=progress)
    if resume is not False and takes(module, "keep"):
        if isinstance(resume, Keep):
            method_params["keep"] = resume.of(table)
        else:
            method_params["keep"] = KeepOnDisk(table, None if resume is True else resume)
    if takes(module, "predictions"):
        method_params["predictions"] = probabilities
    if takes(module, "lengths"):
        method_params["lengths"] = measured
    picks: Picks = module.pick(
        table,
        int(budget),
        labeled=known,
        candidates=allowed,
        seed=seed,
        progress=progress,
        **method_params,
    )
    _check_promise(picks, int(budget), allowed, method)
    return _assemble(table, picks, known, method, seed)


def check_budget(budget: int, most: int, noun: str = "item") -> None:
    """UsageError for a budget that is no whole number, or that ``most`` candidates cannot meet."""
    check_whole(budget)
    if not 1 <= budget <= most:
        raise UsageError(
            f"budget: {budget} given, but there {verb_for(most, 'is', 'are')} "
            f"{counted(most, noun)} to choose from; it must be between 1 and {most}."
        )


def check_whole(budget: int) -> None:
    """UsageError for a budget that is no whole number."""
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer):
        raise UsageError(f"budget: {budget!r} given; it must be a whole number.")


def row_numbers(given: ArrayLike, n: int, name: str) -> NDArray[np.int64]:
    """Row numbers from numbers or a mask: sorted, unique, checked."""
    rows = np.asarray(given)
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise DataError(f"{name}: a mask of shape {rows.shape} for {n} rows.")
        return np.flatnonzero(rows)
    if rows.size == 0:
        return np.empty(0, np.int64)
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
        raise DataError(
            f"{name}: give row numbers or a boolean mask, not {rows.dtype} {rows.shape}."
        )
    if rows.min() < 0 or rows.max() >= n:
        bad = rows.min() if rows.min() < 0 else rows.max()
        raise DataError(f"{name}: row {bad} does not exist; there are {n} rows (0 to {n - 1}).")
    unique = np.unique(rows)
    if len(unique) < len(rows):
        raise DataError(f"{name}: {len(rows) - len(unique)} row numbers are repeated.")
    return unique.astype(np.int64)


def checked_predictions(given: ArrayLike | None, n: int, method: str) -> NDArray[np.float64] | None:
    """Predictions as float64 [n, C] for a method that asks for them; None for none.

    Raises
    ------
    UsageError
        the method does not ask for predictions.
    DataError
        no table of n rows, or a row that is no distribution over the classes.
    """
    if given is None:
        return None
    if not takes(METHODS.load(method), "predictions"):
        raise UsageError(f"predictions: the method {method!r} does not use them. Leave them out.")
    table: NDArray[np.float64] = table_of_probabilities(given, n)
    return table


def table_of_probabilities(given: Any, n: int, name: str = "predictions") -> Any:
    """Predictions as float64 [n, C], checked; ``name`` is what messages call them.

    A lazy table of float64 stays one.

    Raises :class:`DataError` for no table of n rows, or a row that is no distribution over the
    classes.
    """
    lazy = isinstance(given, LazyTable) and given.dtype == np.float64
    table = given if lazy else np.asarray(given)
    if table.ndim != 2 or len(table) != n or not np.issubdtype(table.dtype, np.number):
        raise DataError(
            f"{name}: {table.dtype} {table.shape} given; class probabilities [{n}, classes] "
            "are needed, a row per item."
        )
    table = table if lazy else table.astype(np.float64)
    found = of_rows(
        lambda rows: (
            ~np.isfinite(rows).all(axis=1),
            (rows < 0).any(axis=1),
            ~np.isclose(rows.sum(axis=1), 1, atol=SUM_TOLERANCE),
        ),
        table,
    )
    faults = "holds NaN or infinity", "holds a probability below 0", "does not sum to 1"
    for fault, wrong in zip(faults, found, strict=True):
        if wrong.any():
            raise DataError(
                f"{name}: row {int(wrong.argmax())} {fault}"
                f"{more_such(int(wrong.sum()), 'row')}. "
                "Give class probabilities, such as a softmax."
            )
    return table


def measured_lengths(
    given: ArrayLike | None, table: Any, method: str
) -> NDArray[np.float32] | None:
    """Lengths of the rows as float32 [n] for a method that asks for them; None if not known.

    Raises
    ------
    DataError
        not one finite number of at least 0 for every row of ``table`` [n, d].
    """
    if not takes(METHODS.load(method), "lengths"):
        return None
    if given is None:
        return known_lengths(table)
    found = np.asarray(given)
    fits = found.shape == (len(table),) and found.dtype.kind in "fiu"
    if not fits or not (np.isfinite(found).all() and (found >= 0).all()):
        raise DataError(
            f"lengths: {found.dtype} {found.shape} given; one number of at least 0 for each of the "
            f"{len(table)} rows is needed."
        )
    return found.astype(np.float32)


def _check_promise(picks: Picks, budget: int, candidates: NDArray[np.int64], method: str) -> None:
    indices = picks.indices
    if len(indices) != budget or len(np.unique(indices)) != budget:
        raise RuntimeError(f"method {method!r} returned {len(indices)} picks, not {budget} unique.")
    if not np.isin(indices, candidates).all():
        raise RuntimeError(f"method {method!r} picked a row that is not a candidate.")


def _assemble(
    features: Float32, picks: Picks, labeled: NDArray[np.int64], method: str, seed: int
) -> Selection:
    """Put the picks in order and attach their figures."""
    stands = representatives(features, picks.indices, labeled, picks.clusters)
    order = np.arange(len(picks.indices))
    if not picks.ranked:
        order = coverage_order(features, picks.indices, stands, picks.utility, labeled)
    indices = picks.indices[order]
    columns: dict[str, NDArray[Any]] = {}
    if picks.clusters is not None:
        columns["cluster"] = np.asarray(picks.clusters)[indices].astype(np.int64)
        columns["cluster_size"] = np.bincount(picks.clusters)[columns["cluster"]]
    if picks.density is not None:
        columns["density"] = picks.density[indices]
    if picks.confidence is not None:
        columns["confidence"] = picks.confidence[indices]
    if picks.utility is not None:
        columns["utility"] = picks.utility[order]
    if picks.regularizer is not None:
        columns["regularizer"] = picks.regularizer[order]
    columns["nearest_earlier"], columns["nearest_distance"] = nearest_earlier(features, indices)
    ranks = np.full(len(order) + 1, -1)
    ranks[order] = np.arange(len(order))  # the last entry maps -1 to -1
    return Selection(
        indices,
        ranks[stands],
        columns,
        method,
        picks.parameters,
        seed,
        propagated=None if picks.propagated is None else ranks[picks.propagated],
        history=picks.history,
        backbone=picks.backbone,
    )
