"""The cheapest next step towards a stated accuracy of the whole collection: label, sweep or audit.

All on arrays: a run's folder (:mod:`usl.active.until`) and a simulated person use the same.

1. The model's confidences are calibrated by the judged predictions; with what people have made
   certain they give the expected accuracy of the whole collection.
2. Only an audit proves it, so that the aim lies above the target: so far that the seconds to get
   there and those of the audit that then shows it are least in sum.
3. Below the aim, the cheapest mix of labels and sweeps gets there (:mod:`usl.active.mix`). What
   must be labelled comes first: the model learns from it, and sheets become purer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.calibration import calibrated
from usl.active.forecast import Forecast, exponent_of, forecast
from usl.active.looks import Look, audit_size, quantile
from usl.active.mix import Mix, cheapest_mix
from usl.active.pace import Pace

LABEL, SWEEP, AUDIT, NOTHING = "label", "sweep", "audit", "nothing"
LEAST_FIRST, MOST_FIRST = 30, 300  # images of a first audit, which calibrates: the root of N
RESAMPLES = 20  # of the judged predictions, for the interval of the seconds left
MARGINS = (0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.04)  # above a target
GROWTH = 0.25  # images of a step, as a share of the labels: then the model learns anew
LEAST = 20  # images of a step at least


@dataclass(frozen=True, eq=False)
class Standing:
    """Where a collection of N images stands.

    Attributes
    ----------
    confidence : float64 [m], of the images that only the model has labelled.
    labeled, swept : images that people labelled one by one, and in sweeps; N = labeled + swept + m.
    judged_confidence, judged_right : float64 [j] and bool [j], of audited images that only the
        model has labelled.
    judged : images that the audits can speak for: judged, and not labelled one by one since.
    waiting : audited images that nobody has judged yet.
    looks : looks at audits so far; ``look`` is the newest, None where nothing is new to look at.
    swept_right : share of the swept labels that is right.
    exponents : of the learning curve, as earlier rounds showed them.
    pace : the person's.
    """

    confidence: NDArray[np.float64]
    labeled: int
    swept: int = 0
    judged_confidence: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    judged_right: NDArray[Any] = field(default_factory=lambda: np.empty(0, dtype=bool))
    judged: int = 0
    waiting: int = 0
    looks: int = 0
    look: Look | None = None
    swept_right: float = 1.0
    exponents: tuple[float, ...] = ()
    pace: Pace = field(default_factory=Pace)

    @property
    def total(self) -> int:
        """N, images of the collection."""
        return self.labeled + self.swept + len(self.confidence)


@dataclass(frozen=True, eq=False)
class Advice:
    """What is known of a collection's accuracy, and the cheapest next step.

    Attributes
    ----------
    target : the accuracy to reach. ``reached`` : True or False by the newest look, else None.
    expected : the accuracy of the whole collection by the calibrated model; ``aim`` is what to
        bring it to before the audit that shows the target.
    look : the audit's word, with its interval; None without a new one.
    step : ``label``, ``sweep``, ``audit`` or ``nothing``; ``count`` images of it, which take
        ``seconds``; ``places`` int64 of them among the m predictions, in the order of asking.
    why : in words.
    audit : how many to audit in the end; 0 where no audit can show it.
    left : seconds to the proof, as expected, and an 80% interval.
    labels : the forecast of labelling one by one.
    right : float64 [m], the calibrated probability of each prediction to be right.
    pace : the seconds it was reckoned with.
    """

    target: float
    reached: bool | None
    expected: float
    aim: float
    look: Look | None
    step: str
    count: int
    seconds: float
    places: NDArray[np.int64]
    why: str
    audit: int
    left: tuple[float, float, float]
    labels: Forecast
    right: NDArray[np.float64]
    pace: Pace


def advise(
    standing: Standing, target: float, *, growth: float = GROWTH, interval: bool = True
) -> Advice:
    """The verdict of the newest look, and the cheapest next step.

    Parameters
    ----------
    target : accuracy of the whole collection to reach, above 0 and below 1.
    growth : images of a step at most, as a share of the labels there are.
    interval : whether to work out the interval of the seconds left, which takes longest.
    """
    right = calibrated(standing.confidence, standing.judged_confidence, standing.judged_right)
    aim, audit, left = _aim(standing, right, target)
    mix = cheapest_mix(right, _wanted(standing, right, aim), standing.pace)
    reached = _verdict(standing, target)
    step, places, count, why = _next(standing, right, audit, mix, reached, growth)
    people = standing.labeled + standing.swept
    return Advice(
        target=target,
        reached=reached,
        expected=_expected(standing, right),
        aim=aim,
        look=standing.look,
        step=step,
        count=count,
        seconds=_seconds(standing.pace, step, right[places], count),
        places=places,
        why=why,
        audit=audit,
        left=_left(standing, right, target) if interval else (left, left, left),
        labels=forecast(
            1 - right,
            people,
            _allowed(standing, target),
            exponent_of(standing.exponents),
            len(standing.judged_right),
        ),
        right=right,
        pace=standing.pace,
    )


def _verdict(standing: Standing, target: float) -> bool | None:
    """Whether the target is reached, by labels alone or by the newest look; None if not known."""
    if standing.labeled >= target * standing.total:
        return True
    if standing.look is None:
        return None
    if standing.look.low >= target:
        return True
    return False if standing.look.high < target else None


def _expected(standing: Standing, right: NDArray[np.float64]) -> float:
    """Expected accuracy of the whole collection."""
    sure = standing.labeled + standing.swept_right * standing.swept
    return float((sure + right.sum()) / standing.total)


def _wanted(standing: Standing, right: NDArray[np.float64], aim: float) -> float:
    """Right labels to gain until the aim."""
    return (aim - _expected(standing, right)) * standing.total


def _allowed(standing: Standing, aim: float) -> float:
    """Wrong predictions that the aim allows."""
    return (1 - aim) * standing.total - (1 - standing.swept_right) * standing.swept


def _aim(standing: Standing, right: NDArray[np.float64], target: float) -> tuple[float, int, float]:
    """The aim above the target of least seconds, the audit there in all, and those seconds.

    Where no audit can show the target, people must label that share of the images: the audit is 0.
    """
    best: tuple[float, int, float] | None = None
    right = np.sort(right)  # once, for all mixes
    z = quantile(standing.looks + 1)
    ahead = _expected(standing, right) - target
    for margin in (*MARGINS, ahead):
        aim = target + margin
        if not target < aim < 1:
            continue
        mix = cheapest_mix(right, _wanted(standing, right, aim), standing.pace)
        by_hand = standing.labeled + len(mix.label)
        most = standing.total - by_hand
        size = audit_size(aim, target, by_hand / standing.total, z, most)
        if size is not None:
            judged = max(0, size - standing.judged) * standing.pace.label
            if best is None or mix.seconds + judged < best[2]:
                best = aim, size, mix.seconds + judged
    if best is not None:
        return best
    rest = max(0.0, target * standing.total - standing.labeled)
    return target, 0, rest * standing.pace.label


def _next(
    standing: Standing,
    right: NDArray[np.float64],
    audit: int,
    mix: Mix,
    reached: bool | None,
    growth: float,
) -> tuple[str, NDArray[np.int64], int, str]:
    """The step, its places, how many images it is about, and why."""
    none = np.empty(0, dtype=np.int64)
    if reached:
        return NOTHING, none, 0, "the target is reached"
    if standing.waiting:
        return AUDIT, none, standing.waiting, "an audit is not finished"
    left = standing.total - standing.labeled - standing.judged  # images that may be audited
    first = int(np.clip(np.sqrt(standing.total), LEAST_FIRST, MOST_FIRST))
    if audit and 2 * standing.judged < first and left > 0:
        count = min(first - standing.judged, left)
        return AUDIT, none, count, "too few predictions are judged to know how right the model is"
    if audit and not len(mix.label) + len(mix.sweep) and left > 0:
        count = min(max(audit - standing.judged, audit // 4, 1), left)
        return AUDIT, none, count, "the model expects it to be there; an audit has to show it"
    most = max(LEAST, int(growth * (standing.labeled + standing.swept)))
    if not audit:
        places = np.argsort(right, kind="stable")[:most]
        return LABEL, places, len(places), "the images are too few for an audit to show it"
    if len(mix.label) >= min(LEAST, len(mix.sweep)):
        places = mix.label[:most]
        return LABEL, places, len(places), "so often wrong that a sweep would take longer"
    places = mix.sweep[::-1][:most]
    why = "sheets of them make more labels right per minute than labels one by one"
    return SWEEP, places, len(places), why


def _left(
    standing: Standing, right: NDArray[np.float64], target: float
) -> tuple[float, float, float]:
    """Seconds to the proof, and an 80% interval: the judged predictions drawn anew."""
    middle = _aim(standing, right, target)[2]
    if not len(standing.judged_right):
        return middle, 0.0, standing.total * standing.pace.label
    rng = np.random.default_rng(0)
    count, found = len(standing.judged_right), []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, count, count)
        again = calibrated(
            standing.confidence, standing.judged_confidence[drawn], standing.judged_right[drawn]
        )
        found.append(_aim(standing, again, target)[2])
    low, high = np.quantile(found, [0.1, 0.9])
    return middle, float(min(low, middle)), float(max(high, middle))


def _seconds(pace: Pace, step: str, right: NDArray[np.float64], count: int) -> float:
    """Expected seconds of a step."""
    return float(pace.sweep_seconds(right).sum()) if step == SWEEP else count * pace.label
