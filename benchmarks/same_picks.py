"""Whether shards get the picks of one machine: `usl` on real features, budget by budget.

    python benchmarks/same_picks.py FEATURES.npz --budgets 40 400 2500 --out DIR

``same_partition``: the share of clusters whose pick is the same where one machine is handed the
partition of the shards. ``own_partition``: the share of picks that both have where each makes its
own, from another sample in another order; ``mean_squared``, of all rows to their nearest pick, says
how much that matters. A JSON line for each budget is printed and added to DIR/same_picks.jsonl.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from usl import select
from usl.engine.executor import InProcess
from usl.engine.shards import write_record, write_shard
from usl.engine.store import Store
from usl.numeric.distances import nearest
from usl.numeric.unit_rows import unit_rows
from usl.selection.sharded.select_shards import select_shards

SHARD = 16_384  # rows, the default of usl embed


def main() -> None:
    """Write the shards, pick from them and from the table, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument("--budgets", type=int, nargs="+", default=[40, 400, 2500])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with np.load(given.features) as file:
        train = file["subset"] == "train" if "subset" in file else slice(None)
        table = file["features"][train].astype(np.float16)
    place, parts = str(given.out / f"{given.features.stem}-shards"), []
    for number, first in enumerate(range(0, len(table), SHARD)):
        block = table[first : first + SHARD]
        ids = [f"{first + row:07d}" for row in range(len(block))]
        parts.append(write_shard(place, number, ids, block))
    shards = write_record(place, table.shape[1], parts, {"name": given.features.stem})
    points = unit_rows(table.astype(np.float32))
    for budget in given.budgets:
        scratch = given.out / f"work-{budget}-{time.time_ns()}"
        found = select_shards(shards, budget, InProcess(), scratch=str(scratch))
        (store,) = (Store(str(folder)) for folder in scratch.iterdir())
        clusters = np.empty(len(table), dtype=np.int64)
        for name in store.sizes("cells"):
            if name.endswith(".about"):
                about = store.load(f"cells/{name}")
                clusters[about["rows"]] = about["clusters"]
        same = select(points, budget, method="usl", clusters=clusters).indices
        own = select(points, budget, method="usl").indices
        row = {"features": given.features.stem, "rows": len(table), "width": table.shape[1]}
        row |= {"budget": budget, "cells": len(store.sizes("cells")) // 2, "method": "usl"}
        row["same_partition"] = len(np.intersect1d(found.rows, same)) / budget
        row["same_order"] = bool(np.array_equal(found.rows, same))
        row["own_partition"] = len(np.intersect1d(found.rows, own)) / budget
        row["mean_squared"] = {
            name: round(float((nearest(points, points[rows], 1)[1] ** 2).mean()), 5)
            for name, rows in (("shards", found.rows), ("one_machine", own))
        }
        print(line := json.dumps(row), flush=True)
        with (given.out / "same_picks.jsonl").open("a") as results:
            results.write(f"{line}\n")


if __name__ == "__main__":
    main()
