"""One cluster of two hosts, a core each, for all tests of the engine."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def several_hosts():
    """The hosts of that cluster, which this process does not use yet."""
    pytest.importorskip("ray")
    from hosts import Hosts

    import usl
    from usl.engine.cluster import QUIET

    with pytest.MonkeyPatch.context() as patch:
        # Workers import what the tests run, whoever started them.
        source = os.path.dirname(os.path.dirname(usl.__file__))
        here = os.path.dirname(__file__)
        patch.setenv("PYTHONPATH", os.pathsep.join([source, here, os.path.dirname(here)]))
        for name, value in QUIET.items():
            patch.setenv(name, value)
        started = Hosts()
        yield started
        started.inner.shutdown()


@pytest.fixture(scope="session")
def cluster(several_hosts):
    """The cluster, connected."""
    from usl.engine.cluster import connect

    with connect(several_hosts.address) as connected:
        yield connected


@pytest.fixture
def hosts(several_hosts, cluster):
    """Its hosts, two before and after a test that loses some."""
    several_hosts.complete()
    yield several_hosts
    several_hosts.complete()
