"""A backend of a small run, without a process that learns: the tests give the orders."""

from __future__ import annotations

import pytest
from fake_studio import FakeStudio

import round_run
from usl.active.label_studio.backend import Backend
from usl.active.label_studio.standing import Standing
from usl.labeling.answers.live import SUGGEST
from usl.labeling.answers.store import Store
from usl.labeling.exchange.names import Finder

SETTINGS = {SUGGEST: True, "method": "canvass", "learner": "accord", "seed": 0}


@pytest.fixture(scope="package")
def run(tmp_path_factory):
    """A run of 60 items, a000 to c019."""
    return round_run.make_run(tmp_path_factory.mktemp("studio"))


@pytest.fixture
def backend(run):
    """A backend; ``lines`` is what it has said."""
    for path in run.path.glob("labels.sqlite*"):
        path.unlink()
    with Store.open(run.path) as store:
        ids = run.split().ids.tolist()
        lines = []
        made = Backend(store, Finder(ids), Standing(store, ids), SETTINGS, tell=lines.append)
        made.lines = lines
        yield made


@pytest.fixture
def studio(run):
    """A Label Studio whose project has a task for every item."""
    made = FakeStudio(run.split().ids.tolist())
    yield made
    made.stop()
