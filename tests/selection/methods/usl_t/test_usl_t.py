from __future__ import annotations

import json

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import DataError, TrainingFailedError, UsageError, UslWarning
from usl.numeric.distances import nearest
from usl.numeric.table import as_table
from usl.selection.methods.usl_t.calibration import natural_scale
from usl.selection.methods.usl_t.presets import PRESETS
from usl.selection.methods.usl_t.step import Head, Training, normalized_entropy, restart_tail

QUICK = {"steps": 300, "k": 10}


def test_learns_the_groups_there_are(blobs):
    features, classes = blobs
    hits = []
    for seed in range(4):
        found = usl.select(features, 6, method="usl_t", seed=seed, **QUICK)
        hits.append(len(set(classes[found.indices].tolist())))
    assert min(hits) >= 5
    assert np.mean(hits) > 5.5


def test_picks_are_the_most_confident_of_their_clusters(blobs):
    features, _ = blobs
    found = usl.select(features, 12, method="usl_t", **QUICK)
    assert len(set(found.columns["cluster"].tolist())) == 12
    np.testing.assert_array_equal(found.columns["confidence"], found.columns["utility"])
    assert ((found.columns["confidence"] > 1 / 12) & (found.columns["confidence"] <= 1)).all()


def test_picked_by_density_when_asked(blobs):
    features, _ = blobs
    found = usl.select(features, 8, method="usl_t", pick_by="density", **QUICK)
    np.testing.assert_array_equal(found.columns["density"], found.columns["utility"])
    for rank in range(8):
        members = found.stands_for(rank)
        near = nearest(features[members], features, 11)[1][:, 1:].mean(axis=1)
        assert found.columns["density"][rank] == pytest.approx((1 / near).max(), rel=1e-4)


