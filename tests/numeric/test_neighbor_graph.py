from __future__ import annotations

import numpy as np
import pytest

from graphs import dense_normalized, dense_weights
from usl.core.errors import UsageError
from usl.numeric.neighbor_graph import conjugate_gradients, neighbor_weights, normalized


def test_the_graph_is_the_definition(cloud):
    found = neighbor_weights(cloud, 6, 4.0)
    np.testing.assert_allclose(found.toarray(), dense_weights(cloud, 6, 4.0), atol=1e-5)
    np.testing.assert_allclose(
        normalized(found).toarray(), dense_normalized(cloud, 6, 4.0), atol=1e-5
    )
    assert (found != found.T).nnz == 0
    assert not found.diagonal().any()


def test_more_neighbours_than_there_are_items(cloud):
    assert neighbor_weights(cloud[:4], 10, 4.0).shape == (4, 4)


def test_no_neighbours(cloud):
    with pytest.raises(UsageError, match="k: 0"):
        neighbor_weights(cloud, 0, 4.0)


@pytest.mark.parametrize("alpha", [0.5, 0.99])
def test_conjugate_gradients_solve_each_column(cloud, alpha):
    graph = normalized(neighbor_weights(cloud, 8, 4.0))
    right = np.zeros((300, 4))
    right[:9, :3] = np.random.default_rng(0).normal(size=(9, 3))  # and a column of nothing
    expected = np.linalg.solve(np.eye(300) - alpha * graph.toarray(), right)
    np.testing.assert_allclose(conjugate_gradients(graph, right, alpha, 1e-12), expected, atol=1e-9)
