"""``usl benchmark``: run what a plan asks for and is not done yet, then write the tables."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from usl.benchmarking.curve_page import write_curve_page
from usl.benchmarking.curve_table import areas
from usl.benchmarking.ledger import FAILURE, Ledger, Line
from usl.benchmarking.outcome import Benchmark
from usl.benchmarking.page import write_page
from usl.benchmarking.plan import Plan, read_plan
from usl.benchmarking.plan_values import check_known
from usl.benchmarking.pools import Pool, check_pools, open_pools
from usl.benchmarking.rounds import CurveUnit, curve_units
from usl.benchmarking.summary import collect, standings
from usl.benchmarking.units import Unit, networks_to_come, training_folder, units_of
from usl.benchmarking.workers import Crash, run_units
from usl.core.errors import DataError, UsageError
from usl.core.progress import Progress, Stage, silent
from usl.numeric.blocks import thread_count

LINES, NETWORKS = "lines", "networks"  # what progress calls the two passes


def benchmark(
    plan: Plan | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    minutes: float | None = None,
    datasets: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Benchmark:
    """Compare selection methods, or query strategies, as a plan says; write tables and plots.

    ``out`` gets ``rows.jsonl``, one line per selection and per score, or per round, as they are
    finished; and in the end ``rows.csv``, ``results.md`` and plots. What it holds of an earlier
    call is not done again; a changed parameter is another row. No method sees a label but the
    marked oracle, and no strategy one that it has not asked for.

    Parameters
    ----------
    plan : TOML file: data sets, encoders, budgets or rounds, methods or strategies, learners, seeds
        (docs/benchmark.md); or builtin:smoke, a few seconds.
    out : folder of the results. What it holds is not computed again.
    jobs : processes at a time, a core each; the default is all cores.
    minutes : begin nothing more after so long; the same command goes on.
    datasets : only these data sets of the plan, in the tables, too.

    Raises
    ------
    UsageError : a plan, data set or number that does not fit.
    DataError : a source that cannot be read, a broken ``rows.jsonl``.
    """
    began = time.monotonic()
    plan = plan if isinstance(plan, Plan) else read_plan(plan)
    jobs = thread_count() if jobs is None else jobs
    if jobs < 1:
        raise UsageError(f"jobs: {jobs} given; use at least 1.")
    if minutes is not None and minutes <= 0:
        raise UsageError(f"minutes: {minutes} given; it must be positive.")
    plan = restricted(plan, datasets)
    ledger = Ledger(Path(out))
    pools = opened(plan, progress)
    check_pools(plan, pools)
    failures: list[Line] = []

    def keep(lines: list[Line]) -> None:
        failures.extend(line for line in lines if line["kind"] == FAILURE)
        write_down([line for line in lines if line["kind"] != FAILURE], ledger)

    crashes: list[Crash] = []
    until = None if minutes is None else began + 60 * minutes
    try:
        for name, units, later in passes(plan, pools, ledger):
            stages = [Stage(NETWORKS, sum(later) / jobs)] if later else []
            crashes += run_units(
                units, keep, jobs=jobs, until=until, name=name, later=stages, progress=progress
            )
    finally:  # Ctrl-C as well: the tables of what is there
        found = summarized(plan, pools, ledger, failures, crashes, Path(out))
        if plan.rounds is not None and ledger.curves:
            write_curve_page(found, ledger)
        elif plan.rounds is None and ledger.selections:
            write_page(found, ledger)
    return found


def write_down(lines: Sequence[Line], ledger: Ledger) -> None:
    """Keep finished lines; the checkpoints of networks, whose lines they are, have served."""
    ledger.add(lines)
    for line in lines:
        keys = [line[name] for name in ("key", "learner_key") if name in line]
        shutil.rmtree(training_folder(ledger.path.parent, *keys), ignore_errors=True)


def opened(plan: Plan, progress: Progress = silent) -> list[Pool]:
    """The pools of a plan, encoded, with the budgets that it asks for."""
    pools: list[Pool] = []
    for dataset in plan.datasets:
        try:
            pools += open_pools(
                dataset,
                plan.share,
                progress,
                pretrained={entry.name: entry for entry in plan.pretrained},
                on_images=plan.on_images(),
            )
        except (DataError, UsageError) as error:
            raise type(error)(f"datasets.{dataset.name}: {error}") from error
    if plan.rounds is None:
        return pools
    return [replace(pool, budgets=plan.rounds.labels(len(pool.names))[:1]) for pool in pools]


def summarized(
    plan: Plan,
    pools: list[Pool],
    ledger: Ledger,
    failures: Sequence[Line],
    crashes: Sequence[Crash],
    out: Path,
) -> Benchmark:
    """The outcome so far."""
    table = (collect if plan.rounds is None else areas)(plan, pools, ledger)
    base = plan.reference
    if table.methods and base not in table.methods:
        base = table.methods[0]
    ranked = standings(table, base) if table.cells else []
    units = left_to_do(plan, pools, ledger)
    left = len({(unit.pool.key, unit.seed) for unit in units})
    return Benchmark(
        plan, tuple(pools), table, base, ranked, left, tuple(failures), tuple(crashes), out
    )


def left_to_do(plan: Plan, pools: list[Pool], ledger: Ledger) -> Sequence[Unit | CurveUnit]:
    """What the ledger does not hold, draw by draw."""
    return (units_of if plan.rounds is None else curve_units)(plan, pools, ledger)


def passes(
    plan: Plan, pools: list[Pool], ledger: Ledger
) -> Iterator[tuple[str, Sequence[Unit | CurveUnit], list[float]]]:
    """The name of a pass over what is left to do, its units, and the seconds of what comes after.

    Networks learn in a second pass from the picks of the first.
    """
    if plan.rounds is not None:
        yield LINES, curve_units(plan, pools, ledger), []
        return
    first = units_of(plan, pools, ledger)
    later = networks_to_come(plan, pools, ledger)
    yield LINES, first, later
    begun = {job.about for unit in first for job in unit.jobs}  # and may have failed
    if later:
        units = units_of(plan, pools, ledger)
        new = [unit for unit in units if begun.isdisjoint(job.about for job in unit.jobs)]
        yield NETWORKS, new, []


def restricted(plan: Plan, names: Sequence[str] | None) -> Plan:
    """The plan with some of its data sets only."""
    if not names:
        return plan
    check_known("datasets", names, [dataset.name for dataset in plan.datasets])
    kept = tuple(dataset for dataset in plan.datasets if dataset.name in names)
    leave_out = tuple(n for n in plan.leave_out if n in names)
    return replace(plan, datasets=kept, leave_out=() if len(leave_out) == len(kept) else leave_out)
