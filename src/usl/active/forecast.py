"""How many labels more until a collection is at a target: the learning curve, and its interval.

Labelling the least sure image by image lowers the errors in two ways. It removes the doubtful ones
from what the model has to say; how much that is, its calibrated confidences tell. And the model
learns: the chance to be wrong of an image that is left falls as (b / b0) ** -a when labels grow
from b0 to b, the power law of learning curves. The exponent ``a`` is what the rounds of the run
show, drawn towards what other collections showed (:data:`KNOWN`); its uncertainty, and that of the
step from one round to the next, make the interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KNOWN = (0.2, 0.3)  # mean and standard deviation of the exponent over collections and rounds
MOST = 2.0  # exponents beyond it are chance: few labels, or few errors
LEVEL = 0.8  # of the interval
STEPS = 400  # points of a curve
DRAWS = 200  # of what is not known, for an interval
TINY = 1e-3  # no share of errors is taken to be smaller


@dataclass(frozen=True)
class Exponent:
    """What is believed of a: mean and standard deviation of a normal."""

    mean: float
    sd: float


def errors_after(
    wrong: NDArray[np.float64], labels: int, more: NDArray[np.int64], exponent: float
) -> NDArray[np.float64]:
    """Expected number of wrong labels after ``more`` of the least sure have been labelled.

    Parameters
    ----------
    wrong : float [m], the probability of each uncertain image to be wrong now, in any order.
    labels : labels by people now, at least 1; more : int [s], each 0 to m.
    """
    worst = np.sort(wrong)[::-1]
    left = np.append(np.cumsum(worst[::-1])[::-1], 0.0)[more]
    learned: NDArray[np.float64] = (1.0 + more / labels) ** -exponent
    return left * learned


def exponent_between(without: float, labels: int, more: int, errors: float) -> float | None:
    """The exponent that a round showed; None where nothing can be seen.

    Parameters
    ----------
    without : errors that were to be expected after ``more`` labels, had the model learnt nothing
        (:func:`errors_after` with exponent 0); ``errors`` that are expected now.
    labels : labels by people before.
    """
    if more <= 0 or labels <= 0 or errors <= 0 or without <= 0:
        return None
    found = -math.log(errors / without) / math.log1p(more / labels)
    return min(max(found, -MOST), MOST)


def exponent_of(seen: Sequence[float]) -> Exponent:
    """What to believe of the exponent after the rounds of a run, each of which showed one.

    The mean of ``seen`` and that of other collections, weighted as if that were one round more.
    """
    mean, sd = KNOWN
    belief = (mean + sum(seen)) / (1 + len(seen))
    spread = sd**2 + sum((one - belief) ** 2 for one in seen)
    return Exponent(belief, math.sqrt(spread / (1 + len(seen))))


@dataclass(frozen=True)
class Forecast:
    """Labels more until the target, with their interval; m where all must be labelled."""

    labels: int
    low: int
    high: int


def forecast(
    wrong: NDArray[np.float64], labels: int, allowed: float, exponent: Exponent, judged: int
) -> Forecast:
    """Labels more, least sure first, until no more than ``allowed`` errors are expected.

    Parameters
    ----------
    wrong, labels : as in :func:`errors_after`.
    judged : predictions that ``wrong`` was calibrated with; the fewer, the less the number of
        errors is known now.
    """
    m = len(wrong)
    more = np.unique(np.linspace(0, m, min(m, STEPS) + 1).astype(np.int64))
    now = errors_after(wrong, max(1, labels), more, 0.0)
    growth = np.log1p(more / max(1, labels))

    def needed(learns: NDArray[np.float64], off: NDArray[np.float64]) -> NDArray[np.int64]:
        found = now * np.exp(off[:, None] - learns[:, None] * growth) <= allowed
        return np.where(found.any(axis=1), more[found.argmax(axis=1)], m)

    rng = np.random.default_rng(0)
    share = min(max(float(wrong.mean()), TINY), 1.0) if m else 1.0
    unknown = math.sqrt((1 - share) / (share * (judged + 1)))  # relative, of the errors now
    learns = np.clip(rng.normal(exponent.mean, exponent.sd, DRAWS), -MOST, MOST)
    found = needed(learns, rng.normal(0.0, min(unknown, 1.0), DRAWS))
    middle = int(needed(np.array([exponent.mean]), np.zeros(1))[0])
    low, high = (int(np.quantile(found, q)) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Forecast(middle, min(low, middle), max(high, middle))