def test_the_record_of_the_training(blobs, tmp_path):
    features, _ = blobs
    found = usl.select(features, 6, method="usl_t", heads=2, **QUICK)
    assert [(row["head"], row["step"]) for row in found.history] == [
        (head, step) for head in (0, 1) for step in (100, 200, 300)
    ]
    last = found.history[-1]
    assert last["entropy"] > 0.9
    assert last["agreement"] > 0.6
    assert 0 <= last["above_tau"] <= 1
    found.save(tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == found.history


def test_presets_are_table_9(blobs, monkeypatch):
    features, _ = blobs
    small = usl.select(features, 6, method="usl_t", **QUICK).parameters
    expected = {"tau": 0.0, "alpha": 5.0, "t": 0.25, "lam": 5.0, "momentum": 0.5, "heads": 1}
    assert {name: small[name] for name in expected} == expected
    assert small["pick_by"] == "confidence"
    assert PRESETS["paper"][0].k == 20
    monkeypatch.setattr("usl.selection.methods.usl_t.SMALL", 500)
    large = usl.select(features, 40, method="usl_t", steps=300).parameters
    expected = {"tau": 0.0, "alpha": 2.5, "t": 0.5, "lam": 0.5, "momentum": 0.5, "k": 20}
    assert {name: large[name] for name in expected} == expected
    assert (large["pick_by"], large["propagate"], large["spare"]) == ("density", 20, 0.03)


@pytest.mark.parametrize("small", [100_000, 100])
@pytest.mark.filterwarnings("ignore:usl_t. .* clusters are empty")
def test_the_released_preset_runs(blobs, monkeypatch, small):
    monkeypatch.setattr("usl.selection.methods.usl_t.SMALL", small)
    features, _ = blobs
    found = usl.select(features, 6, method="usl_t", preset="released", steps=100)
    assert found.parameters["heads"] == 3
    assert len(np.unique(found.indices)) == 6


def test_labels_are_passed_on_to_the_densest_of_each_cluster(blobs):
    features, _ = blobs
    found = usl.select(features, 9, method="usl_t", propagate=20, **QUICK)
    assert found.propagated is not None
    distance = nearest(features, features, 10, exclude_self=True)[1].mean(axis=1)
    for rank in range(9):
        receive = np.flatnonzero(found.propagated == rank)
        members = found.stands_for(rank)
        assert np.isin(receive, members).all()
        assert len(receive) in (19, 20) or len(members) <= 20
        others = np.setdiff1d(members, [*receive, found.indices[rank]])
        if len(others):
            assert distance[receive].max() <= distance[others].min() * (1 + 1e-5)
    assert (found.propagated[found.indices] == -1).all()
    lists = found.table()["propagated_to"].to_pylist()
    assert sorted(lists[3]) == np.flatnonzero(found.propagated == 3).tolist()
    assert usl.select(features, 9, method="usl_t", **QUICK).propagated is None


def test_the_released_run_restarts_as_its_configuration_says():
    """ImageNet_usl-t_pretrain.yaml: below 100 and above 1,000 of 1.28 M in 3,000, after 1,250."""
    training = PRESETS["released"][1].training
    sizes = np.array([training.tail, training.head]) * 1_281_167 / 3000
    np.testing.assert_allclose(sizes, [100, 1000])
    assert training.restart_from == 1250 + 1


def test_the_smallest_cluster_is_restarted_beside_the_largest():
    rng = np.random.default_rng(0)
    weight = unit(rng.normal(size=(4, 6)))
    head = Head(
        weight.copy(),
        scale=10.0,
        normalized=True,
        bias=np.zeros(4, np.float32),
        mean=np.array([0.55, 0.3, 0.149, 0.001]),
        sizes=np.array([0.55, 0.3, 0.149, 0.001]),
    )
    restart_tail(head, Training(tail=0.02, noise=0.1), rng, step=50)
    np.testing.assert_array_equal(head.weight, weight)  # too early for sizes to mean anything
    restart_tail(head, Training(tail=0.02, noise=0.1), rng, step=200)
    np.testing.assert_array_equal(head.weight[1:3], weight[1:3])
    np.testing.assert_allclose((head.weight[0] + head.weight[3]) / 2, weight[0], atol=1e-6)
    assert np.linalg.norm(head.weight[3] - weight[0]) == pytest.approx(0.1, rel=1e-4)
    np.testing.assert_allclose(head.sizes[[0, 3]], 0.275)
    restart_tail(head, Training(tail=0.02, noise=0.1), rng, step=201)  # nothing is small now
    np.testing.assert_allclose(head.sizes[[0, 3]], 0.275)


def test_clusters_that_start_on_the_same_point_all_find_items():
    # 590 copies of one item: nearly every start falls on it
    features = unit(np.concatenate([np.tile(np.eye(8)[:1], (590, 1)), np.eye(8)[1:]]))
    features = unit(features + np.random.default_rng(0).normal(scale=0.02, size=features.shape))
    found = usl.select(features, 8, method="usl_t", preset="threshold", k=3, steps=600)
    assert len(set(found.columns["cluster"].tolist())) == 8


def test_the_scale_gives_k_means_clusters_a_confidence_of_45_per_cent():
    rng = np.random.default_rng(0)
    features = unit(rng.normal(size=(4000, 24)) + 2 * np.eye(24)[rng.integers(8, size=4000)])
    few = natural_scale(as_table(features), 5, np.random.default_rng(0))
    many = natural_scale(as_table(features), 60, np.random.default_rng(0))
    assert 2 < few < many < 60


def test_neighbours_given_are_those_used(blobs):
    features, _ = blobs
    table = nearest(features, features, 15, exclude_self=True)[0]
    given = usl.select(features, 6, method="usl_t", neighbors=table, **QUICK)
    found = usl.select(features, 6, method="usl_t", **QUICK)
    np.testing.assert_array_equal(given.indices, found.indices)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:-1], "row numbers .600, k. are needed"),
        (lambda t: t.astype(float), "row numbers"),
        (lambda t: t[:, :4], "4 columns given, but k is 10"),
        (lambda t: t + 1, "between 0 and 599"),
        (lambda t: np.random.default_rng(0).permutation(t), "computed on other features"),
    ],
)
def test_neighbours_that_do_not_belong(blobs, change, message):
    features, _ = blobs
    table = nearest(features, features, 10, exclude_self=True)[0]
    table[0, 0] = 599
    with pytest.raises(DataError, match=message):
        usl.select(features, 6, method="usl_t", neighbors=change(table), **QUICK)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tau": 1.5}, "tau: 1.5"),
        ({"t": 0.0}, "t: 0.0 given; it must be above 0"),
        ({"lam": -1.0}, "lam: -1.0"),
        ({"momentum": 2.0}, "momentum"),
        ({"scale": float("inf")}, "scale"),
        ({"steps": 0}, "steps: 0"),
        ({"pick_by": "size"}, "pick_by: 'size'"),
        ({"preset": "mine"}, "preset: 'mine' is unknown"),
    ],
)
def test_bad_parameters(blobs, params, message):
    with pytest.raises(UsageError, match=message):
        usl.select(blobs[0], 6, method="usl_t", **{**QUICK, **params})


