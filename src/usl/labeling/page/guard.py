"""ASGI middleware: the checks that every request must pass, and the headers of every answer.

1. The Host header must name this server, against DNS rebinding; see
   :mod:`usl.labeling.page.hosts`.
2. GET, HEAD and POST only; nothing of another site, but following a link to a page.
3. Against CSRF, writes come from this very page: ``Sec-Fetch-Site: same-origin``, or an Origin
   equal to the host.
4. A body is at most ``MAX_BODY`` bytes, one of answers ``MAX_ANSWERS``, whatever its header says.
5. A token in the address, or the cookie it became; see :mod:`usl.labeling.page.auth`.

Every answer has a Content-Security-Policy and is never stored. No CORS header is ever sent. The
guards read ``scope["path"]``, what routing reads, and never a URL put together from headers.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usl.labeling.page.auth import Auth
from usl.labeling.page.hosts import allowed_hosts, host_name

MAX_BODY = 1_000_000  # bytes
MAX_ANSWERS = 4_000_000  # the names of some hundred images may be 4 kB each
PAGES = ("/", "/look", "/sweep")  # which may be opened with a token
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

Refusal = Callable[[Scope, Exception], Response]


class Guard:
    """ASGI middleware around the whole page.

    Parameters
    ----------
    app : the routes.
    auth : tokens, cookie and password.
    listening : the address that the server listens on.
    refuse : draws a refusal, an :class:`HTTPException`.
    """

    def __init__(self, app: ASGIApp, *, auth: Auth, listening: str, refuse: Refusal) -> None:
        self.app, self.auth, self.refuse = app, auth, refuse
        self.allowed = allowed_hosts(listening)

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
            headers = Headers(scope=scope)
            host = self._check_host(headers)
            _check_site(scope, headers, host)
            answers = scope["path"] in ("/api/operations", "/api/sweep/operations")
            receive = limited(receive, headers, MAX_ANSWERS if answers else MAX_BODY)
            if (response := self._admit(scope, headers)) is None:
                await self.app(scope, receive, send)
                return
        except ClientDisconnect:  # in the middle of a request
            return
        except HTTPException as refused:
            response = self.refuse(scope, refused)
        await response(scope, receive, send)

    def _check_host(self, headers: Headers) -> str:
        """The Host header, if it names this server."""
        given = headers.getlist("host")
        name = host_name(given[0]) if len(given) == 1 else ""
        if not name or not self.allowed(name):
            message = "This server does not go by that name. Use the address it printed."
            raise HTTPException(400, message)
        return given[0].lower()

    def _admit(self, scope: Scope, headers: Headers) -> Response | None:
        """None for who may go on; else what to answer."""
        path: str = scope["path"]
        known = any(map(self.auth.knows, _cookies(headers, self.auth.cookie_name)))
        if known and (tell := scope.get("state", {}).get("signed_in")) is not None:
            tell()  # the connection; see usl.labeling.page.connections
        if path in PAGES and scope["method"] == "GET":
            token = QueryParams(scope["query_string"]).get("token")
            if token and self.auth.opens(token):
                return signed_in(self.auth, path)
            if token and known:
                return RedirectResponse(path, 303)
        if known or path in OPEN_PATHS or path.startswith("/static/"):
            return None
        if self.auth.password is not None and path in PAGES:
            return RedirectResponse("/login", 303)
        raise HTTPException(
            403,
            "This page is private. Open the address that usl label printed in the terminal, "
            "with the token at its end.",
        )


def signed_in(auth: Auth, path: str = "/") -> Response:
    """To a page, with the cookie and without the token."""
    response = RedirectResponse(path, 303)
    response.set_cookie(auth.cookie_name, auth.cookie, httponly=True, samesite="lax", path="/")
    return response


def _check_site(scope: Scope, headers: Headers, host: str) -> None:
    """Turn away what another site's page asked for."""
    method = scope["method"]
    if method not in ("GET", "HEAD", "POST"):
        raise HTTPException(405, f"{method} is not understood.", {"allow": "GET, HEAD, POST"})
    site = headers.getlist("sec-fetch-site")
    origins = headers.getlist("origin")
    if method == "POST":
        own = origins == [f"http://{host}"] or origins == [f"https://{host}"]
        if site not in ([], ["same-origin"]) or not (own or (not origins and site)):
            raise HTTPException(403, "Answers are taken from this server's own page only.")
        return
    document = headers.getlist("sec-fetch-dest") in (["document"], [])
    link = headers.getlist("sec-fetch-mode") == ["navigate"] and document
    if site not in ([], ["same-origin"], ["none"]) and not link:
        raise HTTPException(403, "Another site may not load this.")


def _cookies(headers: Headers, name: str) -> list[str]:
    """Values of a cookie; several if other servers of this host set some, too.

    ``Request.cookies`` would keep the last one alone.
    """
    parts = ";".join(headers.getlist("cookie")).split(";")
    pairs = (part.strip().partition("=") for part in parts)
    return [value for key, _, value in pairs if key == name]


def limited(receive: Receive, headers: Headers, most: int) -> Receive:
    """Let at most so many bytes of a body through; HTTPException for more."""
    too_large = HTTPException(413, f"Too much at once; {most} bytes are the limit.")
    for value in headers.getlist("content-length"):
        if not value.isdigit() or len(value) > 12 or int(value) > most:
            raise too_large
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise too_large
        return message

    return counted


def _with_headers(send: Send) -> Send:
    """Put the security headers on every answer."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sender
