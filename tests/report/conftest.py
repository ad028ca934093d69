"""A collection with pictures and a trained run on it, for the tests of the map and its pages."""

from __future__ import annotations

import pytest
from map_run import collection, trained_run


@pytest.fixture(scope="module")
def found():
    """The collection."""
    return collection()


@pytest.fixture(scope="module")
def run(found, tmp_path_factory):
    """The run; tests with a run of their own have a fixture of this name."""
    root = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(root / "cache"))
        return trained_run(root / "run", found)
