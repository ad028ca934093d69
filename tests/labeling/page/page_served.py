"""``usl label`` in a process of its own, forked from one that has imported it already."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
from pathlib import Path

from usl.active.live import label_live
from usl.labeling.page.serve import serve

PROCESSES = multiprocessing.get_context("forkserver")
PAGE = [f"usl.labeling.page.{name}" for name in ("app", "serve", "server", "page_state", "similar")]
PROCESSES.set_forkserver_preload(["pytest", "sklearn.neighbors", "pyarrow.parquet", *PAGE])


def serve_until_stopped(path, options, prelude, environment, place, said, ready):
    """The life of a server: ``prelude`` first, what it says in the file ``said``, its address."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    os.dup2(os.open(said, os.O_WRONLY | os.O_APPEND), 2)
    sys.stderr = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
    exec(prelude, {})
    begin = label_live if options.pop("live", False) else serve
    begin(path, open_browser=False, ready=ready.send, **options)


class Served:
    """``usl label`` in a process of its own."""

    def __init__(self, path, *, prelude="", **options):
        self.path, self.options, self.prelude = path, options, prelude
        self.start()

    def start(self, **options):
        """Start it, with other options if given; waits until the page is served."""
        self.options |= options
        handle, name = tempfile.mkstemp(suffix=".txt")
        os.close(handle)
        self.file = Path(name)
        heard, ready = PROCESSES.Pipe(duplex=False)
        given = (self.path, self.options, self.prelude, dict(os.environ), os.getcwd(), name, ready)
        self.process = PROCESSES.Process(target=serve_until_stopped, args=given, daemon=True)
        self.process.start()
        ready.close()
        try:
            self.address = heard.recv()
        except EOFError:
            self.process.join()
            raise AssertionError(self.said()) from None
        finally:
            heard.close()
        self.base = self.address.partition("?")[0]
        self.port = int(self.base.split(":")[2].strip("/"))

    @property
    def runs(self):
        """Whether it has not ended yet."""
        return self.process.is_alive()

    def said(self):
        """What it has written on stderr, once it has ended; it is forgotten then."""
        said = self.file.read_text("utf-8")
        self.file.unlink()
        return said

    def kill(self):
        """SIGKILL: nothing gets to say goodbye."""
        self.process.kill()
        self.process.join()
        self.said()

    def stop(self, number=signal.SIGINT):
        """As Ctrl-C does; what was said at the end."""
        os.kill(self.process.pid, number)
        self.process.join(20)
        assert not self.runs
        said = self.said()
        assert self.process.exitcode == 0, said
        return said
