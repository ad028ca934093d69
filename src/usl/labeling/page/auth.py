"""Authentication: a token in the address becomes a session cookie; beyond this machine, a password.

As Jupyter does it. The address printed in the terminal holds a random token; opening it sets a
cookie and leads to the same page without the token, so that it stays in no history and on no
screenshot. The cookie is an HMAC: restarting the server on the same run keeps open pages signed
in, another password or run does not. All comparisons take constant time.

Starlette's ``SessionMiddleware`` signs data that a browser keeps, which needs one more package;
here is nothing to keep but the fact of having been let in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from usl.core.errors import DataError, UslWarning
from usl.core.files import atomic_write, cache_dir
from usl.core.hashing import bytes_digest
from usl.labeling.page.hosts import network_of

FREE_TRIES = 5  # wrong passwords before the waiting begins
LONGEST_WAIT = 300.0  # seconds
REMEMBERED = 10_000  # addresses
MOST_TRIES, WINDOW = 100, 300.0  # tries of all addresses together, in so many seconds


@dataclass(frozen=True)
class Keyring:
    """What outlives a restart: the key of the cookies, and the port the page was on."""

    path: Path
    name: str
    secret: bytes
    port: int = 0

    @classmethod
    def of_run(cls, run_path: Path) -> Keyring:
        """Read the run's keyring from the cache folder, or make one; only its owner can read it."""
        name = bytes_digest(os.fsencode(run_path.resolve()))[:12]
        path = cache_dir() / "labeling" / f"{name}.json"
        try:
            found = json.loads(path.read_text())
            return cls(path, name, bytes.fromhex(found["secret"]), int(found["port"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path, name, secrets.token_bytes(32))

    def keep(self, port: int) -> None:
        """Write it, with the port now in use; a cache that cannot be written is said, and no fault.

        Open pages then have to sign in anew after a restart.
        """
        try:
            with atomic_write(self.path, "w") as handle:
                if os.chmod in os.supports_fd:
                    os.chmod(handle.fileno(), 0o600)
                json.dump({"secret": self.secret.hex(), "port": port}, handle)
        except (OSError, DataError) as error:
            why = error.__cause__ or error
            warnings.warn(
                f"cache: {self.path.parent} cannot be written ({why}). After a restart of the "
                "server, open pages will have to be opened anew.",
                UslWarning,
                stacklevel=2,
            )


class Throttle:
    """Rate limit against guessing: after a few wrong tries every further one doubles the wait.

    Counted by address (see :func:`usl.labeling.page.hosts.network_of`), and over all of them, for
    somebody may have many. A try is counted before it is looked at, so that many at once are no
    more than many in turn.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: dict[str, tuple[int, float]] = {}  # how many, when the next one is heard
        self._all: deque[float] = deque()  # when tries of all addresses were counted, of late
        self._lock = threading.Lock()

    def reserve(self, address: str) -> float:
        """Count a try, which may then be looked at; or the seconds to wait if it may not."""
        with self._lock:
            key, now = network_of(address), self._clock()
            if (wait := self._wait(key, now)) > 0:
                return wait
            tries = self._tries.pop(key, (0, 0.0))[0] + 1
            pause = min(LONGEST_WAIT, 2.0 ** (tries - FREE_TRIES)) if tries >= FREE_TRIES else 0.0
            self._tries[key] = (tries, now + pause)
            while len(self._tries) > REMEMBERED:
                del self._tries[next(iter(self._tries))]
            self._all.append(now)
            return 0.0

    def succeeded(self, address: str) -> None:
        """Give a reserved try back, and forget the address's wrong ones."""
        with self._lock:
            self._tries.pop(network_of(address), None)
            if self._all:
                self._all.pop()

    def _wait(self, key: str, now: float) -> float:
        while self._all and self._all[0] + WINDOW <= now:
            self._all.popleft()
        until = self._tries.get(key, (0, 0.0))[1]
        if len(self._all) >= MOST_TRIES:
            until = max(until, self._all[0] + WINDOW)
        return max(0.0, until - now)


@dataclass
class Auth:
    """The tokens, the session cookie and the password of one server."""

    keyring: Keyring
    password: str | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    throttle: Throttle = field(default_factory=Throttle)

    def __post_init__(self) -> None:
        """Derive the cookie."""
        given = b"password:" + self.password.encode() if self.password is not None else b"open"
        self.cookie_name = f"usl-{self.keyring.name}"
        self.cookie = hmac.digest(self.keyring.secret, given, "sha256").hex()
        self._tickets: set[str] = set()

    def ticket(self) -> str:
        """A token that opens once: for the browser's command line, which others can read."""
        ticket = secrets.token_urlsafe(32)
        self._tickets.add(ticket)
        return ticket

    def opens(self, token: str) -> bool:
        """Tell whether a token from an address is good; a ticket is used up by this."""
        used = {ticket for ticket in tuple(self._tickets) if same(token, ticket)}
        self._tickets -= used
        return same(token, self.token) or bool(used)

    def knows(self, cookie: str) -> bool:
        """Tell whether a cookie is ours."""
        return same(cookie, self.cookie)

    def unlocks(self, password: str) -> bool:
        """Compare a password, in constant time."""
        return self.password is not None and same(password, self.password)


def same(given: str, right: str) -> bool:
    """Compare in a time that tells neither content nor length."""
    digests = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, right)]
    return hmac.compare_digest(*digests)
