from __future__ import annotations

import numpy as np
import pytest

import usl.selection.shared.repulsion as module
from support import unit
from usl.numeric.table import as_table
from usl.selection.shared.repulsion import Repulsion


def written_out(x, partition, rows, anchors, *, alpha, horizon=None):
    """Eq. 5, item by item, in float64."""
    result = []
    for row in rows:
        terms = []
        for anchor in anchors:
            if partition[anchor] == partition[row] and partition[anchor] >= 0:
                continue
            distance = np.linalg.norm(x[row].astype(np.float64) - x[anchor])
            terms.append(max(distance, 1e-6) ** -alpha)
        terms.sort(reverse=True)
        result.append(sum(terms[:horizon]))
    return np.array(result)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 0.7])
@pytest.mark.parametrize("horizon", [None, 4])
def test_is_the_equation(cloud, alpha, horizon):
    partition = np.arange(300) % 12
    rows, anchors = np.arange(0, 300, 7), np.arange(12) + 60
    found = Repulsion(alpha, horizon).of(as_table(cloud), partition, rows, anchors)
    expected = written_out(cloud, partition, rows, anchors, alpha=alpha, horizon=horizon)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_near_picks_alone_give_nearly_the_same_where_a_horizon_is_set(monkeypatch):
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(150, 8))
    partition = np.repeat(np.arange(150), 12)
    x = unit(centres[partition] + rng.normal(scale=0.2, size=(1800, 8)))
    rows, anchors = np.arange(1800), np.arange(0, 1800, 12)
    exchange = Repulsion(0.5, horizon=6)
    dense = exchange.of(as_table(x), partition, rows, anchors)
    monkeypatch.setattr(module, "EXACT_PAIRS", 1)
    near = exchange.of(as_table(x), partition, rows, anchors)
    assert (near <= dense * (1 + 1e-5)).all()  # a pick that is missed is a farther one in its place
    assert np.abs(near / dense - 1).mean() < 1e-3
    every = Repulsion(0.5, horizon=40)  # four horizons reach all picks
    np.testing.assert_allclose(
        every.of(as_table(x), partition, rows, anchors),
        written_out(x, partition, rows, anchors, alpha=0.5, horizon=40),
        rtol=1e-4,
    )


def test_rows_without_a_cluster_are_repelled_by_all(cloud):
    nowhere = np.full(300, -1)
    found = Repulsion(1.0).of(as_table(cloud), nowhere, np.array([0]), np.array([1, 2]))
    gaps = np.linalg.norm(cloud[[1, 2]].astype(np.float64) - cloud[0], axis=1)
    assert found[0] == pytest.approx((1 / gaps).sum(), rel=1e-4)
