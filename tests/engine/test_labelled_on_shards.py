"""Must-includes and labels from the start on shards, as on one machine for the same partition."""

from __future__ import annotations

import numpy as np
import pytest
from sharded import mixture, partition_of, unit, write_shards

import usl.engine.cells
from usl import Constraints, select_within
from usl.core.errors import UsageError
from usl.engine.executor import InProcess
from usl.selection.sharded.select_shards import select_shards
from usl.selection.sharded.shard_groups import read_shard_groups

SIZES = (500, 1, 299)
LABELED, INCLUDE = np.arange(30, 55), np.array([700, 3, 410])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    points = mixture(sum(SIZES), 12, 20)
    return points, write_shards(tmp_path_factory.mktemp("shards"), points, SIZES)


def one_machine(points, budget, clusters, constraints, **how):
    return select_within(
        points.astype(np.float32),
        budget,
        constraints,
        method="usl",
        labeled=LABELED,
        clusters=clusters,
        **how,
    )


@pytest.mark.parametrize("cell_rows", [110, 1000])
def test_what_is_labelled_repels_and_serves_its_clusters(table, tmp_path, monkeypatch, cell_rows):
    points, shards = table
    monkeypatch.setattr(usl.engine.cells, "CELL_BYTES", 48 * cell_rows)
    how = {"k": 20, "iterations": 3}
    given = {"include": INCLUDE, "labeled": LABELED, "exclude": np.arange(0, 300, 7)}
    if cell_rows == 1000:  # in one cell the same look-alikes speak
        given["collapse_duplicates"] = 0.4
    found = select_shards(shards, 40, InProcess(), scratch=str(tmp_path), **given, **how)
    clusters = partition_of(tmp_path, len(points))
    assert clusters.max() + 1 == 37 + len(LABELED) + len(INCLUDE)
    limits = {name: value for name, value in given.items() if name != "labeled"}
    one = one_machine(points, 40, clusters, Constraints(**limits), **how)
    assert found.included == 3
    assert found.rows[:3].tolist() == INCLUDE.tolist()
    assert set(found.rows.tolist()) == set(one.indices.tolist())
    assert found.constraints == one.constraints
    assert (found.columns["cluster"][:3] == -1).all()
    assert np.isnan(found.columns["utility"][:3]).all()
    picks = dict(zip(one.indices.tolist(), one.columns["utility"].tolist(), strict=True))
    for row, utility in zip(found.rows[3:], found.columns["utility"][3:], strict=True):
        assert utility == pytest.approx(picks[row], rel=1e-4)


@pytest.mark.parametrize("method", ["usl", "kmeans", "typiclust", "random", "quorum"])
def test_picks_keep_away_from_what_is_labelled(table, tmp_path, method):
    points, shards = table
    least = 0.6
    how = {"partitions": 2, "learned": 0} if method == "quorum" else {}
    labeled = LABELED[:8]
    away = np.linalg.norm(unit(points)[:, None] - unit(points[labeled])[None], axis=2).min(axis=1)
    include = np.array([np.argmax(away)])
    found = select_shards(
        shards,
        20,
        InProcess(),
        method=method,
        include=include,
        labeled=labeled,
        min_distance=least,
        scratch=str(tmp_path),
        **how,
    )
    assert found.rows[:1].tolist() == include.tolist()
    assert len(set(found.rows.tolist())) == 20
    assert not set(found.rows.tolist()) & set(labeled.tolist())
    places = np.concatenate([found.rows, labeled])
    gaps = np.linalg.norm(unit(points[places])[:, None] - unit(points[found.rows])[None], axis=2)
    gaps[np.arange(20), np.arange(20)] = np.inf
    assert gaps.min() >= least - 1e-6
    assert found.constraints["included"] == 1


def test_lists_that_contradict_each_other_are_refused(table, tmp_path):
    def refused(match, budget=10, **given):
        with pytest.raises(UsageError, match=match):
            select_shards(table[1], budget, InProcess(), scratch=str(tmp_path), **given)

    refused("include: 'image-000003' is excluded as well", include=[3], exclude=[3])
    refused("include: 'image-000003' has a label already", include=[3], labeled=[3])
    refused("3 items must be picked, but the budget is 2", budget=2, include=INCLUDE)
    refused(
        "with these constraints there are 790 items", budget=795, include=[3], exclude=range(10, 20)
    )


def test_a_budget_of_must_includes_alone_is_met(table, tmp_path):
    found = select_shards(
        table[1], 3, InProcess(), include=INCLUDE, labeled=LABELED, scratch=str(tmp_path)
    )
    assert found.rows.tolist() == INCLUDE.tolist()
    assert found.ids.tolist() == [f"image-{row:06d}" for row in INCLUDE]
    groups = read_shard_groups(table[1], ["all"] * sum(SIZES))
    how = {"include": INCLUDE, "groups": groups, "quotas": {"all": 3}, "scratch": str(tmp_path)}
    assert select_shards(table[1], 3, InProcess(), **how).rows.tolist() == INCLUDE.tolist()
