"""Whether `usl` on shards gets the picks of one machine, on real features, at some budgets.

    python benchmarks/same_picks.py FEATURES.npz --budgets 40 400 2500 --out DIR

``same_partition``: the share of clusters with the same pick where one machine is handed the
partition of the shards. ``own_partition``: the share of picks in common where each makes its own;
``other_seed``: those that one machine has in common with itself under another seed;
``mean_squared``: distance of all rows to their nearest pick. With ``--lists`` the shards' densities
go through lists, as above 100,000 rows, one machine's do not, and the partition is the same alone.
One JSON line for each budget.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import usl.engine.shard_table
from usl import select
from usl.engine.executor import InProcess
from usl.engine.shards import write_record, write_shard
from usl.engine.store import Store
from usl.features.preprocessing import Preprocessing
from usl.numeric.distances import nearest
from usl.numeric.unit_rows import unit_rows
from usl.selection.sharded.select_shards import select_shards

SHARD = 16_384  # rows, the default of usl embed


def main() -> None:
    """Write the shards, pick from them and from the table, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument("--budgets", type=int, nargs="+", default=[40, 400, 2500])
    parser.add_argument("--lists", action="store_true", help="densities through lists")
    parser.add_argument("--center", action="store_true")
    parser.add_argument("--standardize", action="store_true")
    parser.add_argument("--pca", type=int)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.lists:
        usl.engine.shard_table.EXACT_ROWS = 0
    with np.load(given.features) as file:
        train = file["subset"] == "train" if "subset" in file else slice(None)
        table = file["features"][train].astype(np.float16)
    ids = [f"{row:06d}" for row in range(len(table))]
    place, name = str(given.out / f"{given.features.stem}-shards"), given.features.stem
    blocks = [slice(first, first + SHARD) for first in range(0, len(table), SHARD)]
    parts = [write_shard(place, s, ids[some], table[some]) for s, some in enumerate(blocks)]
    shards = write_record(place, table.shape[1], parts, {"name": name})
    settings = {one: getattr(given, one) for one in ("center", "standardize", "pca")}
    points = unit_rows(Preprocessing.fit(table, **settings).transform(table))
    for budget in given.budgets:
        scratch = given.out / f"work-{budget}-{time.time_ns()}"
        began = time.perf_counter()
        picks = select_shards(shards, budget, InProcess(), scratch=str(scratch), **settings)
        seconds = round(time.perf_counter() - began, 1)
        found = picks.rows
        (store,) = (Store(str(folder)) for folder in scratch.iterdir())
        abouts = [one for one in store.sizes("cells") if one.endswith(".about")]
        clusters = np.empty(len(table), dtype=np.int64)
        for about in (store.load(f"cells/{one}") for one in abouts):
            clusters[about["rows"]] = about["clusters"]
        same = select(points, budget, method="usl", clusters=clusters).indices
        row = {"features": name, "rows": len(table), "width": table.shape[1], "budget": budget}
        row |= {"lists": True} if given.lists else {}
        row |= {one: value for one, value in settings.items() if value} | {"seconds": seconds}
        row |= {one: picks.parameters.get(one) for one in ("probes", "recall")}
        row["same_partition"] = len(np.intersect1d(found, same)) / budget
        if not given.lists:
            row["same_order"] = bool(np.array_equal(found, same))
            own, other = (select(points, budget, method="usl", seed=s).indices for s in (0, 1))
            row["own_partition"] = len(np.intersect1d(found, own)) / budget
            row["other_seed"] = len(np.intersect1d(other, own)) / budget
            for what, rows in (("shards", found), ("one_machine", own), ("other_seed", other)):
                away = nearest(points, points[rows], 1)[1]
                row[f"mean_squared_{what}"] = round(float((away**2).mean()), 5)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
