"""Worker processes: units of work on several cores, each in a process of its own.

A process that dies takes nothing with it but what its unit had not sent yet: the others go on.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from usl.benchmarking.ledger import Line
from usl.benchmarking.units import Unit, work
from usl.core.progress import Progress, silent

DONE = "done"
GRACE = 5.0  # seconds that a process has to end after its last word


@dataclass(frozen=True)
class Crash:
    """A unit whose process ended without finishing; ``why`` in words, or a traceback."""

    unit: Unit
    why: str


def run_units(
    units: Iterable[Unit],
    keep: Callable[[list[Line]], None],
    *,
    jobs: int,
    until: float | None = None,
    progress: Progress = silent,
) -> list[Crash]:
    """Work on all units, ``jobs`` at a time, each on one core; returns those that crashed.

    Parameters
    ----------
    keep : called with lines as they come, in this process.
    until : :func:`time.monotonic` after which no more unit is begun.
    """
    waiting = list(units)
    total, finished = len(waiting), 0
    waiting.reverse()
    running: dict[Connection, tuple[Unit, Any]] = {}
    crashes: list[Crash] = []
    context = get_context("spawn")  # a fork of a process with threads may hang
    try:
        while waiting or running:
            late = until is not None and time.monotonic() >= until
            while waiting and len(running) < jobs and not late:
                unit = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(unit, theirs), daemon=True)
                process.start()
                theirs.close()  # so that its end is seen here
                running[ours] = unit, process
            if not running:
                break
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                unit, process = running[connection]
                try:
                    said = connection.recv()
                except EOFError:
                    process.join(GRACE)
                    crashes.append(Crash(unit, _how_ended(process.exitcode)))
                else:
                    if isinstance(said, list):
                        keep(said)
                        continue
                    if said != DONE:
                        crashes.append(Crash(unit, said))
                del running[connection]
                connection.close()
                process.join(GRACE)
                finished += 1
                progress(finished, total, "draws")
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join(GRACE)
    return crashes


def _work(unit: Unit, connection: Connection) -> None:
    """One process: send the lines of a unit, then a last word."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import warnings

    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")  # a method's remarks on its own clamps; rows tell the rest
    with suppress(BrokenPipeError, KeyboardInterrupt):  # nobody listens any more
        try:
            with threadpool_limits(1):
                for line in work(unit):
                    connection.send([line])
            connection.send(DONE)
        except BrokenPipeError:
            raise
        except Exception:
            connection.send(traceback.format_exc())


def _how_ended(code: int | None) -> str:
    """What an exit code says."""
    if code is not None and code < 0:
        killed = " Was memory short? Try --jobs 1." if code == -9 else ""
        return f"the process was ended by signal {-code}.{killed}"
    return f"the process ended with exit code {code}."
