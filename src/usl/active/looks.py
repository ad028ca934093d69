"""Repeated looks at audits: how sure each must be, so that all together err in 5% at most.

Whoever looks again and again stops in the end at a lucky moment. The chance of error is therefore
spent over the looks (Lan and DeMets, Biometrika 70, 1983): look k gets 5% / (k (k + 1)), which adds
up to 5% however many there are. Labels, sweeps and trainings between two looks change what is
estimated, so that their errors depend on each other in unknown ways; the sum bounds them in any
case (Bonferroni's inequality).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from usl.labeling.answers.audit import wilson

NORMAL = NormalDist()
TOTAL = 0.05  # chance that any interval of all looks misses the truth
POWER = 0.8  # chance that an audit of the advised size says yes, if the expectation is right


def level_of(look: int) -> float:
    """What the look, counted from 1, may spend: 5% / (k (k + 1))."""
    return TOTAL / (look * (look + 1))


def quantile(look: int) -> float:
    """The z of the two-sided interval of a look: 2.24 of the first, 2.64 of the second."""
    return NORMAL.inv_cdf(1 - level_of(look) / 2)


@dataclass(frozen=True)
class Look:
    """What an audit said of the whole collection at one look.

    ``number`` from 1; ``judged`` images of all audits that it went by; ``accuracy`` of the whole
    collection with its interval ``low`` to ``high``, wide enough for all looks together.
    """

    number: int
    judged: int
    accuracy: float
    low: float
    high: float


def audit_size(expected: float, target: float, certain: float, z: float, most: int) -> int | None:
    """How many judged images in all show that a collection is at the target.

    The smallest n for which an audit passes with probability ``POWER`` (normal approximation);
    of few images it may be all, which leaves nothing to estimate.

    Parameters
    ----------
    expected : expected accuracy of the whole collection; target : the one to show.
    certain : share of the collection that people labelled one by one, right by definition.
    z : quantile of the look; most : images that may be audited.

    Returns
    -------
    None where even ``most`` are too few.
    """
    if certain >= 1 or most < 1 or expected <= target:
        return None
    share = min(1.0, max(0.0, (expected - certain) / (1 - certain)))  # of what is audited
    wanted = (target - certain) / (1 - certain)
    unlucky = NORMAL.inv_cdf(POWER)

    def passes(n: int) -> bool:
        if n == most:  # nothing is left to estimate
            return share >= wanted
        right = n * share - unlucky * math.sqrt(n * share * (1 - share))
        return right > 0 and max(wilson(right, n, z=z)[0], right / most) >= wanted

    low, high = 0, most
    if not passes(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
