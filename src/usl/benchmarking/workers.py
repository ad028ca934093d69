"""Worker processes: units of work on several cores, each in a process of its own.

A process that dies takes nothing with it but what its unit had not sent yet: the others go on. When
this process dies, however it does, its workers end with it.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol

from usl.core.progress import Progress, Stage, expect, silent

if TYPE_CHECKING:  # a worker imports it when it is watched over
    from usl.benchmarking.ledger import Line

DONE = "done"
GRACE = 5.0  # seconds that a process has to end after its last word
TABLES = 2.0  # seconds that tables and plots take afterwards
LOOK = 0.2  # seconds between looks whether a signal has come


class Unit(Protocol):
    """What one process does."""

    @property
    def name(self) -> str:
        """In messages."""

    def seconds(self) -> list[float]:
        """What each of its lines may take on one core, in their order."""

    def work(self) -> Iterator[Line]:
        """Do it, and yield its lines."""


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
    name: str = "lines",
    later: Sequence[Stage] = (),
    progress: Progress = silent,
) -> list[Crash]:
    """Work on all units, ``jobs`` at a time, each on one core; returns those that crashed.

    Parameters
    ----------
    keep : called with lines as they come, in this process.
    until : :func:`time.monotonic` after which no more unit is begun.
    name, later : what progress calls this work, and what comes after it.
    """
    waiting = list(units)
    planned = [unit.seconds() for unit in waiting]
    sizes = list(chain(*planned))
    total, finished = len(sizes), 0  # lines
    expect(progress, Stage(name, sum(sizes) / jobs, sizes=sizes), *later, Stage("tables", TABLES))
    progress(0, total, name)
    due = dict(zip(map(id, waiting), map(len, planned), strict=True))
    waiting.reverse()
    running: dict[Connection, tuple[Unit, Any]] = {}
    crashes: list[Crash] = []
    context = get_context("spawn")  # a fork of a process with threads may hang
    with signals_wait() as stopped:
        try:
            while (waiting or running) and not stopped:
                late = until is not None and time.monotonic() >= until
                while waiting and len(running) < jobs and not late:
                    unit = waiting.pop()
                    ours, theirs = context.Pipe(duplex=False)
                    process = context.Process(
                        target=_work, args=(pickle.dumps(unit), theirs), daemon=True
                    )
                    start(process)
                    theirs.close()  # so that its end is seen here
                    running[ours] = unit, process
                if not running:
                    break
                for connection in wait(list(running), timeout=LOOK):
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
                            due[id(unit)] -= len(said)
                            finished += len(said)
                            progress(finished, total, name)
                            continue
                        if said != DONE:
                            crashes.append(Crash(unit, said))
                    del running[connection]
                    connection.close()
                    process.join(GRACE)
                    if missing := due.pop(id(unit)):  # what failed has fewer lines
                        finished += missing
                        progress(finished, total, name)
        finally:
            for _, process in running.values():
                process.kill()
            for _, process in running.values():
                process.join(GRACE)
    return crashes


@contextmanager
def signals_wait() -> Iterator[list[int]]:
    """Yield the signals to stop that have come so far; the first is raised when the block ends.

    An exception in the midst of starting a process would leave one that is neither whole nor known.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield caught
        return
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.signal(one, lambda number, _: caught.append(number)) for one in wanted}
    try:
        yield caught
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in caught[:1]:
            signal.raise_signal(number)


def start(process: Any) -> None:
    """Start a worker that Ctrl-C does not reach: this process sees it, and ends the workers."""
    if not hasattr(signal, "pthread_sigmask"):
        process.start()
        return
    resource_tracker.ensure_running()  # its start, too, changes which signals are blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the new process inherits
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """See to it that this process ends when the one that started it does."""
    if sys.platform == "linux":  # at once, whatever is being computed
        import ctypes

        death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(pickled: bytes, connection: Connection) -> None:
    """One process: send the lines of a unit, then a last word."""
    end_with_parent()
    os.environ["OMP_NUM_THREADS"] = "1"
    import warnings

    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")  # a method's remarks on its own clamps; rows tell the rest
    with suppress(BrokenPipeError, KeyboardInterrupt):  # nobody listens any more
        try:
            with threadpool_limits(1):
                for line in pickle.loads(pickled).work():
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
