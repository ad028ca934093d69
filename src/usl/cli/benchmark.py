"""``usl benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from usl.cli.shared import Flag
from usl.console import bars, note, print_json, print_table, say


def benchmark(
    plan: str,
    /,
    *,
    out: Path,
    jobs: int | None = None,
    minutes: float | None = None,
    datasets: Annotated[list[str] | None, Parameter(negative="")] = None,
    json: Flag = False,
) -> None:
    """Compare selection methods on labelled image sets, as a plan says. Stopped, it goes on.

    Parameters
    ----------
    plan
        TOML file: data sets, encoders, budgets, methods, learners, seeds (docs/benchmark.md); or
        builtin:smoke, a few seconds.
    out
        Folder of the results. What it holds is not computed again.
    jobs
        Processes at a time, a core each; the default is all cores.
    minutes
        Begin nothing more after so long; the same command goes on.
    datasets
        Only these data sets of the plan, in the tables, too.
    json
        Print the result as JSON.
    """
    from dataclasses import asdict

    from usl.benchmarking.outcome import check_outcome
    from usl.benchmarking.page import PAGE, interval, rank_text
    from usl.benchmarking.run import benchmark as run

    with bars() as progress:
        found = run(plan, out, jobs=jobs, minutes=minutes, datasets=datasets, progress=progress)
    if json:
        print_json(
            {
                "out": str(out),
                "left": found.left,
                "standings": [asdict(standing) for standing in found.standings],
            }
        )
    elif found.standings:
        reference = found.reference
        rows = [
            [
                s.method,
                rank_text(s),
                f"{100 * s.accuracy.mean:.1f}",
                "" if s.method == reference else interval(s.gain, "+.1f", 100),
            ]
            for s in found.standings
        ]
        print_table(["method", "average rank", "accuracy %", f"over {reference}"], rows)
        say(f"All tables and plots: {out / PAGE}")
    check_outcome(found)
    if found.left:
        note(f"{found.left} draws are left; the same command goes on.")
