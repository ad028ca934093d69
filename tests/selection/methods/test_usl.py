"""USL against Algorithm 1 written out densely in float64."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import DataError, UsageError, UslWarning
from usl.selection.methods.usl import PRESETS, pick

select = partial(usl.select, method="usl")


def algorithm_1(features, clusters, k, lam, alpha, momentum, iterations, horizon=None):
    """Eq. 1-7 and Algorithm 1 of the paper, as they stand; one pick per cluster."""
    x = features.astype(np.float64)
    n = len(x)
    d = np.sqrt(np.maximum(((x[:, None] - x[None]) ** 2).sum(-1), 0))
    np.fill_diagonal(d, np.inf)
    utility = 1 / np.sort(d, axis=1)[:, :k].mean(axis=1)
    ids = np.unique(clusters)

    def best(score):
        return [int(np.flatnonzero(clusters == c)[score[clusters == c].argmax()]) for c in ids]

    picks, average = best(utility), np.zeros(n)
    for _ in range(iterations):
        reg = np.zeros(n)
        for i in range(n):
            others = [d[i, p] for p in picks if clusters[p] != clusters[i]]
            reg[i] = sum(1 / o**alpha for o in sorted(others)[:horizon])
        average = momentum * average + (1 - momentum) * reg
        picks = best(utility - lam * average)
    return sorted(picks), utility, average


@pytest.mark.parametrize(
    ("lam", "alpha", "momentum", "iterations", "horizon"),
    [
        (0.0, 0.5, 0.9, 3, None),
        (0.5, 0.5, 0.9, 10, None),
        (1.0, 1.0, 0.9, 10, None),
        (1.5, 0.5, 0.0, 1, 4),
        (3.0, 2.0, 0.5, 4, 6),
    ],
)
def test_picks_are_those_of_the_dense_definition(cloud, lam, alpha, momentum, iterations, horizon):
    clusters = np.random.default_rng(0).integers(12, size=len(cloud))
    expected, utility, average = algorithm_1(
        cloud, clusters, 15, lam, alpha, momentum, iterations, horizon
    )
    found = select(
        cloud,
        12,
        clusters=clusters,
        k=15,
        lam=lam,
        alpha=alpha,
        momentum=momentum,
        iterations=iterations,
        horizon=horizon,
    )
    assert sorted(found.indices.tolist()) == expected
    np.testing.assert_allclose(found.columns["density"], utility[found.indices], rtol=1e-4)
    np.testing.assert_allclose(found.columns["regularizer"], average[found.indices], rtol=1e-4)
    np.testing.assert_allclose(
        found.columns["utility"], (utility - lam * average)[found.indices], rtol=1e-3, atol=1e-4
    )


def released_code(features, clusters, k, lam, alpha, momentum, passes, cut, own):
    """The released code's arithmetic: squared distances, self counted, cut-off to 1e10."""
    x = features.astype(np.float64)
    d2 = np.maximum(((x[:, None] - x[None]) ** 2).sum(-1), 0)
    np.fill_diagonal(d2, 0)
    utility = 1 / (np.sort(d2, axis=1)[:, :k].sum(axis=1) / k)
    ids = np.unique(clusters)

    def best(score):
        return [int(np.flatnonzero(clusters == c)[score[clusters == c].argmax()]) for c in ids]

    picks, average = best(utility), np.zeros(len(x))
    for _ in range(passes - 1):
        reg = np.zeros(len(x))
        for i in range(len(x)):
            for p in picks:
                if (own and d2[i, p] == 0) or (not own and clusters[p] == clusters[i]):
                    continue
                value = d2[i, p] if cut is None or d2[i, p] < cut else 1e10
                reg[i] += 1 / value**alpha
        average = momentum * average + (1 - momentum) * reg
        picks = best(utility - lam * average)
    return sorted(picks)


def test_released_preset_is_the_released_arithmetic(cloud):
    clusters = np.random.default_rng(1).integers(10, size=len(cloud))
    expected = released_code(cloud, clusters, 30, 0.5, 0.5, 0.9, 10, 4.0, own=False)
    found = select(cloud, 10, clusters=clusters, preset="released", k=30)
    assert sorted(found.indices.tolist()) == expected


def test_released_preset_above_100_labels_cuts_at_distance_one(cloud):
    clusters = np.arange(len(cloud)) % 120
    expected = released_code(cloud, clusters, 30, 1.0, 1.0, 0.9, 10, 1.0, own=False)
    found = select(cloud, 120, clusters=clusters, preset="released", k=30)
    assert sorted(found.indices.tolist()) == expected


def test_released_preset_at_large_scale_is_repelled_by_its_own_pick(cloud, monkeypatch):
    monkeypatch.setattr("usl.selection.methods.usl.SMALL", 100)
    clusters = np.arange(len(cloud)) % 15
    expected = released_code(cloud, clusters, 20, 1.5, 0.5, 0.0, 2, None, own=True)
    found = select(cloud, 15, clusters=clusters, preset="released")
    assert found.parameters["horizon"] == 128
    assert sorted(found.indices.tolist()) == expected


