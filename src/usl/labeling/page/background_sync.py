"""Background sync: brings answers into ``split.csv`` when nobody has answered for a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

QUIET = 2.0  # seconds without an answer


class BackgroundSync:
    """Calls ``settle`` in a thread of its own, ``quiet`` seconds after the last :meth:`touch`."""

    def __init__(self, settle: Callable[[], object], *, quiet: float = QUIET) -> None:
        self._settle, self._quiet = settle, quiet
        self._touches: SimpleQueue[bool] = SimpleQueue()  # False: stop
        self.fault = ""  # why the last attempt failed
        self._thread = threading.Thread(target=self._work, name="settle", daemon=True)
        self._thread.start()

    def touch(self) -> None:
        """There is something new."""
        self._touches.put(True)

    def close(self) -> None:
        """Stop the thread; what is new by then is for the caller to settle."""
        self._touches.put(False)
        self._thread.join()

    def _work(self) -> None:
        while self._touches.get():
            try:
                while self._touches.get(timeout=self._quiet):
                    pass
                return
            except Empty:  # nobody has answered for a moment
                pass
            try:
                self._settle()
                self.fault = ""
            except Exception as error:  # a file that is open elsewhere, say; the next time may do
                self.fault = str(error)
