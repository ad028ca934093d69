"""Messages can be read: short enough, and whatever the terminal can show."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

import usl
from usl import console
from usl.core.errors import (
    DataError,
    TrainingFailedError,
    UsageError,
    UslWarning,
    missing_extra,
)
from usl.core.seeds import seed_number


@pytest.mark.parametrize(
    "kind", [DataError, UslWarning, lambda text: TrainingFailedError(text, [])]
)
def test_no_message_is_longer_than_2000_characters(kind):
    long = f"x.csv: a column is missing; it has {', '.join(map(str, range(5000)))}. Add it."
    text = str(kind(long))
    assert len(text) <= 2000
    assert text.startswith("x.csv: a column is missing")
    assert text.endswith("Add it.")
    assert "characters left out" in text
    assert str(kind("short")) == "short"
    assert "pip install" in str(missing_extra("torch", "torch", "This"))


def test_notes_are_short_too(capsys):
    console.note("y" * 9000)
    assert len(capsys.readouterr().err) <= 2001


def test_streams_that_were_closed(monkeypatch, capsys):
    """A closed stderr is None, and nothing of it may end up among the results."""
    monkeypatch.setattr(sys, "stderr", None)
    console.note("a note")
    with console.bars() as progress:
        progress(1, 2, "step")
    console.say("a result")
    monkeypatch.setattr(sys, "stdout", None)
    console.say("lost")
    monkeypatch.undo()
    assert capsys.readouterr() == ("a result\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_streams_that_are_not_utf_8(monkeypatch, encoding):
    for name, write in (("stderr", console.note), ("stdout", console.say)):
        written = io.BytesIO()
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding=encoding))
        write("犬.png \udcff")
        getattr(sys, name).flush()
        assert written.getvalue() == b"\\u72ac.png \\udcff\n"


def test_a_disk_that_is_full_of_notes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", open("/dev/full", "w", buffering=1))  # noqa: SIM115
    console.note("a note")


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), np.uint8(7), 2**32 - 1, 2**40, np.array(3)])
def test_seeds_that_are_numbers(seed):
    assert seed_number(seed) == int(seed)
    assert type(seed_number(seed)) is int


def test_seeds_as_scikit_learn_takes_them():
    features = np.random.default_rng(0).normal(size=(80, 8))

    def picks(seed):
        return usl.select(features, 3, method="kmeans", seed=seed)

    assert picks(np.int64(3)).indices.tolist() == picks(3).indices.tolist()
    drawn = picks(None)
    assert picks(drawn.seed).indices.tolist() == drawn.indices.tolist()
    for make in (np.random.RandomState, np.random.default_rng):
        assert picks(make(5)).indices.tolist() == picks(make(5)).indices.tolist()
    for seed in (2**32 - 1, 2**63 - 1):
        assert len(picks(seed).indices) == 3


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, [1], np.float64(1), np.array([1, 2])])
def test_seeds_that_are_none(seed):
    features = np.eye(4)
    with pytest.raises(UsageError, match=r"seed: .* given; it must be a whole number"):
        usl.select(features, 2, method="random", seed=seed)


def test_a_seed_that_no_library_takes():
    with pytest.raises(UsageError, match="it must be at most"):
        seed_number(2**70)
