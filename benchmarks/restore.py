"""A benchmark's ledger out of its published rows, so that it goes on where they end.

::

    rows=benchmarks/results/cold_start/rows.csv
    python benchmarks/restore.py benchmarks/cold_start.toml $rows OUT
    usl benchmark benchmarks/cold_start.toml --out OUT

The first writes ``OUT/rows.jsonl``, the second does what the rows do not hold. They must be of the
same plan on the same data: the pools are opened and encoded to find the keys, but nothing in a
table of rows can prove that they are what it was made from.
Published rows have no picks; a selection of which a score is missing is left out, and done again.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from usl.benchmarking.ledger import SCORE, SELECTION, Ledger, Line
from usl.benchmarking.plan import read_plan
from usl.benchmarking.pools import open_pools
from usl.benchmarking.units import entry_key, selection_key
from usl.core.errors import UsageError, UslError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan")
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--leave-out", nargs="*", default=[], help="methods to measure anew")
    given = parser.parse_args()
    plan = read_plan(given.plan)
    pools = {(p.dataset, p.encoder): p for d in plan.datasets for p in open_pools(d, plan.share)}
    methods = {entry.name: entry for entry in plan.methods}
    ledger = Ledger(given.out)
    if ledger.selections:
        raise UsageError(f"{ledger.path} holds rows already. Give a new folder.")
    lines: list[Line] = []
    with open(given.rows, newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            pool, entry = pools.get((row["dataset"], row["encoder"])), methods.get(row["method"])
            if pool is None or entry is None or row["method"] in given.leave_out:
                continue  # the plan no longer has it, or it is to be measured anew
            seed, budget = int(row["seed"]), int(row["budget"])
            wanted = [e for e in plan.learners if e.seeds is None or seed < e.seeds]
            if not all(row[learner.name] for learner in wanted):
                continue
            key = selection_key(pool, seed, budget, entry)
            lines.append(
                {
                    "kind": SELECTION,
                    "key": key,
                    "dataset": pool.dataset,
                    "encoder": pool.encoder,
                    "seed": seed,
                    "budget": budget,
                    "method": row["method"],
                    "seconds": float(row["seconds"]) if row["seconds"] else None,
                    "coverage": float(row["coverage"]),
                    "balance": float(row["balance"]),
                    "picks": [],
                }
            )
            lines += [
                {
                    "kind": SCORE,
                    "key": key,
                    "learner_key": entry_key(learner),
                    "learner": learner.name,
                    "test": float(row[learner.name]),
                }
                for learner in wanted
            ]
    ledger.add(lines)
    print(f"{len(ledger.selections)} selections and {len(ledger.scores)} scores: {ledger.path}")


if __name__ == "__main__":
    try:
        main()
    except UslError as error:
        sys.exit(str(error))
