"""Compare selection methods or query strategies, as a plan says. Stopped, it goes on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from usl.benchmarking.outcome import check_outcome
from usl.benchmarking.page import PAGE, interval, rank_text
from usl.benchmarking.run import benchmark as run
from usl.cli.options import verb
from usl.cli.shared import Json
from usl.console import bars, note, print_json, print_table, say
from usl.core.words import counted, verb_for


@verb(run)
def benchmark(plan: str, /, *, out: Path, json: Json = False, **options: Any) -> None:
    """Print the standings of the methods."""
    with bars() as progress:
        found = run(plan, out, **options, progress=progress)
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
        figure = "accuracy %" if found.plan.rounds is None else "area %"
        print_table(["method", "average rank", figure, f"over {reference}"], rows)
        say(f"All tables and plots: {out / PAGE}")
    check_outcome(found)
    if found.left:
        left = f"{counted(found.left, 'draw')} {verb_for(found.left, 'is', 'are')} left"
        note(f"{left}; the same command goes on.")
