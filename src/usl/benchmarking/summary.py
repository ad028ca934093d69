"""Statistics of a benchmark: means, paired differences, average ranks, bootstrap intervals.

A *cell* is a data set, an encoder, a budget and a learner. Within a cell only seeds count that
every method has, so that all differences are paired. Over cells, every data set counts the same.
Intervals are 95% percentile bootstrap: data sets are drawn with replacement, then seeds within
each; for one data set, seeds alone. Oracles are shown, but have no rank, and take none from the
others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from usl.benchmarking.entries import Entry
from usl.benchmarking.keys import entry_key, selection_key
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.plan import Plan
from usl.benchmarking.pools import Pool
from usl.evaluation.compare import Estimate

RESAMPLES = 2_000
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """Accuracies of all methods on the seeds that all have: ``test`` float64 [methods, seeds]."""

    dataset: str
    encoder: str
    budget: int
    learner: str
    seeds: tuple[int, ...]
    test: Values


@dataclass(frozen=True)
class Standing:
    """One method over many cells: fractions, not per cent; ranks from 1, the best (NaN: an oracle).

    ``spread`` is the mean over cells of the standard deviation over seeds; ``coverage``,
    ``balance`` and ``seconds`` are of the selections, ``seconds`` the median over those of every
    data set's largest budget.
    """

    method: str
    rank: Estimate
    accuracy: Estimate
    gain: Estimate
    spread: float
    coverage: float
    balance: float
    seconds: float


@dataclass(frozen=True)
class Table:
    """The cells of a benchmark.

    ``oracle`` bool [methods]; ``figures``: method -> rows of (coverage, balance, seconds).
    """

    methods: tuple[str, ...]
    oracle: NDArray[np.bool_]
    cells: tuple[Cell, ...]
    figures: dict[str, Values] = field(default_factory=dict)

    def where(self, keep: Callable[[Cell], bool]) -> Table:
        """The table of some cells only."""
        return replace(self, cells=tuple(c for c in self.cells if keep(c)))

    def of_learner(self, learner: str) -> Table:
        """The table of one learner."""
        return self.where(lambda cell: cell.learner == learner)

    def without(self, datasets: Collection[str]) -> Table:
        """The table without some data sets."""
        return self.where(lambda cell: cell.dataset not in datasets)


def collect(plan: Plan, pools: Iterable[Pool], ledger: Ledger) -> Table:
    """The finished cells of a plan.

    A method without a single score is left out, and one that keeps to fewer draws than the plan
    has: :meth:`usl.benchmarking.plan.Plan.of_seeds` gives the table of those.
    """
    plan = plan.of_seeds(plan.seeds)
    learners = [(entry_key(learner), learner.name) for learner in plan.learners]
    scored = {key for key, _ in ledger.scores}
    keyed = [
        (pool, budget, {entry.name: _keys(plan, pool, budget, entry) for entry in plan.methods})
        for pool in pools
        for budget in pool.budgets
    ]
    entries = [
        entry
        for entry in plan.methods
        if any(key in scored for *_, keys in keyed for key in keys[entry.name])
    ]
    names = tuple(entry.name for entry in entries)
    cells = []
    figures: dict[str, list[tuple[float, float, float | None]]] = defaultdict(list)
    for pool, budget, keys in keyed:
        for name in names:
            made = [ledger.selections[key] for key in keys[name] if key in ledger.selections]
            figures[name] += [
                # A smaller budget may cost nothing once a larger one is done, so it says nothing.
                (m["coverage"], m["balance"], m["seconds"] if budget == max(pool.budgets) else nan)
                for m in made
            ]
        for learner, shown in learners:
            scores = [
                [ledger.scores.get((key, learner), {}).get("test", nan) for key in keys[name]]
                for name in names
            ]
            test = np.array(scores)
            whole = np.flatnonzero(np.isfinite(test).all(axis=0)) if len(names) else ()
            if len(whole):
                seeds = tuple(int(seed) for seed in whole)
                cells.append(Cell(pool.dataset, pool.encoder, budget, shown, seeds, test[:, whole]))
    oracle = np.array([entry.is_oracle() for entry in entries], dtype=bool)
    tables = {name: np.array(rows, dtype=np.float64) for name, rows in figures.items()}  # None: NaN
    return Table(names, oracle, tuple(cells), tables)


def _keys(plan: Plan, pool: Pool, budget: int, entry: Entry) -> list[str]:
    return [selection_key(pool, seed, budget, entry) for seed in range(plan.seeds)]


def standings(table: Table, reference: str, *, seed: int = 0) -> list[Standing]:
    """Every method over all cells of a table, the best average rank first, oracles last.

    ``gain`` is the accuracy less that of ``reference``, paired.
    """
    base = table.methods.index(reference)

    def ranked(means: Values) -> Values:
        found = np.full(means.shape, np.nan)
        found[~table.oracle] = rankdata(-means[~table.oracle], axis=0)
        return found

    quantities: tuple[Callable[[Values], Values], ...] = (
        ranked,
        lambda means: means,
        lambda means: means - means[base],
    )
    ranks, accuracy, gain = (over_cells(table, q, seed=seed) for q in quantities)
    spread = np.mean([spreads(cell) for cell in table.cells], axis=0)
    found = [
        Standing(
            method,
            ranks[row],
            accuracy[row],
            gain[row],
            float(spread[row]),
            *_figures(table.figures.get(method)),
        )
        for row, method in enumerate(table.methods)
    ]
    return sorted(found, key=lambda s: (np.isnan(s.rank.mean), s.rank.mean))


def spreads(cell: Cell) -> Values:
    """Standard deviation over seeds of every method, [methods]; 0 for a single seed."""
    many = len(cell.seeds) > 1
    return np.asarray(cell.test.std(axis=1, ddof=1) if many else np.zeros(len(cell.test)))


def over_cells(
    table: Table, quantity: Callable[[Values], Values], *, seed: int = 0
) -> list[Estimate]:
    """Mean of a quantity over data sets, of every method, with its bootstrap interval.

    Parameters
    ----------
    quantity : from mean accuracies [methods, resamples] of one cell to as many numbers.
    """
    rng = np.random.default_rng(seed)
    datasets = list(dict.fromkeys(cell.dataset for cell in table.cells))
    whole, drawn = [], []  # [methods], [methods, resamples] per data set
    for name in datasets:
        own = [cell for cell in table.cells if cell.dataset == name]
        # Cells of a data set share their draws, so they share the resampled seeds, too.
        most = max(len(cell.seeds) for cell in own)
        uniform = rng.random((RESAMPLES, most))
        exact, resampled = [], []
        for cell in own:
            n = len(cell.seeds)
            counts = resample_counts((uniform[:, :n] * n).astype(np.int64), n)
            exact.append(quantity(cell.test.mean(axis=1)[:, None])[:, 0])
            resampled.append(quantity(cell.test @ counts.T / n))
        whole.append(np.mean(exact, axis=0))
        drawn.append(np.mean(resampled, axis=0))
    mean = np.mean(whole, axis=0)
    stacked = np.stack(drawn)  # [data sets, methods, resamples]
    chosen = rng.integers(len(datasets), size=(RESAMPLES, len(datasets)))
    means = np.stack([stacked[chosen[b], :, b].mean(axis=0) for b in range(RESAMPLES)])
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return [Estimate(*map(float, row)) for row in zip(mean, low, high, strict=True)]


def resample_counts(chosen: NDArray[np.int64], n: int) -> Values:
    """How often each of ``n`` seeds was drawn, float64 [resamples, n], from [resamples, draws]."""
    rows = np.repeat(np.arange(len(chosen)), chosen.shape[1])
    flat = np.bincount(rows * n + chosen.ravel(), minlength=len(chosen) * n)
    return flat.reshape(len(chosen), n).astype(np.float64)


def _figures(rows: Values | None) -> tuple[float, float, float]:
    if rows is None or not len(rows):
        return (nan,) * 3
    coverage, balance = rows[:, :2].mean(axis=0)
    seconds = rows[np.isfinite(rows[:, 2]), 2]
    return float(coverage), float(balance), float(np.median(seconds)) if len(seconds) else nan
