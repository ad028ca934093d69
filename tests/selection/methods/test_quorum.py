"""Quorum against its definition written out, and what each part of it is there for."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import TrainingFailedError, UsageError
from usl.numeric import neighbor_search
from usl.numeric.stage_cache import KeepInMemory
from usl.selection.methods import quorum, usl_t


def cloud(n, width=8, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(n, width)) + 1.0).astype(np.float32)


def consensus_and_density(features, clusters, k, wide):
    """Both figures of every item, in loops."""
    agree, dense = [], []
    for i, row in enumerate(features):
        order = [j for j in np.argsort(-(features @ row), kind="stable") if j != i]
        agree.append(np.mean(clusters[order[:k]] == clusters[i]))
        dense.append(np.mean(features[order[:wide]] @ row))
    return np.array(agree), np.array(dense)


@pytest.mark.parametrize("k", [5, 12])
def test_a_pick_has_the_largest_consensus_times_density_of_its_cluster(k):
    features = cloud(200)
    found = quorum.pick(
        features,
        10,
        labeled=np.empty(0, np.int64),
        candidates=np.arange(200),
        k=k,
        partitions=6,
        learned=0,
    )
    assert found.parameters["chosen"] == "k-means"
    agree, dense = consensus_and_density(features, found.clusters, k, 10)  # 0.5 * 200 / 10
    np.testing.assert_allclose(found.confidence, agree)
    np.testing.assert_allclose(found.density, dense, atol=1e-5)
    for row, utility in zip(found.indices, found.utility, strict=True):
        members = np.flatnonzero(found.clusters == found.clusters[row])
        assert utility == pytest.approx((agree * dense)[row], abs=1e-5)
        assert utility == pytest.approx((agree * dense)[members].max(), abs=1e-5)
    assert len(set(found.clusters[found.indices].tolist())) == 10


def test_rare_kinds_get_picks_by_their_room():
    # One large group, and eight small ones as wide as it: their neighbours are farther away.
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(9), [900, *[25] * 8])
    features = unit(np.eye(24)[group] + rng.normal(scale=0.15, size=(1100, 24)))

    def found(room):
        given = {"method": "quorum", "room": room, "partitions": 1, "learned": 0}
        picks = [usl.select(features, 9, seed=seed, **given).indices for seed in range(8)]
        return np.mean([len(np.unique(group[rows])) for rows in picks])

    assert found(2.0) > found(0.0) + 0.4


def test_of_many_items_a_sample_is_looked_at():
    features = cloud(3000)
    chosen = usl.select(features, 6, method="quorum", sample=500, partitions=3, learned=0)
    assert chosen.parameters["sample"] == 500
    assert np.isfinite(chosen.columns["density"]).all()
    assert chosen.columns["cluster_size"].sum() > 0.9 * 3000  # every item has a cluster
    more = usl.select(features, 60, method="quorum", sample=500, partitions=3, learned=0)
    assert more.parameters["sample"] == 1200  # 20 per cluster


def test_many_clusters_take_fewer_partitions(monkeypatch):
    monkeypatch.setattr(quorum, "WORK", 300 * 10 * 4)
    features = cloud(300)
    few = usl.select(features, 10, method="quorum").parameters
    assert (few["partitions"], few["learned"]) == (4, 1)
    many = usl.select(features, 300, method="quorum").parameters
    assert (many["partitions"], many["learned"]) == (1, 0)


def test_labeled_clusters_come_last(blobs):
    features, classes = blobs
    labeled = np.flatnonzero(classes < 3)[::10]
    count = len(np.unique(classes)) - 3
    chosen = usl.select(features, count, method="quorum", labeled=labeled)
    assert set(classes[chosen.indices].tolist()) == set(range(3, count + 3))


@pytest.mark.parametrize("name", ["partitions", "k", "reach", "sample", "iterations"])
def test_parameters_must_be_positive(name):
    with pytest.raises(UsageError, match=f"{name}: 0 given; it must be above 0"):
        usl.select(cloud(30), 3, method="quorum", **{name: 0})


def test_room_is_not_negative():
    with pytest.raises(UsageError, match="room: -1 given; it must be at least 0"):
        usl.select(cloud(30), 3, method="quorum", room=-1)


def test_ways_to_pick_are_named():
    with pytest.raises(UsageError, match="pick_by: 'luck' is unknown; use one of both, "):
        usl.select(cloud(30), 3, method="quorum", pick_by="luck")


def test_picks_by_the_center_are_those_of_k_means():
    features = cloud(300)
    given = {"labeled": np.empty(0, np.int64), "candidates": np.arange(300), "pick_by": "center"}
    found = quorum.pick(features, 8, partitions=1, learned=0, **given)
    for row in found.indices:
        members = np.flatnonzero(found.clusters == found.clusters[row])
        mean = features[members].mean(axis=0)
        assert row == members[np.argmax(features[members] @ mean)]


def test_the_most_telling_partition_is_chosen(monkeypatch):
    features, taken, asked = cloud(200), [], []
    monkeypatch.setattr(quorum, "fill_up", lambda picks, *_: taken.append(picks.tolist()) or picks)
    own = quorum._most_telling

    def most_telling(options, *rest):
        asked.append([option.picks.tolist() for option in options])
        return own(options, *rest)

    monkeypatch.setattr(quorum, "_most_telling", most_telling)
    for best in range(4):
        told = iter([1.0 if turn == best else 0.5 for turn in range(4)])
        monkeypatch.setattr(quorum, "information", lambda *_, told=told: next(told))
        usl.select(features, 8, method="quorum", partitions=4, learned=0)
        assert taken[-1] == asked[-1][best]
    assert len({tuple(picks) for picks in taken}) > 1


@pytest.fixture
def learned_tells_most(monkeypatch):
    """The set of picks that is asked about last, which is the learned one, has the most to tell."""
    told = iter(range(1000))
    monkeypatch.setattr(quorum, "information", lambda *_: next(told))


def test_the_learned_picks_are_those_of_usl_t(learned_tells_most):
    features = cloud(300)
    found = usl.select(features, 8, method="quorum", seed=3)
    alone = usl.select(features, 8, method="usl_t", seed=3, preset="threshold", steps=500)
    assert found.parameters["chosen"] == "usl_t"
    assert set(found.indices) == set(alone.indices)
    ours, theirs = (np.argsort(one.indices) for one in (found, alone))
    for column in ("utility", "cluster_size"):
        np.testing.assert_array_equal(found.columns[column][ours], alone.columns[column][theirs])
    confidence = found.columns["confidence"]  # the share of neighbours, as of any other partition
    np.testing.assert_allclose(confidence * 20, np.round(confidence * 20))


def test_neighbors_and_densities_come_from_one_search(monkeypatch):
    asked = []
    own = neighbor_search.search_itself
    monkeypatch.setattr(
        neighbor_search, "search_itself", lambda *a, **how: asked.append(a[1]) or own(*a, **how)
    )
    usl.select(cloud(400), 8, method="quorum", partitions=2, learned=0)
    assert asked == [25]  # half of 400 / 8, of which the first 20 are the neighbours


def test_several_trainings_are_several_sets_of_picks(monkeypatch):
    asked = []
    own = quorum._most_telling
    monkeypatch.setattr(
        quorum, "_most_telling", lambda options, *rest: asked.append(options) or own(options, *rest)
    )
    usl.select(cloud(300), 8, method="quorum", partitions=2, learned=2)
    assert [option.source for option in asked[0]] == ["k-means", "k-means", "usl_t", "usl_t"]
    assert set(asked[0][2].picks) != set(asked[0][3].picks)


def test_clusters_that_collapse_leave_those_of_k_means(monkeypatch):
    def collapse(*_, **__):
        raise TrainingFailedError("usl_t: head 0 has collapsed", [])

    features = cloud(300)
    without = usl.select(features, 8, method="quorum", learned=0)
    monkeypatch.setattr("usl.selection.methods.usl_t.heads.train_heads", collapse)
    found = usl.select(features, 8, method="quorum")
    np.testing.assert_array_equal(found.indices, without.indices)


def test_what_usl_t_has_learned_is_not_learned_again(monkeypatch):
    features, keep = cloud(300), KeepInMemory()
    given = {"labeled": np.empty(0, np.int64), "candidates": np.arange(300), "seed": 5}
    shorter = {"preset": "threshold", "steps": quorum.LEARNING[0].steps}
    alone = usl_t.pick(features, 8, keep=keep, **shorter, **given)
    again = usl_t.pick(features, 8, **shorter, **given)
    assert alone.history == again.history
    monkeypatch.setattr("usl.selection.methods.usl_t.heads.train_heads", None)
    quorum.pick(features, 8, keep=keep, **given)
    assert keep.saved > 0
    kept = usl_t.pick(features, 8, keep=keep, **shorter, **given)
    np.testing.assert_array_equal(kept.indices, alone.indices)
    assert kept.history == alone.history
    with pytest.raises(TypeError):  # of a sample other things are learned
        quorum.pick(features, 8, keep=keep, sample=200, **given)
