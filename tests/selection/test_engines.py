"""Methods call the verbs of a table alone: another engine gives the same picks."""

from __future__ import annotations

import numpy as np
import pytest

from dense_table import DenseTable
from support import clumps
from usl.selection.contract import METHODS
from usl.selection.known_methods import is_oracle, list_methods

SHORT = {
    "activeft": {"iterations": 20},
    "cold_paws": {"steps": 250},
    "usl_t": {"steps": 100, "k": 10},
    "quorum": {"partitions": 3},
    "usl": {"k": 15},
}


@pytest.mark.filterwarnings("ignore:usl_t. .* clusters are empty")
@pytest.mark.parametrize("labeled", [[], [4, 77]])
@pytest.mark.parametrize("method", [name for name in list_methods() if not is_oracle(name)])
def test_the_same_picks_from_another_engine(method, labeled):
    features = clumps(6, 10, 0.6, n=240, seed=5)
    rows = {"labeled": np.array(labeled, np.int64)}
    rows["candidates"] = np.setdiff1d(np.arange(0, 240, 2), labeled)
    pick = METHODS.load(method).pick
    local, other = (
        pick(engine, 8, seed=3, **rows, **SHORT.get(method, {}))
        for engine in (features, DenseTable(features))
    )
    np.testing.assert_array_equal(local.indices, other.indices)
    if local.clusters is not None:
        np.testing.assert_array_equal(local.clusters, other.clusters)
    if local.utility is not None:
        np.testing.assert_allclose(local.utility, other.utility, rtol=1e-3, atol=1e-4)
