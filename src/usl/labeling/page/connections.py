"""HTTP connections of the page: deadlines, and a small pool for those that are not signed in.

Anybody who reaches the port can open connections. Until a connection has shown the session cookie
it is a stranger's: its requests must be complete within seconds, and there are few places for
strangers, so that they can neither keep signed-in people out nor use up the file descriptors. Who
comes when all places are taken gets that of the oldest, of the network that holds most of them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from usl.labeling.page.hosts import network_of

STRANGERS = 64  # connections that are not signed in
PATIENCE = 5.0  # seconds in which a stranger's request must be complete, head and body
PATIENCE_SIGNED_IN = 30.0  # a slow line may take longer for many answers
KEEP_ALIVE = 75  # seconds between requests once signed in; the page asks every five
PAUSE = 0.2  # seconds without accepting while no file descriptor is free
NO_MORE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Strangers:
    """The connections that are not signed in, by age, with the networks they come from."""

    def __init__(self, most: int = STRANGERS) -> None:
        self.most = most
        self._networks: dict[Connection, str] = {}

    def enter(self, connection: Connection, address: str) -> None:
        """Take one in; where there are too many, an old one of the busiest network goes."""
        self._networks[connection] = network_of(address)
        if len(self._networks) > self.most:
            self.drop_one()

    def leave(self, connection: Connection) -> None:
        """Forget one: it is closed, or signed in."""
        self._networks.pop(connection, None)

    def drop_one(self) -> None:
        """Close the oldest of the network that has most."""
        busiest = Counter(self._networks.values()).most_common(1)[0][0]
        oldest = next(one for one, network in self._networks.items() if network == busiest)
        self.leave(oldest)
        oldest.drop()

    def drop_all(self) -> None:
        """Close every one."""
        while self._networks:
            self.drop_one()


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with a deadline for every request, and a place among the strangers.

    The application tells of a good cookie by calling ``scope["state"]["signed_in"]()``.
    """

    def __init__(self, strangers: Strangers, **options: Any) -> None:
        super().__init__(**options)
        self._strangers = strangers
        self._deadline: asyncio.TimerHandle | None = None
        self._patience = PATIENCE
        self.timeout_keep_alive = PATIENCE  # type: ignore[assignment]  # any number will do
        self.app_state = {**self.app_state, "signed_in": self.signed_in}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, and begin to wait for a request."""
        super().connection_made(transport)
        self._strangers.enter(self, self.client[0] if self.client else "")
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._strangers.leave(self)
        self._stop_waiting()
        super().connection_lost(exc)

    def signed_in(self) -> None:
        """Leave the strangers: this connection has shown the cookie."""
        self._strangers.leave(self)
        self._patience, self.timeout_keep_alive = PATIENCE_SIGNED_IN, KEEP_ALIVE
        if self._deadline is not None:  # the body is still on its way
            self._stop_waiting()
            self._watch()

    def handle_events(self) -> None:
        """Begin, go on with or end the wait for a complete request."""
        super().handle_events()
        self._watch()

    def drop(self) -> None:
        """Close at once, whatever is under way."""
        self._stop_waiting()
        self.transport.abort()

    def _watch(self) -> None:
        waits = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not waits:
            self._stop_waiting()
        elif self._deadline is None and self.timeout_keep_alive_task is None:
            self._deadline = self.loop.call_later(self._patience, self.drop)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def accept(
    listening: socket.socket,
    protocol: Callable[[], Connection],
    strangers: Strangers,
    tell: Callable[[str], None],
) -> None:
    """Accept connections, one at a time, until cancelled.

    Python's own loop takes up to 2,048 in one go, and where no file descriptor is free it tries
    again for each of them, with a traceback for every try. Here the strangers are closed, all wait
    for a moment, and it is told once.
    """
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    told = False
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
        except OSError as error:
            if error.errno in NO_MORE:
                strangers.drop_all()
                if not told:
                    told = True
                    tell(
                        f"Warning: no further connections ({error.strerror}); new visitors wait. "
                        "Allow more open files (ulimit -n) if this stays."
                    )
            await asyncio.sleep(PAUSE)  # else a visitor who left before he was let in
            continue
        try:
            await loop.connect_accepted_socket(protocol, connection)
        except OSError:  # gone again
            connection.close()
