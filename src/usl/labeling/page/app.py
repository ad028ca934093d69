"""The routes of the labelling page.

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

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from usl.core.errors import DataError, UsageError
from usl.labeling.page.auth import Door
from usl.labeling.page.background_sync import Settler
from usl.labeling.page.guard import Guard, Refused, allowed_hosts, signed_in
from usl.labeling.page.page_state import Work

HERE = Path(__file__).parent
NO_MODULE = ("theme", "label")  # one is no module, the other is named itself
MOST_ITEMS = 200  # rows or operations in one request
TITLES = {400: "Not understood", 403: "No entry", 404: "Not here", 429: "Too many tries"}


def make_app(work: Work, door: Door, *, listening: str, settler: Settler | None = None) -> ASGIApp:
    """The whole page as an ASGI application, guards included."""
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
    )
    routes = Routes(work, door, settler, templates)
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
        exception_handlers={
            Refused: routes.refused,
            UsageError: routes.unusable,
            DataError: routes.unable,
            404: routes.missing,
        },
    )
    return Guard(app, door=door, allowed=allowed_hosts(listening), refuse=routes.refuse)


class Routes:
    """What answers the requests; one object per server."""

    def __init__(
        self, work: Work, door: Door, settler: Settler | None, templates: Environment
    ) -> None:
        self.work, self.door, self.settler, self.templates = work, door, settler, templates
        scripts = (HERE / "static").glob("*.js")
        self.modules = sorted(path.name for path in scripts if path.stem not in NO_MODULE)

    def _html(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        return HTMLResponse(self.templates.get_template(name).render(values), status)

    # Pages

    def page(self, request: Request) -> Response:
        """Show the page itself; first of all ask for a name where there may be several people."""
        given = request.query_params.get("as")
        review = request.url.path == "/review"
        run = self.work.run.path.resolve().name
        if given is None and self.work.asks():
            return self.who(request, review=review)
        annotator = self.work.named(given or "")
        mode = "review" if review else "label"
        identity = self.door.keyring.name
        return self._html(
            "label.html",
            run=run,
            annotator=annotator,
            mode=mode,
            identity=identity,
            modules=self.modules,
        )

    def who(self, request: Request, *, review: bool = False) -> Response:
        """Ask for a name."""
        run = self.work.run.path.resolve().name
        return self._html("enter.html", run=run, people=self.work.people(), review=review)

    async def login(self, request: Request) -> Response:
        """Ask for the password, or check one; wrong ones make the next try wait."""
        if self.door.password is None:
            return RedirectResponse("/", 303)
        address = request.client.host if request.client else ""
        if request.method == "GET":
            return self._html("login.html", fault="")
        if (wait := self.door.throttle.wait(address)) > 0:
            seconds = math.ceil(wait)
            message = f"Too many wrong passwords. Wait {seconds} s, then try again."
            response: Response = self._html("login.html", 429, fault=message)
            response.headers["retry-after"] = str(seconds)
            return response
        form = await request.form(max_files=0, max_fields=4)
        if self.door.unlocks(str(form.get("password", ""))):
            self.door.throttle.succeeded(address)
            return signed_in(self.door)
        self.door.throttle.failed(address)
        return self._html("login.html", 403, fault="That is not the password.")

    # Data

    def state(self, request: Request) -> Response:
        """Tell what the page starts from."""
        annotator = self._annotator(request)
        review = request.query_params.get("mode") == "review"
        return _json(self.work.review(annotator) if review else self.work.state(annotator))

    def changes(self, request: Request) -> Response:
        """Tell what is new for one annotator."""
        view = self.work.view_name(
            self._annotator(request), _mode(request.query_params.get("mode"))
        )
        return _json(self._news(view, _number(request.query_params.get("since", "0"), "since")))

    def _news(self, view: str, since: int) -> dict[str, Any]:
        changes = self.work.desk.changes(view, since)
        return {
            "version": self.work.desk.follow(),
            "changes": changes,
            "classes": self.work.classes(),
            "fault": "" if self.settler is None else self.settler.fault,
        }

    def items(self, request: Request) -> Response:
        """Tell what is shown beside some pictures."""
        words = request.query_params.get("rows", "").split(",")
        rows = [self._row(_number(word, "rows")) for word in words[:MOST_ITEMS]]
        return _json(self.work.items(rows, review=_mode(request.query_params.get("mode"))))

    def similar(self, request: Request) -> Response:
        """Tell which images are like one."""
        return _json(self.work.alike(self._row(request.path_params["row"])))

    def image(self, request: Request) -> Response:
        """Send a picture; the next ones of the round are made ready meanwhile."""
        row, side = self._row(request.path_params["row"]), request.path_params["side"]
        try:
            picture = self.work.pictures.get(row, side)
        except DataError as error:
            return _json({"fault": str(error)}, 422)
        self.work.prepare_after(row, side)
        return Response(picture.content, media_type=picture.kind)

    async def operations(self, request: Request) -> Response:
        """Do what the page sends, in order; tell what is done, what cannot be, and what is new."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise Refused(415, "Send application/json.")
        try:
            given = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise UsageError("This is not JSON.") from error
        return await run_in_threadpool(self._operate, given)

    def _operate(self, given: Any) -> Response:
        if not isinstance(given, dict) or not isinstance(given.get("operations"), list):
            raise UsageError("operations: a list, please.")
        annotator = self.work.named(str(given.get("as", "")))
        review = _mode(given.get("mode"))
        since = given.get("since")
        done, refused = [], []
        for one in given["operations"][:MOST_ITEMS]:
            if not isinstance(one, dict):
                raise UsageError("operations: a list of objects, please.")
            try:
                told = self.work.desk.apply(one, annotator, final=review)
            except UsageError as error:
                refused.append({"key": one.get("key"), "fault": str(error)})
                continue
            done.append(one["key"])
            if told and self.settler is not None:
                self.settler.touch()
        view = self.work.view_name(annotator, review)
        news = self._news(view, since if isinstance(since, int) else 0)
        return _json({**news, "done": done, "refused": refused})

    def _annotator(self, request: Request) -> str:
        return self.work.named(request.query_params.get("as", ""))

    def _row(self, row: int) -> int:
        if not 0 <= row < len(self.work.ids):
            raise Refused(404, "There is no such image.")
        return row

    # Refusals

    def refuse(self, scope: Scope, status: int, message: str) -> Response:
        """Draw a refusal: a page for people, JSON for the page's own requests."""
        if scope["path"].startswith(("/api/", "/image/")):
            return _json({"fault": message}, status)
        title = TITLES.get(status, "Refused")
        return self._html("refused.html", status, title=title, message=message)

    def refused(self, request: Request, error: Exception) -> Response:
        """Draw what a route refused."""
        assert isinstance(error, Refused)
        response = self.refuse(request.scope, error.status, error.message)
        response.headers.update(error.headers)
        return response

    def unusable(self, request: Request, error: Exception) -> Response:
        """Draw a request that makes no sense."""
        return self.refuse(request.scope, 400, str(error))

    def unable(self, request: Request, error: Exception) -> Response:
        """Draw what cannot be done now: a full disk, say."""
        return self.refuse(request.scope, 503, str(error))

    def missing(self, request: Request, error: Exception) -> Response:
        """Draw an address that leads nowhere."""
        return self.refuse(request.scope, 404, "There is nothing here.")


def _json(value: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(value, status)


def _mode(given: object) -> bool:
    """Whether conflicts are being settled."""
    return given == "review"


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UsageError(f"{name}: {text[:40]!r} is no number.")
    return int(text)
