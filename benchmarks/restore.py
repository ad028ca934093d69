"""A benchmark's ledger out of its published rows, so that it goes on where they end.

::

    rows=benchmarks/results/cold_start/rows.csv
    python benchmarks/restore.py benchmarks/cold_start.toml $rows OUT
    usl benchmark benchmarks/cold_start.toml --out OUT

The first writes ``OUT/rows.jsonl``, the second does what the rows do not hold. They must be of the
same plan on the same data: the pools are opened and encoded to find the keys, but nothing in a
table of rows can prove that they are what it was made from.
Published rows of selections have no picks; one of which a score is missing is left out, and done
again. Those of a plan with rounds have them, so that curves go on, too.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from usl.benchmarking.curve_page import COLUMNS
from usl.benchmarking.keys import entry_key, selection_key
from usl.benchmarking.ledger import ROUND, SCORE, SELECTION, Ledger, Line
from usl.benchmarking.plan import Plan, read_plan
from usl.benchmarking.pools import Pool
from usl.benchmarking.rounds import curve_key
from usl.benchmarking.run import opened
from usl.core.errors import UsageError, UslError

Row = dict[str, str]
Pools = dict[tuple[str, str], Pool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan")
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--leave-out", nargs="*", default=[], help="methods to measure anew")
    given = parser.parse_args()
    plan = read_plan(given.plan)
    pools = {(pool.dataset, pool.encoder): pool for pool in opened(plan)}
    ledger = Ledger(given.out)
    if ledger.selections or ledger.curves:
        raise UsageError(f"{ledger.path} holds rows already. Give a new folder.")
    with open(given.rows, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    if plan.rounds is None:
        ledger.add(selections(plan, pools, rows, given.leave_out))
        count = f"{len(ledger.selections)} selections and {len(ledger.scores)} scores"
    else:
        ledger.add(rounds(plan, pools, rows, given.leave_out))
        lines = sum(map(len, ledger.curves.values()))
        count = f"{lines} rounds of {len(ledger.curves)} curves"
    print(f"{count}: {ledger.path}")


def selections(plan: Plan, pools: Pools, rows: list[Row], leave_out: list[str]) -> Iterator[Line]:
    """A selection and its scores for each row that the plan still has."""
    methods = {entry.name: entry for entry in plan.methods}
    for row in rows:
        pool, entry = pools.get((row["dataset"], row["encoder"])), methods.get(row["method"])
        if pool is None or entry is None or row["method"] in leave_out:
            continue  # the plan no longer has it, or it is to be measured anew
        seed, budget = int(row["seed"]), int(row["budget"])
        wanted = [e for e in plan.learners if e.seeds is None or seed < e.seeds]
        if not all(row[learner.name] for learner in wanted):
            continue
        key = selection_key(pool, seed, budget, entry)
        yield {
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
        for learner in wanted:
            yield {
                "kind": SCORE,
                "key": key,
                "learner_key": entry_key(learner),
                "learner": learner.name,
                "test": float(row[learner.name]),
            }


def rounds(plan: Plan, pools: Pools, rows: list[Row], leave_out: list[str]) -> Iterator[Line]:
    """A round for each row that the plan still has."""
    assert plan.rounds is not None
    strategies = {entry.name: entry for entry in plan.methods}
    learners = {entry.name: entry for entry in plan.learners}
    for row in rows:
        pool, entry = pools.get((row["dataset"], row["encoder"])), strategies.get(row["strategy"])
        learner, seed = learners.get(row["learner"]), int(row["seed"])
        if pool is None or entry is None or learner is None or entry.name in leave_out:
            continue
        yield {
            "kind": ROUND,
            "key": curve_key(plan.rounds, pool, seed, entry, learner),
            "dataset": pool.dataset,
            "encoder": pool.encoder,
            "seed": seed,
            "budget": pool.budgets[0],
            "method": entry.name,
            "learner": learner.name,
            "round": int(row["round"]),
            **{name: int(row[name]) if name == "labels" else float(row[name]) for name in COLUMNS},
            "picks": [int(place) for place in row["picks"].split()],
        }


if __name__ == "__main__":
    try:
        main()
    except UslError as error:
        sys.exit(str(error))
