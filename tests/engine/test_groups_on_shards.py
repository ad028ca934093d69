"""Quotas on shards: each group picks among its own rows, as on one machine."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sharded import clusters_in, mixture, unit, write_shards

from usl import Constraints, select, select_within
from usl.core.errors import DataError, UsageError
from usl.engine.executor import InProcess
from usl.engine.group_shards import GroupShards
from usl.engine.shards import open_shards, write_record
from usl.engine.store import Store
from usl.numeric.near_duplicates import near_duplicates
from usl.selection.sharded.select_shards import select_shards
from usl.selection.sharded.shard_groups import read_shard_groups

SIZES = (500, 1, 299)
LABELED, INCLUDE, EXCLUDE = np.arange(30, 50), np.array([700, 3, 410]), np.arange(0, 300, 7)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    points = mixture(sum(SIZES), 12, 20)
    names = np.random.default_rng(1).choice(["sea", "air", "land"], sum(SIZES), p=[0.6, 0.3, 0.1])
    names[500] = "air"
    return points, write_shards(tmp_path_factory.mktemp("shards"), points, SIZES), names


def test_each_group_has_the_picks_of_one_machine_for_its_partition(table, tmp_path):
    points, shards, names = table
    given = {"include": INCLUDE, "exclude": EXCLUDE}
    how = {"k": 20, "iterations": 2}
    found = select_shards(
        shards,
        40,
        InProcess(),
        groups=read_shard_groups(shards, names),
        quotas="proportional",
        labeled=LABELED,
        scratch=str(tmp_path),
        **given,
        **how,
    )
    whole = Constraints(**given, groups=names, quotas="proportional")
    one = select_within(points.astype(np.float32), 40, whole, labeled=LABELED, method="random")
    assert found.constraints == one.constraints
    assert found.group.tolist() == names[found.rows].tolist()
    assert found.rows[:3].tolist() == INCLUDE.tolist()
    (folder,) = tmp_path.iterdir()
    known = np.union1d(LABELED, INCLUDE)
    for group, name in enumerate(["air", "land", "sea"]):
        rows = np.flatnonzero(names == name)
        free = np.setdiff1d(rows, np.concatenate([known, EXCLUDE]))
        theirs = [row for row in found.rows[3:].tolist() if names[row] == name]
        alone = select(
            points[rows].astype(np.float32),
            len(theirs),
            method="usl",
            labeled=np.flatnonzero(np.isin(rows, known)),
            candidates=np.searchsorted(rows, free),
            clusters=clusters_in(folder / f"group-{group}", len(rows)),
            **how,
        )
        assert set(theirs) == set(rows[alone.indices].tolist())


def test_look_alikes_and_distances_are_kept_across_groups(table, tmp_path):
    points, shards, names = table
    near, least = 0.3, 0.5
    how = {"method": "kmeans", "scratch": str(tmp_path), "groups": read_shard_groups(shards, names)}
    distances = {"collapse_duplicates": near, "min_distance": least, "labeled": LABELED}
    found = select_shards(shards, 24, InProcess(), quotas="equal", **distances, **how)
    assert found.constraints["groups"] == {"air": 8, "land": 8, "sea": 8}
    rows = np.concatenate([found.rows, LABELED])
    gaps = np.linalg.norm(unit(points[found.rows])[:, None] - unit(points[rows])[None], axis=2)
    gaps[np.arange(24), np.arange(24)] = np.inf
    assert gaps.min() >= least - 1e-6
    about = unit(points).astype(np.float32), near
    original = near_duplicates(*about, rows=np.arange(len(points)), first=LABELED)
    assert found.constraints["near_duplicates"] == (original != np.arange(len(points))).sum()


def test_a_group_is_a_part_of_the_shards_by_number(table, tmp_path):
    points, shards, names = table
    views = read_shard_groups(shards, names).views(shards, Store(str(tmp_path)))
    land = views[1]
    assert isinstance(land, GroupShards)
    rows = np.flatnonzero(names == "land")
    assert len(land) == len(rows)
    assert len(land.parts) == 2  # the shard of one row has none
    read = np.concatenate([land.read(number) for number in range(2)])
    np.testing.assert_array_equal(read, points[rows].astype(np.float32))
    assert land.ids(1).tolist() == [f"image-{row:06d}" for row in rows[rows > 500]]
    some = np.array([5, 0, len(rows) - 1])
    assert land.in_whole(some).tolist() == rows[some].tolist()
    assert land.of_whole(np.array([rows[5], rows[0] + 1, rows[-1]])).tolist() == [5, len(rows) - 1]


def test_groups_come_from_a_column_a_table_or_a_mapping(table, tmp_path):
    points, shards, names = table
    ids = [f"image-{row:06d}" for row in range(sum(SIZES))]
    file = tmp_path / "groups.csv"
    lines = [f"{word},{name}" for word, name in zip(ids, names, strict=True)]
    file.write_text("image_id,place\n" + "\n".join(lines))
    wanted = read_shard_groups(shards, names)
    assert read_shard_groups(shards, file).digest == wanted.digest
    assert read_shard_groups(shards, dict(zip(ids, names.tolist(), strict=True))) is not None
    with pytest.raises(UsageError, match="quotas: given without groups"):
        select_shards(shards, 5, InProcess(), quotas="equal", scratch=str(tmp_path))
    file.write_text("image_id,place\n" + "\n".join(lines[1:]))
    with pytest.raises(DataError, match="no group for 'image-000000'"):
        read_shard_groups(shards, file)
    file.write_text("image_id,place\n" + "\n".join([*lines, "image-000000,moon"]))
    with pytest.raises(DataError, match=r"'image-000000' is in the group '[a-z]+' already"):
        read_shard_groups(shards, file)
    file.write_text("image_id,place\n" + "\n".join([*lines, "nobody,sea"]))
    with pytest.raises(DataError, match="no item 'nobody'"):
        read_shard_groups(shards, file)
    own = tmp_path / "own"
    parts = list(write_shards(own, points, SIZES).parts)
    for number, part in enumerate(parts):
        told = pq.read_table(own / part.name)
        of = names[shards.starts[number] : shards.starts[number + 1]]
        pq.write_table(told.append_column("group", pa.array(of.tolist())), own / part.name)
        parts[number] = type(part)(part.name, part.rows, (own / part.name).stat().st_size)
    write_record(str(own), 12, parts, {})
    assert read_shard_groups(open_shards(str(own)), None).digest == wanted.digest


def test_quotas_that_cannot_be_kept_are_refused(table, tmp_path):
    _, shards, names = table
    groups = read_shard_groups(shards, names)

    def refused(match, budget, **given):
        with pytest.raises(UsageError, match=match):
            select_shards(shards, budget, InProcess(), scratch=str(tmp_path), **given)

    refused("no item is in a group 'moon'", 5, groups=groups, quotas={"moon": 5})
    refused("they add up to 4, but the budget is 5", 5, groups=groups, quotas={"sea": 4})
    refused("groups: given without quotas", 5, groups=groups)
    crowded = {"groups": groups, "quotas": {"land": 60}, "min_distance": 1.0, "method": "kmeans"}
    refused("group 'land': min_distance: at 1 room was found", 60, **crowded)
