"""BADGE: k-means++ on the gradients that the rows' own predictions would cause.

Ash, Zhang, Krishnamurthy, Langford, Agarwal: Deep Batch Active Learning by Diverse, Uncertain
Gradient Lower Bounds (ICLR 2020). The gradient of the loss in a linear head, were the predicted
class y the true one, is g = (p - onehot(y)) x^T, [C, d]: long where the model is unsure, and apart
from others in direction where features or likely classes differ. Rows are drawn in proportion to
their squared distance to the nearest gradient drawn before.

No table [n, C d] is made. With r = p - onehot(y), <g_i, g_j> = <r_i, r_j> <x_i, x_j>, so that the
distances to one more pick cost n (C + d).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
from usl.core.progress import Progress
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.table import Table, as_table
from usl.selection.shared.draw_far import draw_far

NAME = "BADGE"
NEEDS_MODEL = True
DRAWN = "draws its rows by the distance of their gradients"
BLOCK = 8192  # rows; fixed, because products are rounded block by block
COINCIDENT = 1e-6  # of two squared lengths: what float32 leaves of the distance of equal gradients


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64],
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
) -> Query:
    """Ask for the candidate of the longest gradient first, then draw.

    The paper names k-means++, whose first row is uniform; that the longest gradient comes first is
    the authors' code. The figure ``gradient`` is the length of g.
    """
    reach = Gradients(as_table(features), predictions, candidates)
    first = int(reach.lengths.argmax())
    reach.add(first)
    rng = np.random.default_rng(seed)
    every = np.arange(len(candidates))
    places = draw_far(reach, [first], every, budget, rng, progress)
    picks = candidates[places]
    likely, next_likely, _ = two_likeliest(predictions[picks])
    lengths = np.sqrt(reach.lengths[places])
    return Query(picks, between(likely, next_likely), {"gradient": lengths})


class Gradients:
    """How far the gradient of every candidate is from the nearest of a growing set.

    ``squared`` float64 [c] is infinite while the set is empty; ``lengths`` [c] are the squared
    lengths of the gradients.
    """

    def __init__(self, table: Table, predictions: NDArray[np.float64], candidates: Rows) -> None:
        self.table, self.predictions, self.candidates = table, predictions, candidates
        self.squared = np.full(len(candidates), np.inf)
        self.lengths = self._map(
            lambda points, rest: (
                np.einsum("ij,ij->i", points, points, dtype=np.float64)
                * np.einsum("ij,ij->i", rest, rest)
            )
        )

    def add(self, place: int) -> None:
        """Let the candidate at ``place`` join the set."""
        row = self.candidates[place : place + 1]
        point, own = self.table.take(row)[0], residuals(self.predictions[row])[0]
        products = self._map(
            lambda points, rest: (points @ point).astype(np.float64) * (rest @ own)
        )
        both = self.lengths + self.lengths[place]
        squared = both - 2 * products
        squared[squared < COINCIDENT * both] = 0
        self.squared = np.minimum(self.squared, squared)

    def _map(self, function: Callable[[Float32, Values], Values]) -> Values:
        """``function`` of the rows and residuals of the candidates, in blocks; float64 [c]."""

        def block(points: Float32, rows: Rows) -> Values:
            return function(points, residuals(self.predictions[rows]))

        candidates = self.candidates
        return np.concatenate(list(self.table.map(block, candidates, block=BLOCK, rows=candidates)))


def residuals(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The p - onehot(y) of every row, y being its likeliest class; float64 [m, C]."""
    rest = probabilities.copy()
    rest[np.arange(len(rest)), probabilities.argmax(axis=1)] -= 1
    return rest
