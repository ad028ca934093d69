"""Brings answers into ``split.csv`` when nobody has answered for a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

QUIET = 2.0  # seconds without an answer


class BackgroundSync:
    """Calls ``settle`` in a thread of its own, ``quiet`` seconds after the last :meth:`touch`."""

    def __init__(self, settle: Callable[[], object], *, quiet: float = QUIET) -> None:
        self._settle, self._quiet = settle, quiet
        self._due = threading.Event()
        self._touched = threading.Event()
        self._closed = threading.Event()
        self.fault = ""  # why the last attempt failed
        self._thread = threading.Thread(target=self._work, name="settle", daemon=True)
        self._thread.start()

    def touch(self) -> None:
        """There is something new."""
        self._touched.set()
        self._due.set()

    def close(self) -> None:
        """Stop the thread; what is new by then is for the caller to settle."""
        self._closed.set()
        self._due.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            while not self._closed.is_set() and self._touched.is_set():
                self._touched.clear()
                self._closed.wait(self._quiet)
            if self._closed.is_set():
                return
            try:
                self._settle()
                self.fault = ""
            except Exception as error:  # a file that is open elsewhere, say; the next time may do
                self.fault = str(error)
