"""The cheapest next step towards a stated accuracy of the whole collection: label, sweep or audit.

All on arrays: a run's folder (:mod:`usl.active.until`) and a simulated person use the same.

1. The model's confidences are calibrated by the judged predictions; with what people have made
   certain they give the expected accuracy of the whole collection.
2. Only an audit proves it, so that the aim lies above the target: so far that the seconds to get
   there and those of the audit that then shows it are least in sum.
3. Below the aim, the cheapest mix of labels and sweeps gets there (:mod:`usl.active.mix`). As
   long as the model gains more from labels than they cost, labels come first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.calibration import calibrated
from usl.active.forecast import Exponent, Forecast, errors_after, exponent_of, forecast
from usl.active.looks import Look, audit_size, quantile
from usl.active.mix import Mix, cheapest_mix
from usl.active.pace import Pace

LABEL, SWEEP, AUDIT, NOTHING = "label", "sweep", "audit", "nothing"
MOST_FIRST = 300  # images of a first audit, which calibrates: about the root of N, 30 to 300
MARGINS = (0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.04)  # above a target
GROWTH = (0.1, 0.25, 0.5, 1.0, 2.0)  # labels more, as a share of those there are
SHARE = 0.25  # labels of one step, as a share of those there are: then the model learns anew
LEAST = 20  # images of a step


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
    pace: Pace = Pace()

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


def advise(standing: Standing, target: float) -> Advice:
    """The verdict of the newest look, and the cheapest next step.

    Parameters
    ----------
    target : accuracy of the whole collection to reach, above 0 and below 1.
    """
    right = calibrated(standing.confidence, standing.judged_confidence, standing.judged_right)
    expected = _expected(standing, right)
    belief = exponent_of(standing.exponents)
    aim, audit, left = _aim(standing, right, target, belief)
    mix = cheapest_mix(right, _wanted(standing, right, aim), standing.pace)
    reached = _verdict(standing, target)
    step, places, count, why = _next(standing, right, expected, aim, audit, mix, reached, belief)
    return Advice(
        target=target,
        reached=reached,
        expected=expected,
        aim=aim,
        look=standing.look,
        step=step,
        count=count,
        seconds=_seconds(standing.pace, step, right[places], count),
        places=places,
        why=why,
        audit=audit,
        left=_with_interval(standing, target, belief, left),
        labels=forecast(
            1 - right, standing.labeled + standing.swept, _allowed(standing, target), belief
        ),
        right=right,
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


def _aim(
    standing: Standing, right: NDArray[np.float64], target: float, belief: Exponent
) -> tuple[float, int, float]:
    """The aim above the target of least seconds, the audit there in all, and those seconds.

    Where no audit can show the target, people must label that share of the images: the audit is 0.
    """
    best: tuple[float, int, float] | None = None
    z = quantile(standing.looks + 1)
    ahead = max(0.0, _expected(standing, right) - target)
    for margin in (*MARGINS, ahead):
        aim = target + margin
        if not target < aim < 1:
            continue
        errors = _wanted(standing, right, aim)
        mix = cheapest_mix(right, errors, standing.pace)
        by_hand = standing.labeled + len(mix.label)
        most = standing.total - by_hand
        size = audit_size(aim, target, by_hand / standing.total, z, most)
        if size is None:
            continue
        judged = max(0, size - standing.judged) * standing.pace.label
        seconds = judged + _fewest(standing, right, errors, belief.mean)[0]
        if best is None or seconds < best[2]:
            best = aim, size, seconds
    if best is not None:
        return best
    by_hand = max(0.0, target * standing.total - standing.labeled)
    return target, 0, by_hand * standing.pace.label


def _fewest(
    standing: Standing, right: NDArray[np.float64], wanted: float, exponent: float
) -> tuple[float, int]:
    """Least seconds to gain ``wanted`` right labels, and how many labels come first for them.

    Labels make the model better; the mix is worked out for the model as it is then.
    """
    if wanted <= 0:
        return 0.0, 0
    worst = np.sort(1 - right)[::-1]
    known = max(1, standing.labeled + standing.swept)
    allowed = worst.sum() - wanted
    best = cheapest_mix(1 - worst, wanted, standing.pace).seconds, 0
    for growth in GROWTH:
        more = int(growth * known)
        if not 0 < more < len(worst):
            break
        rest = worst[more:] * (1 + more / known) ** -exponent
        first = np.minimum(standing.pace.label, standing.pace.sweep_seconds(1 - worst[:more])).sum()
        mix = cheapest_mix(1 - rest, float(rest.sum() - allowed), standing.pace)
        if first + mix.seconds < best[0]:
            best = float(first + mix.seconds), more
    return best


def _next(
    standing: Standing,
    right: NDArray[np.float64],
    expected: float,
    aim: float,
    audit: int,
    mix: Mix,
    reached: bool | None,
    belief: Exponent,
) -> tuple[str, NDArray[np.int64], int, str]:
    """The step, its places, how many images it is about, and why."""
    none = np.empty(0, dtype=np.int64)
    open_ = standing.total - standing.labeled - standing.judged  # images that may be audited
    if reached:
        return NOTHING, none, 0, "the target is reached"
    if standing.waiting:
        return AUDIT, none, standing.waiting, "an audit is not finished"
    first = int(np.clip(np.sqrt(standing.total), 30, MOST_FIRST))
    if audit and standing.judged < first and open_ > 0:
        count = min(first - standing.judged, open_)
        return AUDIT, none, count, "too few predictions are judged to know how right the model is"
    if audit and expected >= aim - 1e-9 and open_ > 0:
        count = min(max(audit - standing.judged, LEAST), open_)
        return AUDIT, none, count, "the model's own word is enough; an audit has to show it"
    most = max(LEAST, int(SHARE * (standing.labeled + standing.swept)))
    if not audit or not len(mix.sweep) + len(mix.label):
        places = np.argsort(right, kind="stable")[:most]
        return LABEL, places, len(places), "too few images for an audit to show it"
    ahead = _fewest(standing, right, _wanted(standing, right, aim), belief.mean)[1]
    if ahead:
        places = np.argsort(right, kind="stable")[: min(most, ahead)]
        why = "the model still learns so much from labels that they save more time than they take"
        return LABEL, places, len(places), why
    if len(mix.sweep):
        places = mix.sweep[::-1][:most]
        why = "a glance at a sheet of them makes more labels right per minute than any other step"
        return SWEEP, places, len(places), why
    places = mix.label[:most]
    return LABEL, places, len(places), "so many of them are wrong that a sweep would take longer"


def _seconds(pace: Pace, step: str, right: NDArray[np.float64], count: int) -> float:
    """Expected seconds of a step."""
    return float(pace.sweep_seconds(right).sum()) if step == SWEEP else count * pace.label


def _with_interval(
    standing: Standing, target: float, belief: Exponent, middle: float
) -> tuple[float, float, float]:
    return middle, middle, middle
