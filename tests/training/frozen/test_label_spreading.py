from __future__ import annotations

import numpy as np
import pytest
from sklearn.semi_supervised import LabelSpreading

from graphs import dense_normalized
from usl.core.errors import DataError, UsageError
from usl.numeric.neighbor_graph import neighbor_weights, normalized
from usl.training.contract import FROZEN
from usl.training.frozen.label_spreading import fit, prepare
from usl.training.models import load_model
from usl.training.shared.class_shares import voted_shares


@pytest.mark.parametrize("prior", [None, "off", "uniform", "labels"])
def test_scores_solve_the_linear_system(cloud, prior):
    s = dense_normalized(cloud, 8, 4.0)
    given = np.full(300, -1, dtype=np.int64)
    given[:9] = np.arange(9) % 3
    weights = np.linspace(0.5, 2, 300)
    y = np.zeros((300, 3))
    y[np.arange(9), given[:9]] = weights[:9]
    expected = np.linalg.solve(np.eye(300) - 0.95 * s, y)
    if prior != "off":
        expected /= expected.sum(axis=0)
    if prior is None:
        expected *= voted_shares(cloud, given, weights, 3)
    if prior == "labels":
        expected *= y.sum(axis=0)
    expected /= expected.sum(axis=1, keepdims=True)
    model = fit(cloud, given, weights, 3, k=8, alpha=0.95, class_prior=prior)
    np.testing.assert_allclose(model.fitted(), expected, atol=1e-4)


def test_agrees_with_scikit_learn_on_the_same_graph(blobs):
    features, classes = blobs
    given = np.full(600, -1, dtype=np.int64)
    given[:60] = classes[:60]
    graph = normalized(neighbor_weights(features, 10, 4.0))

    class Given(LabelSpreading):
        def _build_graph(self):
            return graph

    theirs = Given(alpha=0.9, max_iter=2000, tol=1e-9).fit(features, given)
    ours = fit(features, given, np.ones(600), 6, alpha=0.9, class_prior="off")
    assert (ours.fitted().argmax(axis=1) == theirs.transduction_).mean() > 0.995


def test_a_prepared_graph_changes_nothing(blobs):
    features, classes = blobs
    given = np.where(np.arange(600) < 40, classes, -1)
    plain = fit(features, given, np.ones(600), 6).fitted()
    np.testing.assert_array_equal(
        plain, fit(features, given, np.ones(600), 6, **prepare(features)).fitted()
    )


def test_items_no_label_reaches_take_the_nearest_label():
    # two groups in orthogonal planes: no edge of positive weight joins them
    angles = np.linspace(0, 0.5, 12)
    one = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)
    features = np.concatenate([one, one[:, [2, 3, 0, 1]]]).astype(np.float32)
    given = np.full(24, -1, dtype=np.int64)
    given[0], given[11] = 0, 1
    found = fit(features, given, np.ones(24), 2, k=3).fitted()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 1.0}, "alpha"),
        ({"alpha": 0.0}, "alpha"),
        ({"k": 0}, "k: 0"),
        ({"class_prior": "x"}, "class_prior"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(UsageError, match=message):
        FROZEN.check("label_spreading", FROZEN.load("label_spreading"), params)


def test_broken_model_files_are_named(tmp_path):
    with pytest.raises(DataError, match="train the run first"):
        load_model(tmp_path / "model.npz")
    (tmp_path / "model.npz").write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(DataError, match="not a model"):
        load_model(tmp_path / "model.npz")
    np.savez(tmp_path / "model.npz", kind=np.array("linear"))
    with pytest.raises(DataError, match="not a model"):
        load_model(tmp_path / "model.npz")
