"""A run has an identity: a run that takes the place of another is not written into."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import usl
from usl.core.files import write_json
from usl.run.folder import Run
from usl.run.identity import RunReplacedError, check_identity, identity

OLDER = Path(__file__).parent / "older"


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)


def test_two_runs_of_one_selection_differ(features, tmp_path):
    runs = [usl.start_run(features, 3, tmp_path / name, method="random") for name in "ab"]
    assert runs[0].identity != runs[1].identity
    assert Run.open(tmp_path / "a").identity == runs[0].identity


def test_a_replaced_run_is_noticed(features, tmp_path):
    first = usl.start_run(features, 3, tmp_path / "run", method="random")
    check_identity(first.path, first.identity)
    usl.start_run(features, 3, tmp_path / "run", method="random", overwrite=True)
    with pytest.raises(RunReplacedError, match="holds another run than when this began"):
        check_identity(first.path, first.identity)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(RunReplacedError, match="no longer holds the run"):
        check_identity(first.path, first.identity)


def test_an_update_keeps_it(features, tmp_path):
    run = usl.start_run(features, 3, tmp_path / "run", method="random")
    assert run.update(training={"method": "x"}).identity == run.identity


def test_a_run_of_the_former_version_has_one_too(tmp_path):
    info = Run.open(OLDER / "trained").info
    write_json(tmp_path / "run.json", info)
    check_identity(tmp_path, identity(info))
    assert identity({**info, "training": None}) == identity(info)
    assert identity({**info, "created": "2026-11-28T12:33:09+00:00"}) != identity(info)
