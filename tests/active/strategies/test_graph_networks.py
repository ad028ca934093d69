"""UncertainGCN and CoreGCN against dense matrices, torch's gradients and k-centre written out."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import unit
from usl.active.shared.graph_network import DECAY, LAM, LR, GraphNetwork, Linked
from usl.core.errors import UsageError, UslWarning
from usl.numeric.stage_cache import NOTHING, KeepInMemory
from usl.numeric.table import as_table


def dense(x, k):
    """A = S D^-1 + I of the symmetric graph of k nearest neighbours, float64 [n, n]."""
    cosine = x.astype(np.float64) @ x.T.astype(np.float64)
    apart = ((x[:, None] - x[None]) ** 2).sum(-1) + 9 * np.eye(len(x))
    linked = np.zeros(cosine.shape, dtype=bool)
    linked[np.arange(len(x))[:, None], np.argsort(apart, axis=1, kind="stable")[:, :k]] = True
    s = np.where(linked | linked.T, np.maximum(cosine, 0), 0)
    columns = s.sum(axis=0)
    return s / np.where(columns > 0, columns, 1) + np.eye(len(x))


def linked_of(pool, k):
    return Linked.of(
        as_table(pool.features), 5, pool.labeled, pool.candidates, k=k, seed=0, keep=NOTHING
    )


def network_of(pool, steps, k=10):
    network = GraphNetwork(linked_of(pool, k), seed=3)
    network.train(steps=steps)
    return network


def forward(a, x, weights):
    """H and s of every row, in float64."""
    first, bias, second, shift = (one.astype(np.float64) for one in weights.arrays())
    hidden = np.maximum(a @ (x @ first) + bias, 0)
    return hidden, 1 / (1 + np.exp(-(a @ (hidden @ second) + shift)))


@pytest.mark.parametrize("k", [3, 10, 59])
def test_the_graph_is_the_dense_one_where_rows_are_linked(pool, k):
    found = linked_of(pool, k).graph.toarray()
    np.testing.assert_allclose(found, dense(pool.features, k), atol=1e-5)


def test_more_neighbors_than_there_are_or_than_fit_are_told(monkeypatch, pool):
    with pytest.warns(UslWarning, match="k = 80"):
        assert linked_of(pool, 80).graph.nnz == linked_of(pool, 59).graph.nnz
    monkeypatch.setattr("usl.active.shared.graph_network.MOST_LINKS", 600)
    with pytest.raises(UsageError, match=r"k: 11 given.*60 rows\. Use 10 at most"):
        linked_of(pool, 11)


def test_isolated_rows_zeros_and_duplicates_keep_a_graph():
    x = unit([[1, 0, 0], [1, 0.1, 0], [1, 0.1, 0], [1, 0.2, 0], [-1, -0.1, 0], [0, 0, 1]])
    x = np.concatenate([x, np.zeros((1, 3), np.float32)])
    none = np.empty(0, np.int64)
    linked = Linked.of(as_table(x), 1, none, np.arange(7), k=2, seed=0, keep=NOTHING)
    assert np.allclose(linked.graph.toarray()[4:], np.eye(7)[4:], atol=1e-5)
    assert np.allclose(linked.graph.toarray()[:, 4:], np.eye(7)[:, 4:], atol=1e-5)
    assert linked.graph[1, 2] > 0.3


def test_gradients_are_those_of_torch_on_the_dense_graph(pool):
    torch = pytest.importorskip("torch")
    network = network_of(pool, 0)
    a, x = torch.tensor(dense(pool.features, 10)), torch.tensor(pool.features).double()
    first, bias, second, shift = (
        torch.tensor(one, dtype=torch.float64, requires_grad=True)
        for one in network.weights.arrays()
    )
    drawn = np.random.default_rng([3, 7, 0]).random((60, 128), dtype=np.float32)
    stays = torch.tensor(drawn >= 0.3).double() / 0.7
    s = torch.sigmoid(a @ ((torch.relu(a @ x @ first + bias) * stays) @ second) + shift)
    others = np.setdiff1d(np.arange(60), pool.labeled)
    loss = -torch.log(s[pool.labeled]).mean() - 1.2 * torch.log(1 - s[others]).mean()
    loss.backward()
    value, found = network.step(7, 0.3, 1.2)
    assert value == pytest.approx(loss.item(), rel=1e-5)
    for own, one in zip(found, (first, bias, second, shift), strict=True):
        np.testing.assert_allclose(own, one.grad.numpy(), rtol=1e-3, atol=1e-5)


def test_training_tells_labeled_rows_from_others(pool):
    network = network_of(pool, 200)
    assert np.mean(network.losses[-20:]) < 0.8 * np.mean(network.losses[:20])
    others = np.setdiff1d(np.arange(60), pool.labeled)
    assert network.scores()[pool.labeled].mean() > network.scores()[others].mean() + 0.15
    assert (LR, DECAY, LAM) == (1e-3, 5e-4, 1.2)  # the authors' code


def asked(pool, budget, method, **given):
    known = {"labeled": pool.labeled, "classes": pool.classes, "predictions": pool.predictions}
    given = {**known, "candidates": pool.candidates, "steps": 50, "seed": 3, **given}
    return usl.query(pool.features, budget, method=method, **given)


def test_uncertain_gcn_asks_for_scores_near_its_margin(pool):
    _, s = forward(dense(pool.features, 10), pool.features, network_of(pool, 50).weights)
    found = asked(pool, 9, "uncertain_gcn")
    order = np.argsort(np.abs(s[pool.candidates] - 0.1), kind="stable")[:9]
    assert found.indices.tolist() == pool.candidates[order].tolist()
    np.testing.assert_allclose(found.figures["score"], s[found.indices], rtol=1e-4)
    wide = asked(pool, 1, "uncertain_gcn", margin=1.0)
    assert wide.indices[0] == pool.candidates[s[pool.candidates].argmax()]


def test_core_gcn_is_k_centre_in_the_hidden_layer(pool):
    hidden, _ = forward(dense(pool.features, 10), pool.features, network_of(pool, 50).weights)
    away = np.linalg.norm(hidden[:, None] - hidden[None], axis=-1)
    picks, anchors = [], list(pool.labeled)
    for _ in range(9):
        left = [row for row in pool.candidates if row not in picks]
        picks.append(max(left, key=lambda row: away[row, anchors].min()))
        anchors.append(picks[-1])
    assert asked(pool, 9, "core_gcn").indices.tolist() == picks


@pytest.mark.parametrize("method", ["uncertain_gcn", "core_gcn"])
def test_thread_counts_and_a_kept_search_change_nothing(monkeypatch, blobs, method):
    monkeypatch.setattr("usl.active.shared.graph_network.BLOCK", 128)
    features, truth = blobs
    labeled, keep = np.flatnonzero(truth < 5)[::60], KeepInMemory()
    given = {"labeled": labeled, "classes": truth[labeled], "method": method, "steps": 5}
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("usl.numeric.blocks.thread_count", lambda threads=threads: threads)
        found.append(usl.query(features, 8, keep=keep, **given).indices.tolist())
    assert found[0] == found[1] == found[2]
    assert keep.saved > 0
    assert found[0] == usl.query(features, 8, **given).indices.tolist()


@pytest.mark.parametrize("method", ["uncertain_gcn", "core_gcn"])
def test_a_large_table_is_looked_at_in_part(monkeypatch, pool, method):
    monkeypatch.setattr("usl.active.shared.graph_network.LINKED", 30)
    found = asked(pool, 15, method)
    assert found.parameters["linked"] == 30
    assert np.isin(found.indices, pool.candidates).all()
    assert len(asked(pool, len(pool.candidates), method).indices) == len(pool.candidates)


@pytest.mark.parametrize("method", ["uncertain_gcn", "core_gcn"])
def test_without_labels_the_batch_is_random(pool, method):
    none = np.empty(0, np.int64)
    found = asked(pool, 5, method, labeled=none, classes=none)
    assert "random" in found.reasons[0]
    assert (
        found.indices.tolist()
        != asked(pool, 5, method, labeled=none, classes=none, seed=4).indices.tolist()
    )
