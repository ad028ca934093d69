from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import usl.numeric.kmeans_large as module
from support import unit
from usl.numeric.inverted_lists import Lists, near_lists
from usl.numeric.kmeans import kmeans
from usl.numeric.kmeans_large import assign, candidate_kmeans, first_assignment


@pytest.fixture(scope="module")
def many():
    """6,000 points around 200 directions of 12 dimensions."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(200, 12))
    return unit(centres[rng.integers(200, size=6000)] + rng.normal(scale=0.35, size=(6000, 12)))


def rng(seed=0):
    return np.random.default_rng(seed)


def test_ends_within_a_hundredth_of_the_exact_inertia(many, monkeypatch):
    monkeypatch.setattr(module, "NEAR", 16)
    monkeypatch.setattr(module, "LAST_NEAR", 48)
    exact = kmeans(many, 250, rng=rng(), iterations=100, exact=True)
    found = kmeans(many, 250, rng=rng(), iterations=100, exact=False)
    assert found.inertia <= 1.01 * exact.inertia
    assert found.clusters.dtype == np.int32
    assert len(np.unique(found.clusters)) == 250


def test_with_all_centroids_as_candidates_it_is_lloyd(many, monkeypatch):
    monkeypatch.setattr(module, "NEAR", 40)
    monkeypatch.setattr(module, "LAST_NEAR", 40)
    monkeypatch.setattr(module, "FIRST_SHARE", 1.0)
    monkeypatch.setattr(module, "SETTLED", -1.0)
    x = many[:800]
    for weights in (None, rng(3).uniform(0.1, 5, size=800)):
        found = kmeans(x, 40, rng=rng(2), iterations=60, exact=False, weights=weights)
        exact = kmeans(x, 40, rng=rng(2), iterations=62, exact=True, weights=weights)
        np.testing.assert_array_equal(found.clusters, exact.clusters)
        assert found.inertia == pytest.approx(exact.inertia, rel=1e-4)


def test_the_first_assignment_is_mostly_the_nearest(many):
    centroids = many[rng(1).permutation(6000)[:300]]
    squared = ((many[:, None] - centroids[None]) ** 2).sum(-1)
    found = first_assignment(many, centroids)
    assert (found == squared.argmin(axis=1)).mean() > 0.8
    # where it is not, it is not much farther: the next assignments go on from there
    reached = squared[np.arange(6000), found]
    assert reached.mean() < 1.2 * squared.min(axis=1).mean()


def test_assignment_among_all_is_the_nearest_with_its_distance(many):
    centroids = many[rng(1).permutation(6000)[:30]]
    squared = ((many[:, None].astype(np.float64) - centroids[None]) ** 2).sum(-1)
    lists = Lists.of(rng(2).integers(30, size=6000), 30)
    clusters, farness = assign(many, lists, centroids, near_lists(centroids, 30))
    np.testing.assert_array_equal(clusters, squared.argmin(axis=1))
    np.testing.assert_allclose(farness, squared.min(axis=1), atol=1e-5)


def test_no_cluster_is_left_empty_while_rows_differ():
    x = unit(np.concatenate([np.tile(np.eye(6)[:1], (900, 1)), rng().normal(size=(60, 6))]))
    found = candidate_kmeans(x, np.tile(x[:1], (40, 1)), iterations=30)
    assert len(np.unique(found.clusters)) == 40


def test_progress_is_told_to_the_end(many):
    seen = []
    kmeans(many, 50, rng=rng(), iterations=4, exact=False, progress=lambda *told: seen.append(told))
    done = [told[0] for told in seen]
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1]


def test_same_clusters_on_one_core_and_on_two():
    code = (
        "import numpy as np, hashlib\n"
        "from usl.numeric.kmeans import kmeans\n"
        "from usl.numeric.neighbor_search import nearest_others, typical_distance\n"
        "x = np.random.default_rng(0).normal(size=(5000, 10)).astype(np.float32)\n"
        "x /= np.linalg.norm(x, axis=1, keepdims=True)\n"
        "k = kmeans(x, 300, rng=np.random.default_rng(1), iterations=5, exact=False)\n"
        "d, _ = typical_distance(x, 20, exact=False)\n"
        "found = k.clusters, k.centroids, d, *nearest_others(x, 20, exact=False)\n"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in found)).hexdigest())\n"
    )

    def run(cores):
        own = os.sched_getaffinity(0)
        environment = {**os.environ, "OMP_NUM_THREADS": str(len(cores))}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cores & own),
        )
        return done.stdout

    own = os.sched_getaffinity(0)
    if len(own) < 2:
        pytest.skip("one core only")
    assert run({min(own)}) == run(own)
