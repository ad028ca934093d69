"""Routes of the labelling page (Starlette).

========================== =======================================================================
GET  /                     the page; ``?as=NAME`` says who is at work
GET  /review               the same, for settling conflicts
GET  /who                  asks for a name
GET  /login, POST /login   the password, beyond this machine
GET  /look                 the whole collection (:mod:`usl.labeling.look.routes`), where labels are
                           given; not where answers must stay blind
GET  /sweep                sheets to confirm at a glance (:mod:`usl.labeling.sweep.routes`)
GET  /api/state            what the page starts from
GET  /api/changes          what became of one's answers since entry ``since``; in a live round also
                           what is in one's hand, where ``showing`` is the image on the screen
POST /api/items            what is shown beside pictures
GET  /api/similar          images like one
GET  /api/audit            how right all labels are, by the audits so far
GET  /api/levels           how the levels of a picture are shown, if not plainly
POST /api/operations       answers, undos and classes; each is done once, however often it is sent
GET  /image/{side}         a picture, its longest side at most ``side``
========================== =======================================================================

Images are named by references (:mod:`usl.labeling.page.listing`). All but the pages carry the
``run``'s identity and the ``listing``'s stamp; what is of another run or listing than the server's
is refused with 409.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Scope

from usl.core.errors import DataError, UsageError
from usl.labeling.answers.entries import LABELS
from usl.labeling.look.routes import TEMPLATES as LOOK
from usl.labeling.look.routes import LookRoutes
from usl.labeling.page.auth import Auth
from usl.labeling.page.background_sync import BackgroundSync
from usl.labeling.page.guard import Guard, signed_in
from usl.labeling.page.listing import UnboundError
from usl.labeling.page.page_state import PageState
from usl.labeling.sweep.routes import TEMPLATES as SWEEP
from usl.labeling.sweep.routes import Apply, SweepRoutes
from usl.run.identity import RunReplacedError

HERE = Path(__file__).parent
NO_MODULE = ("theme", "label")  # one is no module, the other is named itself
MOST_ITEMS = 200  # images or operations in one request
MOST_SAID = 500  # characters of a fault: some of them repeat what was sent
FAULTS = (HTTPException, UsageError, DataError, ClientDisconnect)  # what a route may raise
TITLES = {
    400: "Not understood",
    403: "No entry",
    404: "Not here",
    409: "Not the same run",
    429: "Too many tries",
}
OUTDATED = "This page is of an older listing: reload."


def make_app(
    state: PageState,
    auth: Auth,
    *,
    listening: str,
    sync: BackgroundSync | None = None,
    sweep: str = "",
) -> ASGIApp:
    """The whole page as an ASGI application, guards included; ``sweep`` begins with that class."""
    routes = Routes(state, auth, sync)
    app = Starlette(
        routes=[
            *routes.other_views(sweep),
            Route("/", routes.page),
            Route("/review", routes.page),
            Route("/who", routes.who),
            Route("/login", routes.login, methods=["GET", "POST"]),
            Route("/api/state", routes.state),
            Route("/api/changes", routes.changes),
            Route("/api/items", routes.items, methods=["POST"]),
            Route("/api/similar", routes.similar),
            Route("/api/audit", routes.audit),
            Route("/api/levels", routes.levels),
            Route("/api/operations", routes.operations, methods=["POST"]),
            Route("/image/{side:int}", routes.image),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers=dict.fromkeys(FAULTS, routes.refused),
    )
    return Guard(app, auth=auth, listening=listening, refuse=routes.refuse)


class Routes:
    """What answers the requests; one object per server."""

    def __init__(self, state: PageState, auth: Auth, sync: BackgroundSync | None) -> None:
        self.page_state, self.auth, self.sync = state, auth, sync
        templates = Jinja2Templates([HERE / "templates", LOOK, SWEEP])  # escapes what it fills in
        templates.env.undefined = StrictUndefined
        self._html = templates.TemplateResponse
        scripts = (HERE / "static").glob("*.js")
        self.modules = sorted(path.name for path in scripts if path.stem not in NO_MODULE)

    # Pages

    def page(self, request: Request) -> Response:
        """Show the page itself; first of all ask for a name where there may be several people."""
        self.page_state.check_run()
        given = request.query_params.get("as")
        review = request.url.path == "/review"
        if given is None and self.page_state.asks():
            return self.who(request)
        values = {
            "run": self.page_state.run.path.resolve().name,
            "annotator": self.page_state.named(given or ""),
            "mode": "review" if review else "label",
            "identity": self.page_state.run.identity,
            "listing": self.page_state.stamp,
            "modules": self.modules,
        }
        return self._html(request, "label.html", values)

    def other_views(self, sweep: str) -> list[BaseRoute]:
        """The gallery's routes and the sweep's; none in an audit or a check."""
        if self.page_state.kind != LABELS:
            return []
        sheets = SweepRoutes(
            self.page_state,
            checked=self._checked,
            sent=_sent,
            annotator=self._annotator,
            carry_out=self._carry_out,
            begin=sweep,
        )
        gallery = LookRoutes(self.page_state, self._checked, _sent)
        return [*gallery.routes(self.view), *sheets.routes(self.view)]

    def view(self, request: Request) -> Response:
        """Show the whole collection, or sheets; who sweeps is asked for a name as on the page."""
        self.page_state.check_run()
        name = request.url.path.strip("/")
        if name == "sweep" and "as" not in request.query_params and self.page_state.asks():
            return self.who(request)
        values = {
            "run": self.page_state.run.path.resolve().name,
            "annotator": self.page_state.named(request.query_params.get("as", "")),
            "identity": self.page_state.run.identity,
            "listing": self.page_state.stamp,
            "modules": self.modules,
        }
        return self._html(request, f"{name}.html", values)

    def who(self, request: Request) -> Response:
        """Ask for a name."""
        run, path = self.page_state.run.path.resolve().name, request.url.path
        to = path if path in ("/review", "/sweep") else "/"
        values = {"run": run, "people": self.page_state.people(), "to": to}
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
        given = self._checked(request.query_params)
        start = self.page_state.review if _reviewing(given) else self.page_state.state
        return JSONResponse(start(self._annotator(given)))

    def changes(self, request: Request) -> Response:
        """Tell what is new for one annotator."""
        given = self._checked(request.query_params)
        view = self.page_state.view_name(self._annotator(given), _reviewing(given))
        since = _number(given.get("since", "0"), "since")
        return JSONResponse(self._news(view, since, given.get("showing")))

    def _news(self, view: str, since: int, showing: object) -> dict[str, Any]:
        changes = self.page_state.round_view.changes(view, since)
        return {
            "version": self.page_state.round_view.follow(),
            "names": self.page_state.round_view.revision,
            "changes": changes,
            "classes": self.page_state.classes(),
            "fault": self._sync_fault(),
            "live": self.page_state.live(view, showing),
        }

    def _sync_fault(self) -> str:
        """Why answers did not reach the split file; that they are safe has just been checked."""
        if self.sync is None or not self.sync.fault:
            return ""
        return f"The answers are safe, but split.csv could not be written: {self.sync.fault}"

    async def items(self, request: Request) -> Response:
        """Tell what is shown beside some pictures."""
        given = await _sent(request)
        return await run_in_threadpool(self._items, given)

    def _items(self, given: dict[str, Any]) -> Response:
        self._checked(given)
        refs = given.get("images")
        if not isinstance(refs, list):
            raise UsageError("images: send a list.")
        found = self.page_state.items(refs[:MOST_ITEMS], review=_reviewing(given))
        return JSONResponse(found)

    def similar(self, request: Request) -> Response:
        """Tell which images are like one."""
        given = self._checked(request.query_params)
        return JSONResponse(self.page_state.alike(given.get("image")))

    def audit(self, request: Request) -> Response:
        """Tell how right all labels are."""
        self._checked(request.query_params)
        return JSONResponse(self.page_state.audit())

    def levels(self, request: Request) -> Response:
        """Tell how the levels of a picture are shown."""
        given = self._checked(request.query_params)
        row = self.page_state.shown(given.get("image"))
        side = _number(given.get("side", "640"), "side")
        return JSONResponse({"text": self.page_state.pictures.levels(row, side)})

    async def image(self, request: Request) -> Response:
        """Send a picture; the next ones of the round are made ready meanwhile."""
        ref, side = request.query_params.get("image"), request.path_params["side"]

        def asked() -> int:
            self._checked(request.query_params)
            return self.page_state.shown(ref)

        row = await run_in_threadpool(asked)
        try:
            picture = await self.page_state.pictures.fetch(row, side)
        except DataError as error:
            return JSONResponse({"fault": str(error)}, 422)
        ahead = BackgroundTask(self.page_state.prepare_after, ref, side)
        return Response(picture.content, media_type=picture.kind, background=ahead)

    async def operations(self, request: Request) -> Response:
        """Do what the page sends, in order.

        Tells what is ``done``, what is ``refused`` for good, what is ``held`` back because its
        image is not here or not the same, and what is new.
        """
        given = await _sent(request)
        return await run_in_threadpool(self._operate, given)

    def _operate(self, given: dict[str, Any]) -> Response:
        return JSONResponse(self._carry_out(given, self.page_state.round_view.apply))

    def _carry_out(self, given: dict[str, Any], apply: Apply) -> dict[str, Any]:
        """What became of each operation that was sent, after ``apply`` was called for it."""
        self._checked(given)
        operations, since = given.get("operations"), given.get("since", 0)
        if not isinstance(operations, list) or not all(isinstance(x, dict) for x in operations):
            raise UsageError("operations: send a list of objects.")
        if type(since) is not int or not 0 <= since < 10**18:
            raise UsageError("since: send a number.")
        annotator, review = self._annotator(given), _reviewing(given)
        done: list[str] = []
        refused: list[dict[str, Any]] = []
        held: list[dict[str, Any]] = []
        for one in operations[:MOST_ITEMS]:
            try:
                left = apply(one, annotator, final=review)
            except UsageError as error:
                refused.append({"key": _plain(one.get("key")), "fault": str(error)[:MOST_SAID]})
                continue
            if left:
                held.append({"key": one["key"], "images": len(left), "fault": str(left[0])})
            else:
                done.append(one["key"])
            if one["type"] not in ("class", "hotkey") and self.sync is not None:
                self.sync.touch()
        view = self.page_state.view_name(annotator, review)
        news = self._news(view, since, given.get("showing"))
        return {**news, "done": done, "refused": refused, "held": held}

    def _checked(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was sent, if it is of this run and of this listing.

        Raises :class:`RunReplacedError` where the run itself is not there any more.
        """
        self.page_state.check_run()
        stamp = self.page_state.run.identity, self.page_state.stamp
        if (given.get("run"), given.get("listing")) != stamp:
            raise HTTPException(409, OUTDATED)
        return given

    def _annotator(self, given: Mapping[str, Any]) -> str:
        return self.page_state.named(_text(given, "as"))

    # Refusals

    def refuse(self, scope: Scope, error: Exception) -> Response:
        """Draw a refusal: a page for people, JSON for the page's own requests.

        A request that makes no sense is 400; an image that is not here, or not the same, 404; a run
        that was replaced 409; what cannot be done now, with a full disk say, 503.
        """
        status, message, headers = 400, str(error)[:MOST_SAID], None
        if isinstance(error, HTTPException):
            status, message, headers = error.status_code, error.detail, error.headers
            message = "There is nothing here." if message == "Not Found" else message
        elif isinstance(error, ClientDisconnect):
            message = "The rest of the request never came."  # and nobody reads this
        elif isinstance(error, UnboundError):
            status = 404
        elif isinstance(error, RunReplacedError):
            status = 409
        elif isinstance(error, DataError):
            status = 503
        if scope["path"].startswith(("/api/", "/image/")):
            return JSONResponse({"fault": message}, status, headers)
        values = {"title": TITLES.get(status, "Refused"), "message": message}
        return self._html(Request(scope), "refused.html", values, status, headers)

    def refused(self, request: Request, error: Exception) -> Response:
        """Draw what a route refused."""
        return self.refuse(request.scope, error)


async def _sent(request: Request) -> dict[str, Any]:
    """The JSON object that was posted."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "Send application/json.")
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise UsageError("This is not JSON.") from error
    if not isinstance(given, dict):
        raise UsageError("Send an object.")
    return given


def _text(given: Mapping[str, Any], name: str) -> str:
    """A text that was sent, empty if it was not."""
    value = given.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{name}: send text.")
    return value


def _reviewing(given: Mapping[str, Any]) -> bool:
    """Whether conflicts are being settled."""
    mode = _text(given, "mode")
    if mode not in ("", "label", "review"):
        raise UsageError("mode: send label or review.")
    return mode == "review"


def _plain(key: object) -> str | None:
    """A key as it can be told, whatever it is."""
    return key[:80] if isinstance(key, str) and key.isascii() else None


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UsageError(f"{name}: {text[:40]!r} is no number.")
    return int(text)
