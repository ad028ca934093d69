"""ASGI middleware: who may talk to the backend, and how much at once.

1. Nothing that a browser's page has sent: Label Studio's server talks to this one, and so no page
   of another site can use a password that the browser may have kept.
2. GET and POST only.
3. The password, by HTTP's basic authentication, on every request. No challenge is sent: a browser
   is not to ask for it. It is random, of 256 bits, so that guesses need not be counted.
4. A body of at most ``MAX_BODY`` bytes, whatever its header says.

The Host header is not looked at: Label Studio may know this machine by any name, as one in a
container does, and whoever misleads a browser by such a name does not know the password.
"""

from __future__ import annotations

import base64
import binascii

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from usl.labeling.page.auth import same
from usl.labeling.page.guard import limited

MAX_BODY = 64_000_000  # bytes: a thousand tasks with their annotations and predictions
BROWSERS = ("origin", "sec-fetch-site", "sec-fetch-mode")


class Guard:
    """ASGI middleware around the backend's routes.

    Parameters
    ----------
    app : the routes.
    password : which opens.
    """

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app, self._password = app, password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then hand on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
            await self._app(scope, limited(receive, headers, MAX_BODY), send)
        except ClientDisconnect:
            return
        except HTTPException as refused:
            await refusal(refused.status_code, refused.detail)(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if scope["method"] not in ("GET", "POST"):
            raise HTTPException(405, "Label Studio sends GET and POST.")
        if any(name in headers for name in BROWSERS):
            raise HTTPException(403, "This server talks to Label Studio, not to browsers.")
        if not same(_password(headers.get("authorization", "")), self._password):
            raise HTTPException(401, "The password is missing or wrong; see usl serve-ls.")
        if (tell := scope.get("state", {}).get("signed_in")) is not None:
            tell()  # the connection; see usl.labeling.page.connections


def refusal(status: int, fault: str) -> Response:
    """A refusal in words."""
    return JSONResponse({"error": fault}, status)


def _password(header: str) -> str:
    """The password in a header of basic authentication, empty if there is none."""
    kind, _, rest = header.partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
