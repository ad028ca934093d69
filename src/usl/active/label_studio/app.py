"""Routes of the backend, by Label Studio's contract for machine-learning backends (Starlette).

================== ===============================================================================
GET  /, /health    that it is up
GET  /versions     the versions of its model
POST /setup        a project begins to use it, or its interface has changed
POST /predict      predictions for tasks, one for each
POST /webhook      an event: an annotation was made, changed or deleted, and others
================== ===============================================================================

The contract: ``label_studio/ml/api_connector.py`` of Label Studio 1.23, and version 2 of
label-studio-ml-backend. A refusal has a status of 400 or more and says why as ``error``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from usl.active.label_studio.backend import Backend, UnknownProjectError
from usl.active.label_studio.guard import Guard, refusal
from usl.active.label_studio.project import MODEL
from usl.core.errors import DataError, UsageError
from usl.run.identity import RunReplacedError

MOST_TASKS = 10_000  # in one request
FAULTS = (HTTPException, DataError, UsageError, ClientDisconnect)


def make_app(backend: Backend, password: str, *, done: Callable[[], None]) -> ASGIApp:
    """The backend as an ASGI application; ``done`` is called after annotations became answers."""
    routes = Routes(backend, done)
    app = Starlette(
        routes=[
            Route("/", routes.health),
            Route("/health", routes.health),
            Route("/versions", routes.versions),
            Route("/setup", routes.setup, methods=["POST"]),
            Route("/predict", routes.predict, methods=["POST"]),
            Route("/webhook", routes.webhook, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys(FAULTS, routes.refused),
    )
    return Guard(app, password)


class Routes:
    """What answers the requests; one object per server."""

    def __init__(self, backend: Backend, done: Callable[[], None]) -> None:
        self._backend, self._done = backend, done

    def health(self, request: Request) -> Response:
        """Tell that it is up."""
        self._backend.store.check_place()
        return JSONResponse({"status": "UP", "model_class": MODEL})

    def versions(self, request: Request) -> Response:
        """Tell the versions of the model: its predictions are changed in place, so one."""
        return JSONResponse({"versions": [MODEL]})

    async def setup(self, request: Request) -> Response:
        """Begin to serve a project."""
        given = await _sent(request)
        return await run_in_threadpool(self._setup, given)

    def _setup(self, given: dict[str, Any]) -> Response:
        self._project(given, "schema")
        return JSONResponse({"model_version": MODEL})

    async def predict(self, request: Request) -> Response:
        """Predict for tasks."""
        given = await _sent(request)
        return await run_in_threadpool(self._predict, given)

    def _predict(self, given: dict[str, Any]) -> Response:
        tasks = given.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(one, dict) for one in tasks):
            raise UsageError("tasks: send a list of tasks.")
        if len(tasks) > MOST_TASKS:
            raise UsageError(f"tasks: at most {MOST_TASKS:,} at once.")
        self._project(given, "label_config")
        return JSONResponse({"results": self._backend.predict(tasks), "model_version": MODEL})

    async def webhook(self, request: Request) -> Response:
        """Take an event; its answers are on the disk before this returns."""
        given = await _sent(request)
        return await run_in_threadpool(self._event, given)

    def _event(self, given: dict[str, Any]) -> Response:
        done = self._backend.event(str(given.get("action")), given)
        if done.added or done.withdrawn:
            self._done()
        said = {"status": "ok", "added": done.added, "withdrawn": done.withdrawn}
        return JSONResponse({**said, "notes": done.notes}, 201)

    def _project(self, given: dict[str, Any], config: str) -> None:
        """Check that a request is of the project that is served, and take its interface over."""
        project, xml = given.get("project"), given.get(config)
        if not isinstance(project, str) or not project:
            raise UsageError("project: send the project, as Label Studio does.")
        if not isinstance(xml, str):
            raise UsageError(f"{config}: send the labelling interface, as Label Studio does.")
        self._backend.bind(project)
        self._backend.configure(xml)

    def refused(self, request: Request, error: Exception) -> Response:
        """Refuse in words; what a person has to mend is said on the console, too, once."""
        if isinstance(error, ClientDisconnect):
            return Response(status_code=400)
        if isinstance(error, HTTPException):
            return refusal(error.status_code, error.detail)
        if isinstance(error, DataError):
            self._backend.tell(str(error))
        known = {RunReplacedError: 410, UnknownProjectError: 404}
        status = next((code for kind, code in known.items() if isinstance(error, kind)), 400)
        return refusal(status, str(error))


async def _sent(request: Request) -> dict[str, Any]:
    """The object of JSON that was sent."""
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise UsageError("Send JSON.") from error
    if not isinstance(given, dict):
        raise UsageError("Send an object of JSON.")
    return given
