"""Routes of ``usl look``, beside those of the labelling page (:mod:`usl.labeling.page.app`).

======================== =========================================================================
GET  /look               the gallery of the whole collection
GET  /api/look           what there is to filter by, and what is being looked into
GET  /api/look/images    the images wanted, from a place on; how many each class has
POST /api/look/study     begin to look into quality or near-duplicates
======================== =========================================================================

Pictures, corrections and undos go by the page's own routes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from usl.labeling.look.studies import Studies
from usl.labeling.look.wanted import Wanted
from usl.labeling.look.whole import FLAGS, Whole
from usl.labeling.page.page_state import PageState

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
MOST = 240  # images in one answer
Checked = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class LookRoutes:
    """What answers the requests.

    Parameters
    ----------
    state : of the page.
    checked : refuses what is of another run or listing, and returns what was sent.
    sent : reads the JSON of a request.
    """

    def __init__(self, state: PageState, checked: Checked, sent: Callable[..., Any]) -> None:
        self.page_state, self._checked, self._sent = state, checked, sent

    @cached_property
    def whole(self) -> Whole:
        """All images; read when somebody first looks."""
        return Whole(self.page_state)

    @cached_property
    def studies(self) -> Studies:
        """What is being looked into."""
        return Studies(self.page_state, self.whole)

    def routes(self, page: Callable[[Request], Response]) -> list[BaseRoute]:
        """The routes; ``page`` draws the gallery's."""
        return [
            Route("/look", page),
            Route("/api/look", self.start),
            Route("/api/look/images", self.images),
            Route("/api/look/study", self.study, methods=["POST"]),
            Mount("/static/look", StaticFiles(directory=HERE / "static")),
        ]

    def start(self, request: Request) -> Response:
        """Tell what the gallery starts from."""
        self._checked(request.query_params)
        known, whole = self.whole.follow(), self.whole
        return JSONResponse(
            {
                "version": whole.version,
                "classes": self.page_state.classes(),
                "images": whole.n,
                "subsets": sorted(set(whole.subsets.tolist())),
                "flags": {name: int(of.sum()) for name, of in whole.flags.items()},
                "trained": bool((known.predicted >= 0).any()),
                "fault": " ".join(filter(None, [*whole.faults.values(), self.studies.fault])),
                "study": self.studies.progress,
                "last": self.page_state.round_view.follow(),
                "names": self.page_state.round_view.revision,
            }
        )

    def images(self, request: Request) -> Response:
        """Tell which images are wanted, from the place ``from`` on."""
        given = self._checked(request.query_params)
        wanted = Wanted.of(given, flags=FLAGS)
        known, rows, counts = self.whole.find(wanted)
        place = given.get("from", "0")
        begin = int(place) if place.isascii() and place.isdigit() and len(place) < 10 else 0
        by_class = dict(zip(known.names, counts[1:].tolist(), strict=True))
        return JSONResponse(
            {
                "version": self.whole.version,
                "total": len(rows),
                "from": begin,
                "counts": {"": int(counts[0]), **by_class},
                "images": [
                    self.whole.item(known, row) for row in rows[begin : begin + MOST].tolist()
                ],
            }
        )

    async def study(self, request: Request) -> Response:
        """Begin a study; how far it is, is told by ``/api/look``."""
        given = await self._sent(request)

        def begin() -> None:
            self._checked(given)
            self.studies.begin(str(given.get("study", "")))

        await run_in_threadpool(begin)
        return JSONResponse({"study": self.studies.progress})
