"""The cheapest mix of labels, sweeps and predictions for a wanted share of right labels.

An image whose label a person has not made certain is right with probability p. Three things can be
done with it: leave it to the model, which costs nothing; sweep it, which takes scan + (1 - p)
(unmark + relabel) seconds; or label it. Either way of making it certain adds 1 - p right labels.
The cheaper of both brings the more right labels per second the smaller p is, whatever the seconds.
So the cheapest mix has one threshold: below it everything is made certain, each image in the
cheaper way, and above it everything is left to the model. (It is the fractional knapsack, whose
greedy solution is optimal but for a part of the last image: Dantzig, Operations Research 5, 1957.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.pace import Pace


@dataclass(frozen=True, eq=False)
class Mix:
    """What to do with each uncertain image.

    Attributes
    ----------
    label, sweep : int64, places of the images to label, and of those to sweep, least sure first.
    seconds : expected, for all of both.
    gained : expected number of labels that become right.
    reached : whether that is as much as was wanted.
    threshold : images at or above this probability are left to the model.
    """

    label: NDArray[np.int64]
    sweep: NDArray[np.int64]
    seconds: float
    gained: float
    reached: bool
    threshold: float


def cheapest_mix(right: NDArray[Any], wanted: float, pace: Pace) -> Mix:
    """The mix of least expected seconds that gains ``wanted`` right labels.

    Parameters
    ----------
    right : float [m], the probability that each uncertain image's label is right.
    wanted : expected number of right labels to gain; nothing is done for 0 or less.
    """
    order = np.argsort(right, kind="stable")
    sure = right[order]
    gains = np.cumsum(1.0 - sure)
    count = 0 if wanted <= 0 else min(len(sure), int(np.searchsorted(gains, wanted - 1e-9)) + 1)
    taken, chance = order[:count], sure[:count]
    by_sheet = pace.sweep_seconds(chance) < pace.label
    seconds = np.where(by_sheet, pace.sweep_seconds(chance), pace.label)
    gained = float(gains[count - 1]) if count else 0.0
    return Mix(
        label=taken[~by_sheet],
        sweep=taken[by_sheet],
        seconds=float(seconds.sum()),
        gained=gained,
        reached=gained >= wanted - 1e-9,
        threshold=float(sure[count]) if count < len(sure) else 1.0,
    )
