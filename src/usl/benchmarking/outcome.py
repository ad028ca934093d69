"""Outcome of a benchmark: its standings, what is left to do, and what failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from usl.benchmarking.ledger import Line
from usl.benchmarking.plan import Plan
from usl.benchmarking.pools import Pool
from usl.benchmarking.summary import Standing, Table
from usl.benchmarking.workers import Crash
from usl.core.errors import UslError


class BenchmarkError(UslError):
    """Some of the work failed; all that was finished is kept."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's outcome.

    ``table``, ``standings``: of accuracies, or of areas under curves where the plan has rounds.
    ``reference``: the plan's, or the first method that has rows. ``left``: draws that are not done
    yet, where a time limit stopped it. ``failures``: lines of selections, scores or curves that
    ended with an error. ``crashes``: draws whose process died.
    """

    plan: Plan
    pools: tuple[Pool, ...]
    table: Table
    reference: str
    standings: list[Standing]
    left: int
    failures: tuple[Line, ...]
    crashes: tuple[Crash, ...]
    out: Path


def check_outcome(found: Benchmark) -> None:
    """:class:`BenchmarkError` if anything failed: what, why, and how to go on."""
    parts = []
    if found.failures:
        first = found.failures[0]
        where = f"{first['method']} on {first['dataset']} with {first['budget']} labels"
        what = "selections" if found.plan.rounds is None else "curves"
        parts.append(
            f"{len(found.failures)} {what} failed, the first: {where}, seed "
            f"{first['seed']}: {first['error']}"
        )
    if found.crashes:
        first_crash = found.crashes[0]
        parts.append(
            f"{len(found.crashes)} draws stopped half way, the first ({first_crash.unit.name}): "
            f"{first_crash.why.strip()}"
        )
    if parts:
        raise BenchmarkError(
            "\n".join(parts) + f"\nFinished rows are kept in {found.out}; the same command again "
            "does what is missing."
        )
