"""Hosts that are lost in the middle of the work change nothing, and cost what they had in hand.

`make slow` runs these; with USL_TORTURE=1 in every stage, in each way.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hosts import Losing, mark
from PIL import Image
from sharded import mixture, write_shards

import usl
import usl.engine.cells
import usl.engine.shard_table
import usl.engine.sums
from usl.engine.cluster import connect
from usl.engine.executor import InProcess, OnRay
from usl.features.encoders.pixels import Pixels
from usl.selection.sharded.select_shards import select_shards

STAGES = ("measure", "join", "draw", "step_of", "_add", "deal", "gather", "propose", "withdraw")
STAGES += ("settle", "list_means", "scan_cell", "density_of", "dense", "exchanged")
HOW = {"k": 10, "iterations": 2, "collapse_duplicates": 0.3, "min_distance": 0.5}
HOW |= {"center": True, "pca": 6}
pytestmark = pytest.mark.slow
whole_pass = pytest.mark.skipif(
    os.environ.get("USL_TORTURE") != "1", reason="a minute; with USL_TORTURE=1"
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A table whose selection takes several tasks of every kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usl.engine.cells, "CELL_BYTES", 4 * 8 * 400)
        patch.setattr(usl.engine.shard_table, "EXACT_ROWS", 100)
        patch.setattr(usl.engine.sums, "FAN", 2)
        folder = tmp_path_factory.mktemp("shards")
        yield write_shards(folder, mixture(1200, 8, 12), (500, 400, 300))


def selected(shards, executor, place):
    return select_shards(shards, 20, executor, scratch=str(place), **HOW)


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    return selected(shards, InProcess(), tmp_path_factory.mktemp("undisturbed"))


def check_same(found, undisturbed):
    assert found.rows.tobytes() == undisturbed.rows.tobytes()
    assert found.constraints == undisturbed.constraints
    for name, column in undisturbed.columns.items():
        assert found.columns[name].tobytes() == column.tobytes(), name


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param({"deal": "raylet", "exchanged": "host"}, id="some"),
        pytest.param(dict.fromkeys(STAGES, "raylet"), marks=whole_pass, id="raylet"),
        pytest.param(dict.fromkeys(STAGES, "host"), marks=whole_pass, id="host"),
    ],
)
def test_a_host_lost_while_selecting_costs_the_task_in_its_hands(
    lost, shards, undisturbed, hosts, cluster, tmp_path
):
    losing = Losing(OnRay(cluster), hosts, tmp_path, lost)
    check_same(selected(shards, losing, tmp_path / "work"), undisturbed)
    assert losing.repeated() == {kind: int(kind in lost) for kind in STAGES}


def test_one_two_and_four_workers_pick_the_same(shards, undisturbed, hosts, cluster, tmp_path):
    for workers in (1, 2, 4):
        hosts.complete(workers)
        with connect(hosts.address) as connected:
            assert connected.cores == workers
            check_same(selected(shards, OnRay(connected), tmp_path / str(workers)), undisturbed)


class Losable(Pixels):
    """Encodes pictures; where the first batch is encoded, the host is lost."""

    def __init__(self, folder, lost):
        super().__init__()
        self.folder, self.lost = folder, lost

    def forward(self, prepared):
        rows = super().forward(prepared)
        mark(self.folder, self.lost, "forward")
        return rows


@pytest.mark.parametrize("lost", ["raylet", pytest.param("host", marks=whole_pass)])
def test_a_host_lost_while_embedding_costs_the_pieces_in_its_hands(lost, hosts, cluster, tmp_path):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(600):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number:03d}.png")
    collection = usl.open_collection(tmp_path / "photos")
    expected = usl.embed_shards(collection, tmp_path / "one", "pixels", shard_images=128)
    losing = Losing(OnRay(cluster), hosts, tmp_path, {})
    encoder = Losable(str(tmp_path), lost)
    how = {"engine": "ray", "shard_images": 128, "batch_size": 128}
    found = usl.embed_shards(collection, tmp_path / "two", encoder, **how)
    losing.wanted["forward"] = len(found.shards.parts)
    assert (tmp_path / "forward").exists()
    assert losing.repeated()["forward"] <= cluster.cores
    for part in expected.shards.parts:
        made = (Path(place) / part.name for place in (tmp_path / "one", tmp_path / "two"))
        assert len({file.read_bytes() for file in made}) == 1