def test_released_preset_with_a_horizon_gives_the_picks_of_the_release(monkeypatch):
    """ImageNet-MoCo's configuration, more picks than the horizon; made by the authors' code."""
    monkeypatch.setattr("usl.selection.methods.usl.SMALL", 100)
    with np.load(Path(__file__).parent / "released_horizon.npz") as made:
        features, clusters, picks = made["features"], made["clusters"], made["picks"]
    found = select(features, len(picks), clusters=clusters.astype(int), preset="released")
    assert found.parameters["horizon"] == 128 < len(picks) == 250
    assert sorted(found.indices.tolist()) == sorted(picks.tolist())


@pytest.mark.parametrize("lam", [0.05, 0.5])
def test_the_clip_run_of_the_release_chooses_the_horizon_before_it_excludes(lam):
    """250 picks made by the authors' code: 32 nearest, of which the own cluster's drops out."""
    here = Path(__file__).parent
    with np.load(here / "released_horizon.npz") as made, np.load(here / "released_clip.npz") as own:
        features, clusters, picks = made["features"], made["clusters"], own[f"picks_{lam}"]
    asked = {"clusters": clusters.astype(int), "preset": "released-clip", "lam": lam}
    found = select(features, len(picks), **asked)
    assert found.parameters["horizon"] == 32
    assert sorted(found.indices.tolist()) == sorted(picks.tolist())


@pytest.mark.parametrize("preset", ["released", "released-moco", "released-clip"])
def test_the_partition_of_the_release_starts_from_torchs_permutation(cloud, preset):
    """KMeans in nn_utils.py: torch.manual_seed(seed), torch.randperm(N)[:K], Lloyd's algorithm."""
    torch = pytest.importorskip("torch")
    rows = cloud.astype(np.float64)
    for seed in (1, 2):
        torch.manual_seed(seed)
        centroids = rows[torch.randperm(len(rows))[:12].numpy()]
        for _ in range(200):
            labels = ((rows[:, None] - centroids) ** 2).sum(-1).argmin(1)
            centroids = np.array([rows[labels == c].mean(0) for c in range(12)])
        given = {"labeled": np.empty(0, int), "candidates": np.arange(len(cloud)), "k": 20}
        found = pick(cloud, 12, preset=preset, seed=seed, **given)
        np.testing.assert_array_equal(found.clusters, labels)


def test_the_imagenet_runs_of_the_release_are_their_own_presets():
    """ImageNet_usl_moco_0.2.yaml and ImageNet_usl_clip_0.2.yaml, at any size."""
    with np.load(Path(__file__).parent / "released_horizon.npz") as made:
        features, clusters, picks = made["features"], made["clusters"], made["picks"]
    found = select(features, 250, clusters=clusters.astype(int), preset="released-moco")
    assert sorted(found.indices.tolist()) == sorted(picks.tolist())
    for preset, numbers in (
        ("released-moco", (20, 1.5, 0.5, 0.0, 1, 128)),
        ("released-clip", (20, 0.05, 1.0, 0.0, 1, 32)),
    ):
        names = ("k", "lam", "alpha", "momentum", "iterations", "horizon")
        for row in PRESETS[preset]:
            assert tuple(getattr(row, name) for name in names) == numbers
            assert row.squared
            assert row.count_self
            assert row.kmeans_iterations == 100


def test_published_intermediate_files_give_the_published_list(tmp_path):
    """memory_feats_list.npy, cluster_labels_N_SEED.npy and selected_indices_N_SEED.npy, in small.

    The release keeps float64 features and torch's int64 partition (save_npy in nn_utils.py).
    """
    with np.load(Path(__file__).parent / "released_horizon.npz") as made:
        np.save(tmp_path / "memory_feats_list.npy", made["features"].astype(np.float64))
        np.save(tmp_path / "cluster_labels_250_0.npy", made["clusters"].astype(np.int64))
        np.save(tmp_path / "selected_indices_250_0.npy", made["picks"].astype(np.int64))
    published = np.load(tmp_path / "selected_indices_250_0.npy")
    found = usl.select(
        tmp_path / "memory_feats_list.npy",
        len(published),
        method="usl",
        preset="released-moco",
        clusters=np.load(tmp_path / "cluster_labels_250_0.npy"),
    )
    np.testing.assert_array_equal(np.sort(found.indices), np.sort(published))


