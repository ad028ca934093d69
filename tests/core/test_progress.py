"""The time left, on traces of real runs and on work that is made up to mislead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from usl.core.progress import Forecast, Repeated, Stage, expect, silent

TRACES = sorted((Path(__file__).parent / "traces").glob("*.json"))
FIRST, WRONG, LAST = 0.1, 0.3, 0.04  # from this share on; of what is left; of all


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def forecast(clock):
    return Forecast(clock)


def replay(trace):
    """The seconds said to be left and those that were, at every report from a tenth on.

    A line of a trace is the time alone, at the end; with a stage that was expected; or with what
    was reported.
    """
    clock = Clock()
    forecast = Forecast(clock)
    end = trace[-1][0]
    for at, *told in trace[:-1]:
        clock.now = at
        if len(told) == 1:
            forecast.expect(Stage(**told[0]))
        else:
            forecast(*told)
            if at >= FIRST * end:
                yield at / end, forecast.left(), end - at


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_time_left_is_right_within_a_third_from_the_first_tenth_on(path):
    trace = json.loads(path.read_text())
    end, wrong = trace[-1][0], []
    for share, said, true in replay(trace):
        if said is None or abs(said - true) > max(WRONG * true, LAST * end):
            wrong.append((round(share, 2), said, round(true, 2)))
    assert not wrong


def test_there_is_a_trace_of_every_long_verb():
    verbs = {path.stem.split("-")[0] for path in TRACES}
    assert verbs == {"embed", "select", "train", "benchmark"}


def run(forecast, clock, label, units, seconds, start=0):
    """Report units of a stage one by one, each taking so long."""
    forecast(start, units, label)
    for done in range(start + 1, units + 1):
        clock.now += seconds
        forecast(done, units, label)


def test_work_that_was_done_before_is_no_speed(forecast, clock):
    forecast.expect(Stage("steps", 1000.0))
    forecast(900, 1000, "steps")
    for done in range(901, 951):
        clock.now += 2.0
        forecast(done, 1000, "steps")
    assert forecast.left() == pytest.approx(100.0, rel=0.05)


def test_a_slow_start_is_forgotten(forecast, clock):
    forecast.expect(Stage("steps"))
    forecast(0, 100, "steps")
    clock.now += 60.0
    forecast(1, 100, "steps")
    for done in range(2, 80):
        clock.now += 1.0
        forecast(done, 100, "steps")
    assert forecast.left() == pytest.approx(21.0, rel=0.05)


def test_large_units_at_the_end_are_seen_coming(forecast, clock):
    sizes = [1.0] * 50 + [20.0] * 50
    forecast.expect(Stage("images", sizes=sizes))
    forecast(0, 100, "images")
    for done in range(1, 51):
        clock.now += 0.1
        forecast(done, 100, "images")
    assert forecast.left() == pytest.approx(100.0, rel=0.05)


def test_stages_to_come_are_corrected_by_what_their_kind_has_taken(forecast, clock):
    forecast.expect(
        Stage("search", 10.0, kind="k"), Stage("training", 20.0, kind="k"), Stage("other", 5.0)
    )
    run(forecast, clock, "search", 10, 3.0)  # three times as long as expected
    assert forecast.left() == pytest.approx(60.0 + 5.0, rel=0.1)


def test_a_stage_that_is_skipped_counts_no_longer(forecast, clock):
    forecast.expect(Stage("search", 100.0), Stage("training", 10.0))
    forecast(0, 10, "training")
    assert forecast.left() == pytest.approx(10.0)


def test_a_stage_that_mostly_ends_early(forecast, clock):
    forecast.expect(Stage("k-means", ends_at=50))
    forecast(0, 200, "k-means")
    for done in range(1, 26):
        clock.now += 1.0
        forecast(done, 200, "k-means")
    assert forecast.left() == pytest.approx(25.0, rel=0.1)
    for done in range(26, 101):  # and when it does not
        clock.now += 1.0
        forecast(done, 200, "k-means")
    assert 5 < forecast.left() < 40


def test_every_group_is_a_pass(forecast, clock):
    forecast.expect(
        Stage("search", 40.0, labels=("neighbours", "density"), passes=8),
        Stage("training", 40.0, passes=4),
    )
    for group in range(2):
        for label in ("neighbours", "density"):
            run(forecast, clock, label, 10, 0.5)
        run(forecast, clock, "training", 10, 1.0)
        assert forecast.left() == pytest.approx(20.0 * (3 - group), rel=0.1)


def test_what_is_waited_for_counts_down(forecast, clock):
    forecast.expect(Stage("fit", 10.0), Stage("steps", 20.0))
    assert forecast.left() == pytest.approx(30.0)
    clock.now += 4.0
    assert forecast.left() == pytest.approx(26.0)
    clock.now += 100.0  # the rest is still to come
    assert forecast.left() == pytest.approx(20.0)


def test_nothing_is_said_while_nothing_is_known(forecast, clock):
    assert forecast.left() is None
    forecast.expect(Stage("hash", 1.0), Stage("images"))
    run(forecast, clock, "hash", 10, 0.1)
    assert forecast.left() is None
    run(forecast, clock, "images", 10, 0.1)
    assert forecast.left() == 0.0


def test_a_guess_gives_way_and_a_part_is_of_what_was_expected(forecast):
    forecast.expect(Stage("images", 100.0))
    forecast.expect(Stage("images", 7.0, guessed=True))
    assert forecast.left() == pytest.approx(100.0)
    forecast.expect(Stage("images", part=0.25))
    assert forecast.left() == pytest.approx(25.0)
    forecast.expect(Stage("images", 8.0))
    assert forecast.left() == pytest.approx(8.0)


def test_steps_that_nobody_expected_do_no_harm(forecast, clock):
    forecast.expect(Stage("search", 10.0))
    run(forecast, clock, "unit rows", 3, 0.1)
    assert forecast.left() == pytest.approx(10.0, rel=0.05)
    run(forecast, clock, "search", 10, 1.0)
    run(forecast, clock, "assignment", 2, 0.1)
    assert forecast.left() == 0.0


def test_a_stage_may_come_once_more(forecast, clock):
    forecast.expect(Stage("hash", 1.0))
    run(forecast, clock, "hash", 10, 0.1)
    forecast.expect(Stage("hash", 2.0))
    assert forecast.left() == pytest.approx(2.0, rel=0.1)
    forecast(0, 10, "other")
    forecast(0, 10, "hash")
    assert forecast.left() == pytest.approx(2.0, rel=0.1)


def test_reports_without_units_and_of_too_many(forecast, clock):
    forecast(0, 0, "empty")
    clock.now += 1
    forecast(3, 2, "more")
    assert forecast.left() == 0.0


def test_expecting_is_for_those_who_want_to_know():
    expect(silent, Stage("images", 1.0))
    expect(lambda done, total, label: None, Stage("images", 1.0))


def test_repeated_seconds_are_a_number():
    twice = Repeated(1.5, 2)
    assert twice == 3.0
    assert twice.passes == 2
