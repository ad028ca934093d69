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
import ipaddress
import json
import os
import secrets
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from usl.core.errors import DataError, UslWarning
from usl.core.files import atomic_write, cache_dir
from usl.core.hashing import bytes_digest
from usl.labeling.page.hosts import ip_address

FREE_TRIES = 5  # wrong passwords before the waiting begins
LONGEST_WAIT = 300.0  # seconds
REMEMBERED = 10_000  # addresses


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

    Counted by address (IPv6: by its /64 network, of which one machine has all).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[int, float]] = {}  # tries, when the next one is heard
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Seconds until this address is heard again; 0 if it is now."""
        _, until = self._failed.get(_network(address), (0, 0.0))
        return max(0.0, until - self._clock())

    def failed(self, address: str) -> None:
        """Count a wrong password."""
        with self._lock:
            key = _network(address)
            tries = self._failed.pop(key, (0, 0.0))[0] + 1
            pause = min(LONGEST_WAIT, 2.0 ** (tries - FREE_TRIES)) if tries >= FREE_TRIES else 0.0
            self._failed[key] = (tries, self._clock() + pause)
            while len(self._failed) > REMEMBERED:
                del self._failed[next(iter(self._failed))]

    def succeeded(self, address: str) -> None:
        """Forget an address's wrong tries."""
        with self._lock:
            self._failed.pop(_network(address), None)


def _network(address: str) -> str:
    found = ip_address(address)
    if found is None or found.version == 4:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))


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
        used = {ticket for ticket in tuple(self._tickets) if _same(token, ticket)}
        self._tickets -= used
        return _same(token, self.token) or bool(used)

    def knows(self, cookie: str) -> bool:
        """Tell whether a cookie is ours."""
        return _same(cookie, self.cookie)

    def unlocks(self, password: str) -> bool:
        """Compare a password, in constant time."""
        return self.password is not None and _same(password, self.password)


def _same(given: str, right: str) -> bool:
    """Compare in a time that tells neither content nor length."""
    digests = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, right)]
    return hmac.compare_digest(*digests)
