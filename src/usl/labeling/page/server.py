"""The uvicorn server under the page: its socket, its signals, and the browser that it opens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from usl.core.errors import UsageError
from usl.labeling.page.connections import STRANGERS, Connection, Strangers, accept

GRACE = 2  # seconds that open requests get when the server stops
MOST_AT_ONCE = 256  # connections and requests of people who are signed in


def listen(host: str, port: int, *, wish: int = 0) -> socket.socket:
    """A socket to serve on: ``port``, or where that is 0 ``wish`` if it is free, else any.

    Raises :class:`UsageError` for an address that is not this machine's, or a port that is taken.
    """
    try:
        family, _, _, _, _ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, OverflowError, UnicodeError) as error:
        raise UsageError(f"host: {host!r} is no address ({error}).") from error
    for number in [port] if port else [wish, 0]:
        # Named TCP, for asyncio sends small packets at once (TCP_NODELAY) on such sockets alone.
        opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # elsewhere it would let two servers share a port
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, number))
            opened.listen(128)
            return opened
        except OSError as error:
            opened.close()
            if number == 0 or port:
                raise UsageError(
                    f"host {host}, port {number}: cannot listen there ({error.strerror}). Is the "
                    "page being served already? Choose another port with --port."
                ) from error
        except OverflowError as error:
            opened.close()
            raise UsageError(f"port: {number} is no port; use 0 to 65535.") from error
    raise AssertionError("unreachable")


def address_of(opened: socket.socket, host: str) -> str:
    """The address that a browser on this machine opens."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    port = opened.getsockname()[1]
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


class Server(uvicorn.Server):
    """uvicorn that tells when it is ready, and returns when it is stopped by a signal.

    Parameters
    ----------
    app : the page.
    ready : called once it is served.
    tell : gets what there is to say meanwhile, a line at a time; the default prints on stderr.
    closing : called when it begins to stop, to answer requests that wait for something.
    """

    def __init__(
        self,
        app: ASGIApp,
        ready: Callable[[], None],
        tell: Callable[[str], None] | None = None,
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                log_level="error",
                access_log=False,  # addresses hold tokens
                lifespan="off",
                ws="none",
                proxy_headers=False,  # they would let anybody choose an address of origin
                server_header=False,
                limit_concurrency=MOST_AT_ONCE + STRANGERS,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._ready, self._closing = ready, closing
        self._tell = tell or partial(print, file=sys.stderr)
        self._strangers = Strangers(few_strangers())
        self._accepting: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then say so."""
        await super().startup([])  # uvicorn would accept without bounds
        if self.started:
            taking = (
                accept(one, self._connect, self._strangers, self._tell) for one in sockets or ()
            )
            self._accepting = [asyncio.ensure_future(one) for one in taking]
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, give open requests a moment, then close."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        self._closing()
        await super().shutdown(sockets)

    def _connect(self) -> Connection:
        return Connection(
            self._strangers,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM; unlike uvicorn's own, nothing is raised afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGINT, signal.SIGTERM)
        former = {number: signal.signal(number, self.handle_exit) for number in wanted}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def few_strangers() -> int:
    """How many connections may be not signed in: few of the files that a process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return STRANGERS
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return STRANGERS if most == resource.RLIM_INFINITY else max(2, min(STRANGERS, most // 8))


def open_in_browser(address: str) -> None:
    """Open an address without waiting for the browser."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
