"""Pace, mix, calibration, looks, forecast and advice, on arrays."""

import itertools

import numpy as np
import pytest
from scipy import stats

from usl.active import advice as steps
from usl.active.advice import Standing, advise
from usl.active.calibration import calibrated
from usl.active.forecast import KNOWN, errors_after, exponent_between, exponent_of, forecast
from usl.active.looks import Look, audit_size, level_of, quantile
from usl.active.mix import cheapest_mix
from usl.active.pace import Pace
from usl.labeling.answers.audit import wilson


def test_a_pace_follows_timed_answers_and_leaves_pauses_out():
    assert Pace().of_answers([1.0] * 19) == Pace()
    found = Pace().of_answers([1.0] * 20 + [None, 600.0, 0.0])
    assert (found.label, found.scan, found.unmark, found.relabel) == (1.0, 0.175, 0.75, 1.0)
    assert found.measured
    assert Pace().break_even == pytest.approx(1 - 1.65 / 3.5)
    assert Pace().sweep_seconds(0.9) == pytest.approx(0.35 + 0.1 * 3.5)


@pytest.mark.parametrize("pace", [Pace(), Pace(scan=1.0), Pace(label=1.0, scan=0.1, relabel=6.0)])
def test_no_other_mix_is_cheaper(pace):
    """All 3^6 ways to predict, sweep or label six images."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        right = rng.uniform(0.2, 1.0, 6)
        ways = list(itertools.product((0, 1, 2), repeat=6))
        cost = np.stack([np.zeros(6), pace.scan + (1 - right) * (pace.unmark + pace.relabel),
                         np.full(6, pace.label)])  # fmt: skip
        seconds = np.array([cost[list(way), range(6)].sum() for way in ways])
        gained = np.array([((1 - right) * (np.array(way) > 0)).sum() for way in ways])
        for count in range(7):  # what the k least sure bring: there the knapsack is not fractional
            wanted = np.sort(1 - right)[::-1][:count].sum()
            found = cheapest_mix(right, wanted, pace)
            assert found.seconds == pytest.approx(seconds[gained >= wanted - 1e-9].min())
            assert found.reached
    assert not cheapest_mix(right, 6.0, pace).reached


def test_a_calibration_is_the_most_likely_a_posteriori():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 0.99, 200)
    odds = np.log(sure / (1 - sure))
    right = rng.random(200) < 1 / (1 + np.exp(-(odds - 1)))

    a, b = (axis[..., None] for axis in np.meshgrid(np.arange(-2, 1, 0.02), np.arange(0, 2, 0.02)))
    p = 1 / (1 + np.exp(-(a + b * odds)))
    prior = stats.norm(0, 1).logpdf(a) + stats.norm(1, 1).logpdf(b)
    posterior = np.log(np.where(right, p, 1 - p)).sum(axis=-1) + prior[..., 0]
    best = np.unravel_index(posterior.argmax(), posterior.shape)
    a, b = a[best], b[best]
    assert calibrated(sure, sure, right) == pytest.approx(
        1 / (1 + np.exp(-(a + b * odds))), abs=0.01
    )
    assert calibrated(sure, [], []) == pytest.approx(sure)


def test_looks_spend_five_percent_in_all():
    assert sum(level_of(look) for look in range(1, 100_000)) == pytest.approx(0.05, rel=1e-4)
    assert quantile(1) == pytest.approx(2.2414, abs=1e-4)  # normal tables: 0.9875
    assert quantile(2) == pytest.approx(2.6383, abs=1e-4)  # 1 - 0.05 / 12


def test_looking_again_and_again_says_yes_wrongly_in_five_percent_at_most():
    """Twenty looks at a collection just below the target, 50 images more each time."""
    rng = np.random.default_rng(0)
    right = np.cumsum(rng.binomial(50, 0.9499, size=(2_000, 20)), axis=1)
    n = 50 * np.arange(1, 21)
    spent, usual = np.zeros(2_000, dtype=bool), np.zeros(2_000, dtype=bool)
    for look in range(20):
        share, size = right[:, look] / n[look], n[look]
        for z, yes in ((quantile(look + 1), spent), (1.96, usual)):
            reach = z * np.sqrt(share * (1 - share) / size + z * z / (4 * size**2))
            yes |= (share + z * z / (2 * size) - reach) / (1 + z * z / size) >= 0.95
    assert spent.mean() <= 0.05
    assert usual.mean() > 0.05  # so much for looking without account


def test_an_audit_of_the_advised_size_passes_as_often_as_said():
    n = audit_size(0.97, 0.95, 0.4, quantile(1), 10_000)
    share = (0.97 - 0.4) / 0.6
    passing = [k for k in range(n + 1) if 0.4 + 0.6 * wilson(k, n, z=quantile(1))[0] >= 0.95]
    assert stats.binom(n, share).sf(passing[0] - 1) == pytest.approx(0.8, abs=0.06)
    assert audit_size(0.95, 0.95, 0.4, 2.0, 10_000) is None
    assert audit_size(0.97, 0.95, 0.0, 2.0, 5) == 5  # all of them: nothing is left to estimate


def test_a_forecast_is_the_first_number_of_labels_that_is_enough():
    wrong = np.array([0.5, 0.4, 0.3, 0.2, 0.1])
    assert errors_after(wrong, 10, np.array([0, 2, 5]), 0.0) == pytest.approx([1.5, 0.6, 0.0])
    assert errors_after(wrong, 10, np.array([2]), 1.0) == pytest.approx([0.6 / 1.2])
    sure = exponent_of([0.0] * 200)
    assert forecast(wrong, 10, 0.6, sure, 100).labels == 2
    assert exponent_between(0.6, 10, 2, 0.5) == pytest.approx(1.0)
    assert exponent_between(0.6, 10, 0, 0.5) is None
    assert (exponent_of([]).mean, exponent_of([]).sd) == KNOWN
    found = forecast(np.linspace(0, 0.6, 500), 50, 20, exponent_of([]), 50)
    assert 0 < found.low < found.labels < found.high < 500


def standing(**changes):
    """A thousand predictions of all confidences, 50 of them judged, 200 labels."""
    sure = np.linspace(0.4, 0.999, 1_000)
    judged = sure[::20]
    given = {
        "confidence": sure,
        "labeled": 200,
        "judged_confidence": judged,
        "judged_right": np.random.default_rng(0).random(50) < judged,
        "judged": 50,
    }
    return Standing(**given | changes)


def test_the_next_step():
    none = {"judged_confidence": np.empty(0), "judged_right": np.empty(0, bool), "judged": 0}
    first = advise(standing(**none), 0.95)
    assert (first.step, first.count, first.reached) == (steps.AUDIT, 34, None)  # sqrt of 1,200
    assert advise(standing(waiting=7), 0.95).count == 7
    low = advise(standing(), 0.95)
    assert low.step == steps.LABEL
    assert (low.right[low.places] < Pace().break_even).all()
    sheets = advise(standing(confidence=np.linspace(0.7, 0.999, 1_000)), 0.95)
    assert sheets.step == steps.SWEEP
    assert (np.diff(sheets.right[sheets.places]) <= 0).all()  # surest first
    high = advise(standing(confidence=np.full(1_000, 0.999)), 0.9)
    assert high.step == steps.AUDIT
    assert high.count >= high.audit - 50
    for seconds in high.left:
        assert high.left[1] <= seconds <= high.left[2]


def test_the_verdict_is_that_of_the_look_or_of_labels_alone():
    for low, high, reached in ((0.95, 0.98, True), (0.9, 0.94, False), (0.94, 0.96, None)):
        found = advise(standing(look=Look(1, 50, 0.95, low, high)), 0.95)
        assert found.reached is reached
        assert (found.step == steps.NOTHING) == (reached is True)
    by_hand = advise(standing(confidence=np.full(10, 0.5)), 0.95)
    assert (by_hand.reached, by_hand.step) == (True, steps.NOTHING)
    few = advise(standing(confidence=np.full(10, 0.5), labeled=20, judged=0), 0.999)
    assert few.step == steps.LABEL  # no audit of ten can show it
    assert advise(standing(confidence=np.empty(0)), 0.95).reached
