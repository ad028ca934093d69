"""``usl label --live``: a model learns along with the answers, and what it wants is asked next.

The page serves from a queue and never waits (:mod:`usl.labeling.page.queue`). A process of its own
learns from all answers there are, as soon as there are new ones, and puts the queue in order; it
runs at low priority, so that the page is as quick as without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol

import numpy as np

from usl.active.contract import DEFAULT, STRATEGIES, refuse_oracle
from usl.core.errors import DataError, UsageError
from usl.core.methods import find_method
from usl.core.seeds import seed_number
from usl.data.collection import Collection
from usl.labeling.answers.live import SUGGEST, live_round
from usl.labeling.answers.store import Store
from usl.labeling.page.queue import Order, Queue
from usl.labeling.page.serve import serve
from usl.run.excluded import read_excluded
from usl.run.folder import Run
from usl.run.split import Split
from usl.selection.contract import METHODS
from usl.training.contract import DEFAULT as LEARNER
from usl.training.contract import FROZEN

COMMAND = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); " + (
    "from usl.active.live_child import main; main()"
)
STOPPED = "The model does not learn:"
FAILED = "The model could not learn from the last answers:"
ENDED = (
    "The model does not learn any more: its process has ended (out of memory?). What is asked next "
    "stays in the last order. To learn again, stop this server and start it anew; nothing is lost."
)


def label_live(
    run: Run | str | os.PathLike[str],
    *,
    suggest: bool = False,
    method: str = DEFAULT,
    learner: str = LEARNER,
    seed: int = 0,
    source: str | None = None,
    **options: Any,
) -> None:
    """Serve the labelling page of a run with a model that learns from every answer.

    What would teach it most is asked next. The answers are labels like all others, under a round
    ``live-1``; the model itself is not kept: :func:`usl.train` makes one.

    Parameters
    ----------
    run : run folder.
    suggest : show the model's class above the others, with its probability. Faster,
        but people tend to agree with what they are shown; the report tells for which answers.
    method : how the next image is chosen, a query strategy or a selection method.
    learner : the training method on frozen features that learns along.
    seed : of every random draw.
    source : where the images are now, if they have moved.
    **options : as of :func:`usl.labeling.page.serve.serve`.

    Raises
    ------
    UsageError : no such strategy or learner; parameters that do not go together.
    DataError : as of :func:`usl.labeling.page.serve.serve`.
    """
    refuse_oracle(method, find_method([STRATEGIES, METHODS], method)[1])
    FROZEN.load(learner)
    settings = {SUGGEST: bool(suggest), "method": method, "learner": learner}
    settings["seed"] = seed_number(seed)
    serve(run, source=source, queue=partial(open_queue, settings, source), **options)


def check_live(live: bool, given: dict[str, Any]) -> None:
    """UsageError for parameters that only a live session has, without one."""
    if not live and (
        names := [name for name in ("suggest", "method", "learner", "seed") if name in given]
    ):
        raise UsageError(f"{names[0]}: goes with --live alone.")


@contextmanager
def open_queue(
    settings: dict[str, Any], source: str | None, run: Run, collection: Collection, store: Store
) -> Iterator[Queue]:
    """The queue of a live round of these settings, put in order by a process meanwhile."""
    one = live_round(store, settings)
    excluded = read_excluded(run.path)
    first = first_images(run.split(), collection, settings["seed"], excluded)
    queue = Queue(store, one, first, suggest=settings[SUGGEST])
    asked = {name: settings[name] for name in ("method", "learner", "seed")}
    learning = Learning(queue, {"run": str(run.path.absolute()), "source": source, **asked})
    queue.wake = learning.wake
    try:
        yield queue
    finally:
        learning.close()


def first_images(
    split: Split, collection: Collection, seed: int, excluded: Set[str] = frozenset()
) -> list[str]:
    """What is asked until there is a model: the run's picks, then all others in random order.

    What the selection ``excluded`` is not asked for.
    """
    here = np.isin(split.ids, collection.ids) & (split.subsets == "train")
    here &= ~np.isin(split.ids, sorted(excluded))
    picked = split.states == "requested"
    rest = np.random.default_rng(seed).permutation(split.ids[here & ~picked])
    return [*split.ids[here & picked].tolist(), *rest.tolist()]


class Orderly(Protocol):
    """What is put in order; ``fault`` says why there is no newer order."""

    fault: str

    def take(self, order: Order) -> None:
        """Go on with a newer order."""


class Learning:
    """The process that learns, and the thread that asks it when there is something new.

    Parameters
    ----------
    queue : is put in order.
    asked : what the process is told at first: the run, its source, and the parameters of
        :class:`usl.active.live_model.LiveModel`.

    Raises
    ------
    DataError : no process can be started.
    """

    def __init__(self, queue: Orderly, asked: dict[str, Any]) -> None:
        self._queue, self._asked = queue, asked
        self._wanted, self._closing = threading.Event(), False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError as error:
            raise DataError(
                f"The model needs a process of its own, and none can be started ({error}). Close "
                "other programs, or label without --live."
            ) from error
        self._thread = threading.Thread(target=self._work, name="learning", daemon=True)
        self._thread.start()
        self.wake()

    def wake(self) -> None:
        """There is something to learn from; what comes during a fit is learnt in the next."""
        self._wanted.set()

    def close(self) -> None:
        """End the process, whatever it is at: nothing is kept there."""
        self._closing = True
        self.wake()
        self._process.kill()
        self._thread.join()
        with suppress(OSError):  # what was not sent yet goes nowhere
            self._process.communicate()

    def _work(self) -> None:
        try:
            self._send(self._asked)
            while True:
                self._wanted.wait()
                self._wanted.clear()
                if self._closing:
                    return
                self._send(None)
                if not self._go_on(self._receive()):
                    return
        except (OSError, ValueError):
            if not self._closing:
                self._queue.fault = ENDED

    def _go_on(self, said: dict[str, Any]) -> bool:
        """Take an order, or tell why there is none; whether there will be others."""
        if "fault" in said:
            self._queue.fault = f"{STOPPED if said['over'] else FAILED} {said['fault']}"
            return not said["over"]
        guesses = {name: (label, sure) for name, (label, sure) in said["guesses"].items()}
        self._queue.take(Order(**said | {"images": tuple(said["images"]), "guesses": guesses}))
        self._queue.fault = ""
        return True

    def _send(self, said: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        """The process's next word. ValueError where it has ended."""
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said
