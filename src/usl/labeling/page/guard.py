"""What every request must pass before any route sees it, and the headers every answer gets.

1. The Host header must name this server (else another site could bind its name to 127.0.0.1).
2. GET, HEAD and POST only; nothing of another site, but following a link to a page.
3. Writes come from this very page: ``Sec-Fetch-Site: same-origin``, or an Origin equal to the host.
4. A body is at most ``MAX_BODY`` bytes, whatever its header says.
5. A token in the address, or the cookie it became; see :mod:`usl.labeling.page.auth`.

No CORS header is ever sent. The guards read ``scope["path"]``, what routing reads, and never a URL
put together from headers.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usl.labeling.page.auth import Door

MAX_BODY = 1_000_000  # bytes; a thousand answers at once are 200 kB
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN_PATHS = ("/login",)  # beside /static/, which holds nothing of the run
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

Refusal = Callable[[Scope, int, str], Response]


class Refused(Exception):
    """A request that is turned away: HTTP status and what to tell the person."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_hosts(listening: str) -> Callable[[str], bool]:
    """The test of a Host header's name (without port) for a server listening on an address.

    On loopback: its three names. Beyond: also the name given, this machine's own names, and any
    address in digits, for rebinding needs a name.
    """
    names = {*LOOPBACK}
    if is_loopback(listening):
        names.add(listening)
        return names.__contains__
    names |= {listening.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}

    def allowed(name: str) -> bool:
        if name in names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    return allowed


class Guard:
    """ASGI middleware around the whole page.

    Parameters
    ----------
    app : the routes.
    door : tokens, cookie and password.
    allowed : test of a host name, :func:`allowed_hosts`.
    refuse : draws a refusal; gets the scope, the HTTP status and the message.
    """

    def __init__(
        self, app: ASGIApp, *, door: Door, allowed: Callable[[str], bool], refuse: Refusal
    ) -> None:
        self.app, self.door, self.allowed, self.refuse = app, door, allowed, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then hand on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSocket is spoken here
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send)
        try:
            headers = _headers(scope)
            host = self._check_host(headers)
            _check_site(scope, headers, host)
            receive = _limited(receive, headers)
            if (response := self._admit(scope, headers)) is None:
                await self.app(scope, receive, send)
                return
        except Refused as refused:
            response = self.refuse(scope, refused.status, refused.message)
            response.headers.update(refused.headers)
        await response(scope, receive, send)

    def _check_host(self, headers: dict[str, list[str]]) -> str:
        """The Host header, if it names this server."""
        given = headers.get("host", [])
        name = _name_of(given[0]) if len(given) == 1 else ""
        if not name or not self.allowed(name):
            raise Refused(400, "This server does not go by that name. Use the address it printed.")
        return given[0].lower()

    def _admit(self, scope: Scope, headers: dict[str, list[str]]) -> Response | None:
        """None for who may go on; else what to answer."""
        path: str = scope["path"]
        known = any(self.door.knows(value) for value in _cookies(headers, self.door.cookie_name))
        if path == "/" and scope["method"] == "GET":
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            token = query.get("token")
            if token is not None:
                if self.door.opens(token):
                    return signed_in(self.door)
                if known:
                    return RedirectResponse("/", 303)
        if known or path in OPEN_PATHS or path.startswith("/static/"):
            return None
        if self.door.password is not None and path == "/":
            return RedirectResponse("/login", 303)
        raise Refused(
            403,
            "This page is private. Open the address that usl label printed in the terminal, "
            "with the token at its end.",
        )


def signed_in(door: Door) -> Response:
    """To the page, with the cookie and without the token."""
    response = RedirectResponse("/", 303)
    response.set_cookie(door.cookie_name, door.cookie, httponly=True, samesite="lax", path="/")
    return response


def _headers(scope: Scope) -> dict[str, list[str]]:
    """Header values by lower-case name, every occurrence."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _name_of(host: str) -> str:
    """The name in a Host header: without the port, IPv6 without brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _check_site(scope: Scope, headers: dict[str, list[str]], host: str) -> None:
    """Turn away what another site's page asked for."""
    method = scope["method"]
    if method not in ("GET", "HEAD", "POST"):
        raise Refused(405, f"{method} is not understood.", {"allow": "GET, HEAD, POST"})
    site = headers.get("sec-fetch-site", [])
    origins = headers.get("origin", [])
    if method == "POST":
        own = origins == [f"http://{host}"] or origins == [f"https://{host}"]
        if site not in ([], ["same-origin"]) or not (own or (not origins and site)):
            raise Refused(403, "Answers are taken from this server's own page only.")
        return
    link = headers.get("sec-fetch-mode") == ["navigate"] and headers.get("sec-fetch-dest") in (
        ["document"],
        None,
    )
    if site not in ([], ["same-origin"], ["none"]) and not link:
        raise Refused(403, "Another site may not load this.")


def _cookies(headers: dict[str, list[str]], name: str) -> list[str]:
    """Values of a cookie; several if other servers of this host set some, too."""
    found = []
    for header in headers.get("cookie", []):
        for part in header.split(";"):
            try:
                jar = SimpleCookie(part.strip())
            except CookieError:
                continue
            found += [jar[name].value] if name in jar else []
    return found


def _limited(receive: Receive, headers: dict[str, list[str]]) -> Receive:
    """Let at most ``MAX_BODY`` bytes through."""
    for value in headers.get("content-length", []):
        if not value.isdigit() or len(value) > 12 or int(value) > MAX_BODY:
            raise Refused(413, f"Too much at once; {MAX_BODY} bytes are the limit.")
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise Refused(413, f"Too much at once; {MAX_BODY} bytes are the limit.")
        return message

    return limited


def _with_headers(send: Send) -> Send:
    """Put the security headers on every answer."""
    extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = message.get("headers", [])
            kept = [pair for pair in own if pair[0].lower().decode("latin-1") not in HEADERS]
            message = {**message, "headers": [*kept, *extra]}
        await send(message)

    return sender
