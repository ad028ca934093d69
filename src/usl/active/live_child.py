"""The child process of :mod:`usl.active.live`: learns, as often as it is asked to.

The first line of JSON on standard input says of which run; every further line asks for an order,
which comes as a line of JSON: a :class:`usl.labeling.page.queue.Order`, or its ``fault``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
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


def _orders(asked: dict[str, Any]) -> Any:
    """An order for each line that comes; the last is the fault that ends it all."""
    from usl.active.live_model import LiveModel
    from usl.labeling.answers.store import Store
    from usl.training.open_run import open_run

    try:
        opened = open_run(asked.pop("run"), source=asked.pop("source"))
        with Store.open(opened.run.path) as store:
            model = LiveModel(opened, store, **asked)
            for _ in sys.stdin:
                yield asdict(model.order())
    except (UslError, MemoryError, OSError) as error:
        yield {"fault": str(error) or type(error).__name__}
