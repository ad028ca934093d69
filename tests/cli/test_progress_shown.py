"""Progress on stderr where that is no terminal, and none with ``--quiet``."""

from __future__ import annotations

import inspect
import io
import re

import numpy as np
import pytest

from usl import console
from usl.cli import app, main
from usl.console import Shown, bars, in_words, quiet
from usl.core.progress import Stage


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def lines_of(clock, seconds, units=1000):
    """What is said of a step that takes so long, in even units, with the time of each line."""
    stream, found = io.StringIO(), []
    shown = Shown(stream, clock)
    shown.expect(Stage("steps", seconds))
    for done in range(units + 1):
        before = stream.tell()
        shown(done, units, "steps")
        if stream.tell() > before:
            found.append(clock.now)
        clock.now += seconds / units
    shown.close()
    return found, stream.getvalue().splitlines()


def test_a_line_for_every_tenth(clock):
    times, lines = lines_of(clock, 100.0)
    assert len(lines) == 10
    assert np.diff(times) == pytest.approx(10.0, abs=0.5)
    assert lines[4] == "steps: 501 of 1,000, 50% of all, 50 s left"


def test_a_line_every_half_minute_where_a_tenth_takes_longer(clock):
    times, lines = lines_of(clock, 6000.0)
    assert all(gap < 37 for gap in np.diff(times))
    assert 200 <= len(lines) <= 211  # half minutes, and the tenths among them
    assert "1 h 30 min left" in "\n".join(lines)


def test_what_takes_a_second_says_nothing(clock):
    assert lines_of(clock, 1.0) == ([], [])


def test_a_step_that_cannot_be_forecast_still_says_how_far_it_is(clock):
    stream = io.StringIO()
    shown = Shown(stream, clock)
    shown.expect(Stage("steps"), Stage("later"))
    for done in range(5):
        shown(done, 100, "steps")
        clock.now += 31
    assert stream.getvalue().splitlines()[0] == "steps: 1 of 100"


def test_quiet_is_quiet(clock):
    with quiet():
        assert lines_of(clock, 100.0) == ([], [])
    assert lines_of(clock, 100.0)[1]


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_a_stream_that_is_lost_stops_no_work(stream, monkeypatch, clock):
    if stream is not None:
        stream.close()
    monkeypatch.setattr(console.sys, "stderr", stream)
    if stream is None:
        with bars() as progress:
            progress(1, 2, "steps")


@pytest.mark.parametrize("verb", app.VERBS)
def test_every_verb_can_be_quiet(verb):
    called = app.load(verb)
    assert "quiet" in inspect.signature(called.command([verb])).parameters


def test_stdout_is_the_same_and_stderr_says_no_more(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console, "FIRST_LINE", 0.0)
    rows = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    asked = ["select", str(tmp_path / "rows.npy"), "--budget", "5", "--out"]
    said = []
    for name, more in (("a", []), ("b", ["--quiet"])):
        assert main([*asked, str(tmp_path / name), *more]) == 0
        out, err = capsys.readouterr()
        said.append((re.sub(rf"{tmp_path}/{name}", "RUN", out), err))
    assert said[0][0] == said[1][0]
    assert " of " in said[0][1]
    assert said[1][1] == ""


def test_spans_as_people_say_them():
    assert [in_words(s) for s in (0.2, 42, 119.4, 120, 600, 3600, 7800)] == [
        *["1 s", "42 s", "119 s", "2 min", "10 min", "1 h 0 min", "2 h 10 min"]
    ]
