"""Temperature of a model by least calibration error on labels held out of it (Guo et al., 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Fit
from usl.active.shared.doubt import two_likeliest
from usl.numeric.arrays import TINY, Rows, Values, softmax
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.table import Table
from usl.training.told import fitted_probabilities

HELD_OUT = 0.2  # of the labels
TEMPERATURES = np.arange(10, 200) / 10  # 1, 1.1, ... 19.9
BINS = 15  # of equal width


def at_temperature(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """softmax(logits / T) of rows of probabilities, [m, C].

    Logits are known up to a constant, as log p; a probability of 0 counts as ``TINY``.
    """
    logits = np.log(np.maximum(probabilities, TINY))
    logits /= temperature
    return softmax(logits, out=logits)


def two_likeliest_at(
    probabilities: NDArray[np.float64], temperature: float
) -> tuple[Rows, Rows, Values]:
    """:func:`usl.active.shared.doubt.two_likeliest` at a temperature, block by block."""

    def block(start: int, stop: int) -> tuple[Rows, Rows, Values]:
        return two_likeliest(at_temperature(probabilities[start:stop], temperature))

    size = rows_per_block(32 * probabilities.shape[1])
    parts = zip(*map_blocks(block, len(probabilities), size), strict=True)
    first, second, margin = (np.concatenate(part) for part in parts)
    return first, second, margin


def calibrated_temperature(
    table: Table, labeled: Rows, classes: Rows, fit: Fit, seed: int
) -> float:
    """The temperature of least calibration error on held-out labels; of equal ones the lowest.

    The labels to hold out are drawn without regard to their class: a class that the others do not
    know is a mistake that shall count. Two classes are left at least, or there is no model; where
    none can be held out then, T is 1.

    Parameters
    ----------
    labeled, classes : int64 [L], rows with a label and their classes.
    fit : trains the learner on other labels.
    """
    out = held_out(classes, np.random.default_rng(seed))
    if not len(out):
        return 1.0
    kept = np.full(len(table), -1, dtype=np.int64)
    kept[labeled] = classes
    kept[labeled[out]] = -1
    model = fit(kept)
    fitted = fitted_probabilities(model)
    rows = labeled[out]
    said = model.probabilities(table.take(rows)) if fitted is None else fitted[rows]
    errors = [calibration_error(at_temperature(said, t), classes[out]) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(errors))])


def held_out(classes: Rows, rng: np.random.Generator) -> Rows:
    """Positions of ``HELD_OUT`` of the labels, one at least, sorted; two classes keep a label."""
    if len(np.unique(classes)) < 2:
        return np.empty(0, np.int64)
    order = rng.permutation(len(classes))
    kept = [order[0], order[classes[order] != classes[order[0]]][0]]
    count = max(1, round(HELD_OUT * len(classes)))
    return np.sort(np.setdiff1d(order, kept, assume_unique=True)[:count])


def calibration_error(probabilities: NDArray[np.float64], classes: Rows) -> float:
    """Expected calibration error: mean |accuracy - confidence| over bins, weighted by their rows.

    Parameters
    ----------
    probabilities : float64 [m, C]; classes : int64 [m], the true ones, of which C and above are
        unknown to the model.
    """
    confidence: Values = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == classes
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, right - confidence, BINS)
    return float(np.abs(gaps).sum() / len(classes))
