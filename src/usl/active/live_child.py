"""The child process of :mod:`usl.active.live`: learns, as often as it is asked to.

The first line of JSON on standard input says of which run; every further line asks for an order,
which comes as a line of JSON: a :class:`usl.labeling.page.queue.Order`, or the ``fault`` why there
is none, and whether it is ``over`` for good.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from usl.core.errors import UslError

POLITE = 5  # steps of niceness: the page comes first


def main() -> None:
    """Serve until standard input ends, as it does when the parent does, however that ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a method may print
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends this one
    with suppress(AttributeError, OSError):  # Windows has none
        os.nice(POLITE)
    asked = json.loads(sys.stdin.readline())
    for said in _orders(asked):
        answers.write(json.dumps(said) + "\n")
        answers.flush()


def _orders(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An order, or a fault, for each line that comes."""
    from usl.active.live_model import LiveModel
    from usl.labeling.answers.store import Store
    from usl.training.open_run import open_run

    try:
        opened = open_run(asked.pop("run"), source=asked.pop("source"))
        store = Store.open(opened.run.path)
        model = LiveModel(opened, store, **asked)
    except (UslError, MemoryError, OSError) as error:
        yield {"fault": _words(error), "over": True}
        return
    for _ in sys.stdin:
        try:
            yield asdict(model.order())
        except (UslError, MemoryError, OSError) as error:  # the next answers may help
            yield {"fault": _words(error), "over": False}


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