def test_more_neighbours_than_items_are_clamped(cloud):
    with pytest.warns(UslWarning, match="k = 400 neighbours, but there are only 300 items"):
        found = usl.select(cloud, 3, method="usl_t", k=400, steps=100)
    assert found.parameters["k"] == 299


def test_a_collapse_stops_with_advice_and_the_record(blobs):
    features, _ = blobs
    # A plain linear head without the logit adjustment: one cluster takes all (paper 2.3).
    params = {"preset": "released", "alpha": 0.0, "tau": 1.0, "lr": 0.05, "k": 200}
    with pytest.raises(TrainingFailedError, match=r"has collapsed at step .*Raise alpha") as stop:
        usl.select(features, 12, method="usl_t", steps=400, **params)
    assert stop.value.history[-1]["entropy"] < 0.5


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_stops(blobs):
    message = r"not finite at step .*Lower lr or scale"
    with np.errstate(all="ignore"), pytest.raises(TrainingFailedError, match=message):
        usl.select(blobs[0], 6, method="usl_t", scale=1e38, lr=1e30, **QUICK)


def test_a_failed_training_leaves_its_record_and_no_run(blobs, tmp_path, monkeypatch):
    np.savez(tmp_path / "features.npz", features=blobs[0])

    def fail(*_, **__):
        raise TrainingFailedError("usl_t: collapsed.", [{"step": 100, "entropy": 0.1}])

    monkeypatch.setattr("usl.selection.methods.usl_t.heads.train_heads", fail)
    with pytest.raises(TrainingFailedError, match=r"run\.failed\.jsonl"):
        usl.start_run(tmp_path / "features.npz", 6, tmp_path / "run", method="usl_t", k=10)
    assert not (tmp_path / "run").exists()
    assert json.loads((tmp_path / "run.failed.jsonl").read_text())["entropy"] == 0.1


def test_normalized_entropy():
    assert normalized_entropy(np.full(8, 1 / 8)) == pytest.approx(1)
    assert normalized_entropy(np.array([1.0, 0, 0])) == 0


def test_the_local_loss_can_be_off_early(blobs):
    features, _ = blobs
    asked = {"method": "usl_t", "seed": 1, "steps": 400, "tau": 0.0}
    both = usl.select(features, 12, **asked).history
    early = usl.select(features, 12, local=0.5, **asked).history
    assert [row for row in early if row["step"] <= 200] == [
        row for row in both if row["step"] <= 200
    ]
    assert early[-1] != both[-1]
    never = usl.select(features, 12, local=0.0, **asked)
    without = usl.select(features, 12, lam=0.0, **asked)
    np.testing.assert_array_equal(never.indices, without.indices)


def test_in_the_paper_preset_both_losses_act(blobs):
    """With ``threshold`` hardly an item is sure enough for the global loss; here all count."""
    features, _ = blobs
    asked = {"method": "usl_t", "seed": 1, "steps": 600}
    paper = usl.select(features, 12, **asked)
    assert paper.parameters["preset"] == "paper"
    assert paper.parameters["tau"] == 0
    assert all(row["above_tau"] == 1 for row in paper.history)
    threshold = usl.select(features, 12, preset="threshold", **asked)
    assert threshold.parameters["tau"] == 0.95
    assert paper.history[-1]["confidence"] > threshold.history[-1]["confidence"]
    assert all(row["above_tau"] < 0.05 for row in threshold.history)
