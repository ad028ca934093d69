"""Routes of the labelling page (Starlette).

========================== =======================================================================
GET  /                     the page; ``?as=NAME`` says who is at work
GET  /review               the same, for settling conflicts
GET  /who                  asks for a name
GET  /login, POST /login   the password, beyond this machine
GET  /api/state            what the page starts from
GET  /api/changes          what became of one's answers since entry ``since``
GET  /api/items            what is shown beside pictures
GET  /api/similar/{row}    images like one
POST /api/operations       answers, undos and classes; each is done once, however often it is sent
GET  /image/{row}/{side}   a picture, its longest side at most ``side``
========================== =======================================================================
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Scope

from usl.core.errors import DataError, UsageError
from usl.labeling.page.auth import Auth
from usl.labeling.page.background_sync import BackgroundSync
from usl.labeling.page.guard import Guard, signed_in
from usl.labeling.page.page_state import PageState

HERE = Path(__file__).parent
NO_MODULE = ("theme", "label")  # one is no module, the other is named itself
MOST_ITEMS = 200  # rows or operations in one request
FAULTS = (HTTPException, UsageError, DataError)  # what a route may raise
TITLES = {400: "Not understood", 403: "No entry", 404: "Not here", 429: "Too many tries"}


def make_app(
    state: PageState, auth: Auth, *, listening: str, sync: BackgroundSync | None = None
) -> ASGIApp:
    """The whole page as an ASGI application, guards included."""
    routes = Routes(state, auth, sync)
    app = Starlette(
        routes=[
            Route("/", routes.page),
            Route("/review", routes.page),
            Route("/who", routes.who),
            Route("/login", routes.login, methods=["GET", "POST"]),
            Route("/api/state", routes.state),
            Route("/api/changes", routes.changes),
            Route("/api/items", routes.items),
            Route("/api/similar/{row:int}", routes.similar),
            Route("/api/operations", routes.operations, methods=["POST"]),
            Route("/image/{row:int}/{side:int}", routes.image),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers=dict.fromkeys(FAULTS, routes.refused),
    )
    return Guard(app, auth=auth, listening=listening, refuse=routes.refuse)


class Routes:
    """What answers the requests; one object per server."""

    def __init__(self, state: PageState, auth: Auth, sync: BackgroundSync | None) -> None:
        self.page_state, self.auth, self.sync = state, auth, sync
        templates = Jinja2Templates(HERE / "templates")  # escapes what it fills in
        templates.env.undefined = StrictUndefined
        self._html = templates.TemplateResponse
        scripts = (HERE / "static").glob("*.js")
        self.modules = sorted(path.name for path in scripts if path.stem not in NO_MODULE)

    # Pages

    def page(self, request: Request) -> Response:
        """Show the page itself; first of all ask for a name where there may be several people."""
        given = request.query_params.get("as")
        review = request.url.path == "/review"
        if given is None and self.page_state.asks():
            return self.who(request, review=review)
        values = {
            "run": self.page_state.run.path.resolve().name,
            "annotator": self.page_state.named(given or ""),
            "mode": "review" if review else "label",
            "identity": self.auth.keyring.name,
            "modules": self.modules,
        }
        return self._html(request, "label.html", values)

    def who(self, request: Request, *, review: bool = False) -> Response:
        """Ask for a name."""
        run = self.page_state.run.path.resolve().name
        values = {"run": run, "people": self.page_state.people(), "review": review}
        return self._html(request, "enter.html", values)

    async def login(self, request: Request) -> Response:
        """Ask for the password, or check one; wrong ones make the next try wait (rate limit)."""
        if self.auth.password is None:
            return RedirectResponse("/", 303)
        address = request.client.host if request.client else ""
        if request.method == "GET":
            return self._html(request, "login.html", {"fault": ""})
        form = await request.form(max_files=0, max_fields=4)
        if (wait := self.auth.throttle.reserve(address)) > 0:  # counted before it is looked at
            seconds = math.ceil(wait)
            message = f"Too many wrong passwords. Wait {seconds} s, then try again."
            headers = {"retry-after": str(seconds)}
            return self._html(request, "login.html", {"fault": message}, 429, headers)
        if self.auth.unlocks(str(form.get("password", ""))):
            self.auth.throttle.succeeded(address)
            return signed_in(self.auth)
        return self._html(request, "login.html", {"fault": "That is not the password."}, 403)

    # Data

    def state(self, request: Request) -> Response:
        """Tell what the page starts from."""
        start = self.page_state.review if _reviewing(request) else self.page_state.state
        return JSONResponse(start(self._annotator(request)))

    def changes(self, request: Request) -> Response:
        """Tell what is new for one annotator."""
        view = self.page_state.view_name(self._annotator(request), _reviewing(request))
        since = _number(request.query_params.get("since", "0"), "since")
        return JSONResponse(self._news(view, since))

    def _news(self, view: str, since: int) -> dict[str, Any]:
        changes = self.page_state.round_view.changes(view, since)
        return {
            "version": self.page_state.round_view.follow(),
            "changes": changes,
            "classes": self.page_state.classes(),
            "fault": "" if self.sync is None else self.sync.fault,
        }

    def items(self, request: Request) -> Response:
        """Tell what is shown beside some pictures."""
        words = request.query_params.get("rows", "").split(",")
        rows = [self._row(_number(word, "rows")) for word in words[:MOST_ITEMS]]
        return JSONResponse(self.page_state.items(rows, review=_reviewing(request)))

    def similar(self, request: Request) -> Response:
        """Tell which images are like one."""
        return JSONResponse(self.page_state.alike(self._row(request.path_params["row"])))

    async def image(self, request: Request) -> Response:
        """Send a picture; the next ones of the round are made ready meanwhile."""
        row, side = self._row(request.path_params["row"]), request.path_params["side"]
        try:
            picture = await self.page_state.pictures.fetch(row, side)
        except DataError as error:
            return JSONResponse({"fault": str(error)}, 422)
        ahead = BackgroundTask(self.page_state.prepare_after, row, side)
        return Response(picture.content, media_type=picture.kind, background=ahead)

    async def operations(self, request: Request) -> Response:
        """Do what the page sends, in order; tell what is done, what cannot be, and what is new."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "Send application/json.")
        try:
            given = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise UsageError("This is not JSON.") from error
        return await run_in_threadpool(self._operate, given)

    def _operate(self, given: Any) -> Response:
        if not isinstance(given, dict) or not isinstance(given.get("operations"), list):
            raise UsageError("operations: send a list.")
        annotator = self.page_state.named(str(given.get("as", "")))
        review = given.get("mode") == "review"
        since = given.get("since")
        done, refused = [], []
        for one in given["operations"][:MOST_ITEMS]:
            if not isinstance(one, dict):
                raise UsageError("operations: send a list of objects.")
            try:
                told = self.page_state.round_view.apply(one, annotator, final=review)
            except UsageError as error:
                refused.append({"key": one.get("key"), "fault": str(error)})
                continue
            done.append(one["key"])
            if told and self.sync is not None:
                self.sync.touch()
        view = self.page_state.view_name(annotator, review)
        news = self._news(view, since if isinstance(since, int) else 0)
        return JSONResponse({**news, "done": done, "refused": refused})

    def _annotator(self, request: Request) -> str:
        return self.page_state.named(request.query_params.get("as", ""))

    def _row(self, row: int) -> int:
        if not 0 <= row < len(self.page_state.ids):
            raise HTTPException(404, "There is no such image.")
        return row

    # Refusals

    def refuse(self, scope: Scope, error: Exception) -> Response:
        """Draw a refusal: a page for people, JSON for the page's own requests.

        A request that makes no sense is 400; what cannot be done now, with a full disk say, 503.
        """
        status, message, headers = 400, str(error), None
        if isinstance(error, HTTPException):
            status, message, headers = error.status_code, error.detail, error.headers
            message = "There is nothing here." if message == "Not Found" else message
        elif isinstance(error, DataError):
            status = 503
        if scope["path"].startswith(("/api/", "/image/")):
            return JSONResponse({"fault": message}, status, headers)
        values = {"title": TITLES.get(status, "Refused"), "message": message}
        return self._html(Request(scope), "refused.html", values, status, headers)

    def refused(self, request: Request, error: Exception) -> Response:
        """Draw what a route refused."""
        return self.refuse(request.scope, error)


def _reviewing(request: Request) -> bool:
    """Whether conflicts are being settled."""
    return request.query_params.get("mode") == "review"


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UsageError(f"{name}: {text[:40]!r} is no number.")
    return int(text)
