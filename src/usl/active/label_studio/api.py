"""Label Studio's own API, as far as it is asked: JSON over HTTP, on one connection.

No redirect is followed, and no proxy is asked: the token goes to the address that was given, or
nowhere. What may pass by itself, as a server that is not there, is :class:`AwayError`; what a
person has to mend is :class:`DataError`.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from usl.core.errors import DataError, UsageError

PATIENCE = 60.0  # seconds until an answer is given up
MOST = 256_000_000  # bytes of an answer
REFRESH, LASTS = "/api/token/refresh/", 240.0  # seconds that an access token is used: they last 300


class AwayError(Exception):
    """Label Studio cannot be reached, or cannot answer at present."""


class Api:
    """One Label Studio. It may be shared by threads; they wait for each other.

    Parameters
    ----------
    url : its address, with the path it is served under, if any.
    token : an access token of its account page: legacy, or personal.
    """

    def __init__(self, url: str, token: str, *, patience: float = PATIENCE) -> None:
        parts = checked_address("url", url)
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError("token: that is no token of Label Studio; see its account page.")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self.host = str(parts.hostname)
        self._connection = kind(self.host, parts.port, timeout=patience)
        self._root, self._token = parts.path.rstrip("/"), token
        self._access, self._until = "", 0.0
        self._lock = threading.Lock()

    def get(self, path: str) -> Any:
        """What is at a path."""
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What Label Studio answers to a request; None where it says nothing.

        Raises
        ------
        AwayError : it is not there, or has trouble of its own.
        NotThereError : there is nothing at this path.
        DataError : it refuses.
        """
        with self._lock:
            status, content = self._exchange(method, path, body, self._authorization())
        if status >= 500 or status == 429:
            raise AwayError(f"{self.url}{path} answers with status {status}")
        return self._read(status, content, path)

    def _authorization(self) -> str:
        """The header's value; a personal token is exchanged for one that lasts some minutes."""
        if self._token.count(".") != 2:
            return f"Token {self._token}"
        if time.monotonic() > self._until:
            status, content = self._exchange("POST", REFRESH, {"refresh": self._token}, None)
            if status >= 500:
                raise AwayError(f"{self.url} answers with status {status}")
            self._access = str(self._read(status, content, REFRESH).get("access"))
            self._until = time.monotonic() + LASTS
        return f"Bearer {self._access}"

    def _exchange(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[int, bytes]:
        """Status and content. A connection that has been closed meanwhile is opened anew."""
        sent = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "accept": "application/json"}
        if authorization is not None:
            headers["authorization"] = authorization
        for again in (True, False):
            fresh = self._connection.sock is None
            try:
                self._connection.request(method, self._root + path, sent, headers)
                response = self._connection.getresponse()
                content = response.read(MOST + 1)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if again and not fresh and not isinstance(error, TimeoutError):
                    continue
                raise AwayError(f"{self.url} does not answer ({error or 'it hung up'})") from error
            if len(content) > MOST:
                self._connection.close()
                raise DataError(f"{self.url}{path}: an answer of more than {MOST:,} bytes.")
            if response.status in range(300, 400):
                raise DataError(
                    f"{self.url} leads elsewhere, to {response.headers.get('location')}; that is "
                    "not followed. Give that address with --url, if it is yours."
                )
            return response.status, content
        raise AssertionError("unreachable")

    def _read(self, status: int, content: bytes, path: str) -> Any:
        """What was said, or the reason why not as an error."""
        try:
            said = json.loads(content) if content else None
        except ValueError as error:
            if status < 400:
                message = f"{self.url}{path} is no answer of a Label Studio; see --url."
                raise DataError(message) from error
            said = None
        if status in (401, 403):
            raise DataError(
                f"{self.url} does not take the token ({_detail(said, status)}). Copy one from its "
                "account page, of somebody who may change the project."
            )
        if status == 404:
            raise NotThereError(f"{self.url}{path}: {_detail(said, status)}")
        if status >= 400:
            raise DataError(f"{self.url}{path}: {_detail(said, status)}")
        return said


def checked_address(parameter: str, url: str) -> SplitResult:
    """The parts of an address; UsageError for what is none, or has a password in it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UsageError(f"{parameter}: {url!r} is no address such as http://localhost:8080.")
    return parts


class NotThereError(DataError):
    """There is nothing at a path."""


def _detail(said: Any, status: int) -> str:
    """Why it refuses, in its own words."""
    if not isinstance(said, dict):
        return f"status {status}"
    errors = said.get("validation_errors")
    if isinstance(errors, dict):
        parts = [f"{name}: {why}" for name, found in errors.items() for why in _texts(found)]
        return "; ".join(parts)
    return str(said.get("detail") or f"status {status}")


def _texts(found: Any) -> list[str]:
    return [str(one) for one in found] if isinstance(found, list) else [str(found)]
