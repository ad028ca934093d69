"""One cluster of two processors for all tests of the engine."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def cluster():
    """A Ray cluster of two cores on this machine."""
    pytest.importorskip("ray")
    from usl.engine.cluster import connect

    with pytest.MonkeyPatch.context() as patch:
        # Workers import what the tests run, whoever started them.
        import usl

        source = os.path.dirname(os.path.dirname(usl.__file__))
        patch.setenv("PYTHONPATH", os.pathsep.join([source, os.path.dirname(__file__)]))
        with connect(cores=2) as connected:
            yield connected