@pytest.mark.parametrize("preset", ["paper", "released"])
@pytest.mark.parametrize("density_by", ["kth", "cosine"])
def test_density_by_the_kth_neighbour_and_by_cosine(cloud, density_by, preset):
    """Eq. 2 without its power, and section 6.6, from all distances written out."""
    points = cloud.astype(np.float64)
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    order = np.sort(distance, axis=1)[:, 0 if preset == "released" else 1 :][:, :20]
    if density_by == "kth":
        expected = 1 / order[:, -1] ** (2 if preset == "released" else 1)
    else:
        expected = (1 - order**2 / 2).mean(axis=1)
    clusters = np.arange(len(cloud)) % 8
    asked = {"clusters": clusters, "k": 20, "preset": preset, "density_by": density_by}
    found = select(cloud, 8, lam=0.0, **asked)
    best = [np.flatnonzero(clusters == c)[expected[clusters == c].argmax()] for c in range(8)]
    assert sorted(found.indices.tolist()) == sorted(best)
    np.testing.assert_allclose(found.columns["density"], expected[found.indices], rtol=1e-5)
    assert found.parameters["density_by"] == density_by


def test_presets_follow_table_14(blobs, monkeypatch):
    features, _ = blobs

    def resolved(budget, **params):
        found = select(features, budget, **params).parameters
        return {name: found[name] for name in ("k", "lam", "alpha", "momentum", "iterations")}

    small = {"k": 400, "lam": 0.5, "alpha": 0.5, "momentum": 0.9, "iterations": 10}
    assert resolved(100) == small
    assert resolved(101) == {**small, "lam": 1.0, "alpha": 1.0}
    assert resolved(40, lam=2.0) == {**small, "lam": 2.0}
    monkeypatch.setattr("usl.selection.methods.usl.SMALL", 500)
    assert resolved(40) == {"k": 20, "lam": 1.5, "alpha": 0.5, "momentum": 0.0, "iterations": 1}
    assert PRESETS["paper"][2].horizon == 64


def test_the_exchange_pushes_picks_apart(blobs):
    features, _ = blobs

    def closest(lam):
        picks = features[select(features, 30, k=20, lam=lam, seed=1).indices]
        d = ((picks[:, None] - picks[None]) ** 2).sum(-1)
        return np.sort(d[np.triu_indices(30, 1)])[:15].mean()

    assert closest(2.0) > 1.1 * closest(0.0)


def test_more_neighbours_than_items_are_clamped_with_a_warning(cloud):
    with pytest.warns(UslWarning, match="k = 400 neighbours, but there are only 300 items"):
        found = select(cloud, 5)
    assert found.parameters["k"] == 299


def test_a_partition_with_more_clusters_serves_the_largest(blobs):
    features, classes = blobs
    rows = np.concatenate([np.flatnonzero(classes == c)[: 20 * (c + 1)] for c in range(5)])
    found = select(features[rows], 2, k=10, clusters=classes[rows])
    assert set(classes[rows][found.indices].tolist()) == {3, 4}


def test_a_partition_with_fewer_clusters_is_served_in_rounds(blobs):
    features, classes = blobs
    found = select(features, 15, k=20, clusters=classes)
    assert sorted(np.bincount(classes[found.indices])) == [2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"k": 0}, UsageError, "k: 0 given"),
        ({"lam": -1.0}, UsageError, "lam: -1.0 given"),
        ({"lam": float("nan")}, UsageError, "lam: nan given"),
        ({"momentum": 1.0}, UsageError, "momentum: 1.0 given"),
        ({"preset": "papers"}, UsageError, "preset: 'papers' is unknown"),
        ({"clusters": [0, 1]}, DataError, "one number per item"),
        ({"clusters": np.zeros(300)}, DataError, "must be integers"),
    ],
)
def test_bad_parameters(cloud, params, error, message):
    with pytest.raises(error, match=message):
        select(cloud, 5, **{"k": 20, **params})


def test_more_clusters_than_picks_serves_the_largest(cloud):
    picks = select(cloud, 8, n_clusters=12, k=10)
    sizes = np.sort(np.bincount(np.asarray(picks.columns["cluster"]), minlength=12) > 0)
    assert sizes.sum() == 8
    assert min(picks.columns["cluster_size"]) >= 300 // 12 // 3


@pytest.mark.parametrize("n_clusters", [7, 301])
def test_clusters_fewer_than_labels_or_more_than_items_are_refused(cloud, n_clusters):
    with pytest.raises(UsageError, match="n_clusters"):
        select(cloud, 8, n_clusters=n_clusters, k=10)


def test_inverted_lists_give_the_picks_of_the_exact_search(monkeypatch):
    import usl.numeric.neighbor_search as search

    rng = np.random.default_rng(6)
    centres = rng.normal(size=(60, 10))
    x = unit(centres[rng.integers(60, size=4000)] + rng.normal(scale=0.3, size=(4000, 10)))
    exact = select(x, 60, k=10, exact=True)
    monkeypatch.setattr(search, "EXACT_ROWS", 1000)
    found = select(x, 60, k=10)
    assert found.parameters["recall"] > 0.95
    assert "recall" not in exact.parameters
    assert len(set(found.indices) & set(exact.indices)) >= 57
