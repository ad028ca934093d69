"""Shards in the space of their encoder: fitted on all rows, as one machine fits it."""

from __future__ import annotations

import numpy as np
import pytest
from sharded import clusters_in, mixture, partition_of, unit, write_shards

import usl.engine.cells
import usl.engine.shard_moments
from usl import select
from usl.core.errors import UsageError, UslWarning
from usl.data.open import open_collection
from usl.engine.executor import InProcess
from usl.engine.shard_moments import moments_of
from usl.engine.shard_table import ShardTable
from usl.engine.store import Store
from usl.features.shard_space import in_space
from usl.features.space import open_space
from usl.selection.sharded.select_shards import select_shards
from usl.selection.sharded.shard_groups import read_shard_groups

SIZES = (700, 1, 399, 600)
DEFAULTS = {"center": True, "standardize": True, "pca": None}
ENCODER = {"name": "mixture", "key": "mixture-1", "supervision": "none", "width": 12}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Features far from the origin, one of which never varies; the encoder standardizes them."""
    points = mixture(sum(SIZES), 12, 30) * np.linspace(0.5, 2, 12) + 40
    points[:, 3] = 17.0
    folder = tmp_path_factory.mktemp("shards")
    points = points.astype(np.float32)
    return points, write_shards(folder, points, SIZES, ENCODER | {"preprocessing": DEFAULTS})


def space_of(points, *, center=True, standardize=True, pca=None):
    """From the formulas: points of unit length, float32."""
    rows = points.astype(np.float64)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    rows = rows - mean if center else rows
    rows = rows / np.where(deviation == 0, 1, deviation) if standardize else rows
    if pca is not None:
        rows = rows @ np.linalg.svd(rows, full_matrices=False)[2][:pca].T
    return unit(rows).astype(np.float32)


@pytest.mark.parametrize(
    "settings", [{}, {"standardize": False, "pca": 5}, {"pca": 5}, {"center": False, "pca": 5}]
)
def test_picks_are_those_of_one_machine_in_the_same_space(table, tmp_path, monkeypatch, settings):
    points, shards = table
    monkeypatch.setattr(usl.engine.cells, "CELL_BYTES", 48 * 250)  # many cells
    found = select_shards(shards, 40, InProcess(), scratch=str(tmp_path), k=20, **settings)
    there = space_of(points, **settings)
    clusters = partition_of(tmp_path, len(points), there.shape[1])
    one = select(there, 40, method="usl", clusters=clusters, k=20)
    assert found.rows.tolist() == one.indices.tolist()
    products = found.points @ found.points.T  # the sign of a direction is nobody's business
    np.testing.assert_allclose(products, there[found.rows] @ there[found.rows].T, atol=1e-5)


def test_the_space_is_the_one_that_the_same_shards_have_on_one_machine(table, tmp_path):
    _, shards = table
    for settings in ({}, {"standardize": False, "pca": 4}):
        whole = ShardTable(shards, Store(str(tmp_path / str(len(settings)))), InProcess())
        _, space = in_space(whole, settings)
        one = open_space(open_collection(shards.store.root), settings=settings).preprocessing
        for name in ("mean", "deviation", "components"):
            here, there = getattr(space, name), getattr(one, name)
            assert (here is None) == (there is None), name
            if here is not None:
                np.testing.assert_allclose(here, there, rtol=1e-12, atol=1e-12)
        assert space.mean[3] == 17.0


@pytest.mark.parametrize("most", [3, 40])
def test_moments_of_many_shards_are_those_of_all_rows(tmp_path, monkeypatch, most):
    monkeypatch.setattr(usl.engine.shard_moments, "MOST_PARTS", most)
    rng = np.random.default_rng(0)
    rows = (1e4 + rng.normal(size=(400, 5))).astype(np.float32)
    shards = write_shards(tmp_path / "shards", rows, [10] * 40)
    store, exact = Store(str(tmp_path / "work")), rows.astype(np.float64)
    for products in (False, True):
        known = moments_of(ShardTable(shards, store, InProcess()), products=products)
        assert known.count == 400
        np.testing.assert_allclose(known.mean, exact.mean(axis=0), rtol=1e-14)
        np.testing.assert_allclose(known.variance, exact.var(axis=0), rtol=1e-10)
        assert not known.constant.any()
    np.testing.assert_allclose(known.scatter / 400, np.cov(exact.T, ddof=0), rtol=1e-9, atol=1e-10)
    assert store.sizes("moments") == {}  # nothing is left lying about


def test_groups_lie_in_the_space_of_all_rows(table, tmp_path):
    points, shards = table
    names = np.where(np.arange(len(points)) % 3 == 0, "air", "sea")
    groups = read_shard_groups(shards, names)
    how = {"groups": groups, "quotas": "equal", "scratch": str(tmp_path), "k": 20}
    found = select_shards(shards, 30, InProcess(), **how)
    (folder,) = tmp_path.iterdir()
    rows, there = np.flatnonzero(names == "air"), space_of(points)
    clusters = clusters_in(folder / "group-0", len(rows))
    one = select(there[rows], 15, method="usl", clusters=clusters, k=20)
    assert set(found.rows[names[found.rows] == "air"]) == set(rows[one.indices])


def test_what_asks_for_nothing_stays_as_it_is(table, tmp_path):
    _, shards = table
    whole = ShardTable(shards, Store(str(tmp_path)), InProcess())
    same, space = in_space(whole, {"center": False, "standardize": False})
    assert same is whole
    assert space.mean is space.deviation is space.components is None
    assert whole.store.sizes() == {}


def test_a_number_of_components_is_held_against_the_table(table, tmp_path):
    _, shards = table
    whole = ShardTable(shards, Store(str(tmp_path)), InProcess())
    with pytest.raises(UsageError, match="pca: 0 given"):
        in_space(whole, {"pca": 0})
    with pytest.warns(UslWarning, match="using 12"):
        moved, _ = in_space(whole, {"pca": 20})
    assert moved.shards.width == 11  # one dimension never varies


def test_lengths_in_the_space_reach_a_method_that_asks_for_them(table, tmp_path):
    _, shards = table
    how = {"method": "usl_t", "preset": "released", "heads": 1, "steps": 20}
    found = select_shards(shards, 12, InProcess(), scratch=str(tmp_path), **how)
    space = open_space(open_collection(shards.store.root))
    one = select(space.features, 12, lengths=space.lengths(), **how)
    assert found.parameters["lengths"] == "seen by heads"
    assert found.rows.tolist() == one.indices.tolist()
    groups = read_shard_groups(shards, np.where(np.arange(len(shards)) % 3, "sea", "air"))
    moved, _ = in_space(ShardTable(shards, Store(str(tmp_path)), InProcess()), {})
    air = groups.views(moved.shards, moved.store)[0]
    np.testing.assert_allclose(air.lengths(0), space.lengths()[:700:3], rtol=1e-6)
