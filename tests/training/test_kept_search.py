"""A selection's neighbour search serves a training, and one that was killed goes on from it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from support import unit
from usl.core.errors import UslWarning
from usl.core.files import cache_dir
from usl.numeric import stage_cache
from usl.numeric.neighbor_graph import neighbor_weights
from usl.numeric.stage_cache import KeepSearch
from usl.numeric.table import LocalTable
from usl.run.split import Split
from usl.selection.start_run import start_run
from usl.training.train import train


@pytest.fixture(autouse=True)
def small_tables_count(monkeypatch):
    monkeypatch.setattr(stage_cache, "WORTH_KEEPING", 100)


@pytest.fixture
def searches(monkeypatch):
    """How often neighbours of all rows were searched for, and of how many each."""
    done: list[int] = []
    search = LocalTable.nearest

    def counted(self, k, points=None, **how):
        if points is None:
            done.append(k)
        return search(self, k, points, **how)

    both = LocalTable.neighborhood

    def counted_both(self, k, wide, **how):
        done.append(k)
        return both(self, k, wide, **how)

    monkeypatch.setattr(LocalTable, "nearest", counted)
    monkeypatch.setattr(LocalTable, "neighborhood", counted_both)
    return done


@pytest.fixture
def source(tmp_path):
    """Features of 300 items in a file, in three groups."""
    truth = np.arange(300) % 3
    rng = np.random.default_rng(0)
    features = unit(np.eye(12)[truth] + rng.normal(scale=0.3, size=(300, 12)))
    np.save(tmp_path / "items.npy", features * np.float32(2.5))  # not of unit length
    return tmp_path / "items.npy"


def labelled(source, out, **params):
    """A run of which the requested items are labelled."""
    run = start_run(source, 9, out, **params)
    split = Split.read(run.path)
    rows = np.flatnonzero(split.states == "requested")
    names = [("a", "b", "c")[int(str(split.ids[row])[-5:]) % 3] for row in rows]
    split.with_labels(rows, names).write(run.path)
    return run


@pytest.mark.parametrize("method", ["accord", "label_spreading", "poisson"])
@pytest.mark.parametrize("k", [20, 33])
def test_a_training_finds_the_selections_search(source, tmp_path, searches, method, k):
    run = labelled(source, tmp_path / "run", method="quorum", k=k)
    assert searches == [k]
    train(run, method=method)
    assert searches == [k]
    train(run, method=method, k=12, use=True)
    assert searches == [k]


def test_what_was_found_changes_nothing(source, tmp_path, searches):
    run = labelled(source, tmp_path / "run", method="random")
    alone = train(run, method="accord").info["training"]
    assert searches == [20]
    other = labelled(source, tmp_path / "other", method="quorum")
    found = train(other, method="accord").info["training"]
    assert searches == [20]  # the training's serves the selection, too
    assert alone["labels"] == found["labels"] == 9
    features = np.load(source)
    plain = neighbor_weights(features, 10, 4.0)
    kept = neighbor_weights(features, 10, 4.0, keep=KeepSearch())
    assert (plain != kept).nnz == 0


def test_other_features_are_searched_anew(source, tmp_path, searches):
    train(labelled(source, tmp_path / "run", method="quorum"), method="accord")
    features = np.load(source)
    features[7] = -features[7]
    np.save(source, features)
    train(labelled(source, tmp_path / "other", method="random"), method="accord")
    assert searches == [20, 20]


def test_a_damaged_file_is_made_again(source, tmp_path, searches):
    run = labelled(source, tmp_path / "run", method="quorum")
    (file,) = (cache_dir() / "stages").glob("neighbors-*.npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.warns(UslWarning, match="is damaged"):
        train(run, method="accord")
    assert searches == [20, 20]
    train(run, method="accord")
    assert searches == [20, 20]


def test_one_of_another_processor_is_not_used(source, tmp_path, searches, monkeypatch):
    run = labelled(source, tmp_path / "run", method="quorum")
    monkeypatch.setattr(stage_cache, "kernel", lambda: {"blas": ["of another kind"]})
    train(run, method="accord")
    assert searches == [20, 20]


def test_a_cache_that_cannot_be_written_to(source, tmp_path, searches, monkeypatch):
    run = labelled(source, tmp_path / "run", method="random")
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    monkeypatch.setenv("USL_CACHE", str(blocked))
    train(run, method="accord")
    assert searches == [20]


CHILD = """
import sys
from usl.numeric import stage_cache
from usl.training.frozen import accord
from usl.training.train import train

stage_cache.WORTH_KEEPING = 100

def stop(*_, **__):
    print("searched", flush=True)
    sys.stdin.read()  # until the kill

accord.Whitened.of = stop
train(sys.argv[1], method="accord")
"""


def test_a_killed_training_goes_on_from_its_search(source, tmp_path, searches):
    run = labelled(source, tmp_path / "run", method="random")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline().strip() == "searched"
    child.kill()
    child.wait()
    trained = train(run, method="accord")
    assert searches == []
    assert trained.info["training"]["estimate"] > 0.5
