"""Figures of a result that the paper's tables show: of a learner, or of the picks themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.benchmarking.entries import Entry
from usl.benchmarking.keys import entry_key, selection_key
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.pools import Pool
from usl.numeric.blocks import rows_per_block
from usl.selection.methods.usl import PRESETS

K = PRESETS["paper"][0].k
Seeds = dict[int, float]  # a figure by seed

# The factor by which a figure is shown, its words, and its unit.
MEASURES: dict[str, tuple[float, str, str]] = {
    "test": (100, "accuracy", "%"),
    "balanced": (100, "mean recall", "%"),
    "coverage": (100, "classes covered", "%"),
    "balance": (1, "entropy of the picks' classes", "of its maximum"),
    "seconds": (1, "time of the selection", "s"),
    "changed": (100, "picks that are not the first row's", "%"),
    "density": (1, "mean density", "of the first row's"),
}
OF_PICKS = ("coverage", "balance", "seconds", "changed", "density")
OF_TWO = ("changed", "density")


@dataclass
class Measured:
    """The figures in a ledger, by seed.

    ``first`` is the method whose picks ``changed`` and ``density`` go by.
    """

    ledger: Ledger
    seeds: int
    first: Entry
    densities: dict[Any, float] = field(default_factory=dict)
    drawn: dict[Any, NDArray[Any]] = field(default_factory=dict)

    def by_seed(
        self, measure: str, pool: Pool, budget: int, entry: Entry, learner: Entry | None
    ) -> Seeds:
        """A figure on every seed that has been run, as it is shown; of picks without a learner."""
        found: Seeds = {}
        for seed in range(self.seeds):
            key = selection_key(pool, seed, budget, entry)
            line = self.ledger.selections.get(key)
            if learner is not None:
                line = self.ledger.scores.get((key, entry_key(learner)))
            if line is None:
                continue
            if measure in OF_TWO:
                first = self.ledger.selections.get(selection_key(pool, seed, budget, self.first))
                if first is None:
                    continue
                value = getattr(self, measure)(pool, seed, line["picks"], first["picks"])
            else:
                value = line.get(measure)
            if value is not None:
                found[seed] = MEASURES[measure][0] * float(value)
        return found

    def changed(self, pool: Pool, seed: int, picks: list[int], first: list[int]) -> float:
        """Share of the picks that are not among the first row's (Fig. 7b)."""
        return 1 - len(np.intersect1d(picks, first)) / len(picks)

    def density(self, pool: Pool, seed: int, picks: list[int], first: list[int]) -> float:
        """Mean density of the picks over that of the first row's, U = 1/D (Eq. 3; Fig. 7c)."""
        return self.mean_density(pool, seed, picks) / self.mean_density(pool, seed, first)

    def mean_density(self, pool: Pool, seed: int, picks: list[int]) -> float:
        """Mean of 1 over the mean distance of picks to their 400 nearest others in a draw."""
        key = (pool.key, seed)
        if key not in self.drawn:
            self.drawn = {key: pool.draw(seed).train}  # one at a time
        rows = self.drawn[key]
        asked = (*key, *picks)
        if asked not in self.densities:
            distances = mean_distances(rows, rows[picks], min(K, len(rows) - 1))
            self.densities[asked] = float(np.mean(1 / distances))
        return self.densities[asked]


def mean_distances(rows: NDArray[Any], asked: NDArray[Any], k: int) -> NDArray[np.float64]:
    """Mean distance of unit rows [b, d] to their k nearest among ``rows`` but themselves; [b]."""
    found = np.empty(len(asked))
    step = rows_per_block(8 * len(rows))
    for start in range(0, len(asked), step):
        part = asked[start : start + step]
        squared = np.maximum(2 - 2 * (part @ rows.T).astype(np.float64), 0)
        nearest = np.sort(np.partition(squared, k, axis=1)[:, : k + 1], axis=1)[:, 1:]
        found[start : start + step] = np.sqrt(nearest).mean(axis=1)
    return found
