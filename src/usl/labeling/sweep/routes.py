"""Routes of ``usl label --sweep``, beside those of the labelling page.

========================== =======================================================================
GET  /sweep                the page
GET  /api/sweep            what there is to sweep, and what was done
POST /api/sweep/sheet      the next sheet; its images are kept for the page that asks
POST /api/sweep/operations sheets that are confirmed, labels of what was unmarked, undos
========================== =======================================================================

Pictures go by the labelling page's own route (:mod:`usl.labeling.page.app`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from usl.core.errors import UsageError
from usl.labeling.page.listing import UnboundError
from usl.labeling.page.page_state import PageState
from usl.labeling.sweep.confirm import MOST_IMAGES, Sweep

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
LONGEST_WORD = 100  # characters of a page's word for itself
THUMBNAIL = 320  # longest side of what is made ready for the next sheet

Given = Mapping[str, Any]
Apply = Callable[..., list[UnboundError]]


class SweepRoutes:
    """What answers the requests.

    Parameters
    ----------
    state : of the page.
    checked : refuses what is of another run or listing, and returns what was sent.
    sent : reads the JSON of a request.
    annotator : whose request it is.
    carry_out : does operations that were sent, and tells what became of them.
    begin : the class to begin with; empty for the most promising one.
    """

    def __init__(
        self,
        state: PageState,
        *,
        checked: Callable[[Given], Given],
        sent: Callable[..., Any],
        annotator: Callable[[Given], str],
        carry_out: Callable[[dict[str, Any], Apply], dict[str, Any]],
        begin: str = "",
    ) -> None:
        self.page_state, self._checked, self._sent = state, checked, sent
        self._annotator, self._carry_out, self._begin = annotator, carry_out, begin

    @cached_property
    def sweep(self) -> Sweep:
        """The sheets; read when somebody first asks for one."""
        return Sweep(self.page_state)

    def routes(self, page: Callable[[Request], Response]) -> list[BaseRoute]:
        """The routes; ``page`` draws the page."""
        return [
            Route("/sweep", page),
            Route("/api/sweep", self.start),
            Route("/api/sweep/sheet", self.sheet, methods=["POST"]),
            Route("/api/sweep/operations", self.operations, methods=["POST"]),
            Mount("/static/sweep", StaticFiles(directory=HERE / "static")),
        ]

    def start(self, request: Request) -> Response:
        """Tell what the page starts from; with ``news`` what may have changed since alone."""
        given = self._checked(request.query_params)
        annotator = self._annotator(given)
        self.sweep.sheets.heard_of(f"{annotator}\n{_word(given, 'page')}")
        facts = self.sweep.facts(annotator)
        if "news" not in given:
            run = str(self.page_state.run.path)
            facts |= {"run": run, "begin": self._begin, "done": self.sweep.undoable(annotator)}
        return JSONResponse(facts)

    async def sheet(self, request: Request) -> Response:
        """Give out the next sheet."""
        given = await self._sent(request)
        return await run_in_threadpool(self._sheet, given)

    def _sheet(self, given: dict[str, Any]) -> Response:
        self._checked(given)
        size = given.get("size")
        if type(size) is not int or not 1 <= size <= MOST_IMAGES:
            raise UsageError(f"size: send a number from 1 to {MOST_IMAGES}.")
        label, after = _word(given, "label", 200), _word(given, "after", 200)
        without = given.get("without", [])
        if not isinstance(without, list) or not all(isinstance(name, str) for name in without):
            raise UsageError("without: send a list of classes.")
        page = f"{self._annotator(given)}\n{_word(given, 'page')}"
        sheets, listing = self.sweep.sheets, self.page_state.listing
        found = sheets.next(page, size, label=label or None, after=after, without=without)
        sure = found.confidence.round(4).tolist()
        names = [listing.ref(listing.ids[row]) for row in found.rows.tolist()]
        pairs = zip(names, sure, strict=True)
        content = {
            "label": found.label,
            "left": found.left,
            "images": [{"image": ref, "confidence": share} for ref, share in pairs],
        }
        coming = sheets.coming(found.label, size)
        ahead = BackgroundTask(self.page_state.pictures.prepare, coming, THUMBNAIL)
        return JSONResponse(content, background=ahead)

    async def operations(self, request: Request) -> Response:
        """Do what the page sends; tells also what was ``left`` out of sheets, and why."""
        given = await self._sent(request)
        return await run_in_threadpool(self._operate, given)

    def _operate(self, given: dict[str, Any]) -> Response:
        left: dict[str, list[str]] = {}

        def apply(one: dict[str, Any], annotator: str, *, final: bool) -> list[UnboundError]:
            if final:
                raise UsageError("mode: a sweep settles no conflicts.")
            return self.sweep.apply(one, annotator, left)

        answer = self._carry_out(given, apply)
        told = [{"key": key, "images": len(why), "fault": why[0]} for key, why in left.items()]
        facts = self.sweep.facts(self._annotator(given))
        return JSONResponse({**answer, "left": told, "facts": facts})


def _word(given: Given, name: str, most: int = LONGEST_WORD) -> str:
    """A short text that was sent, empty if it was not."""
    value = given.get(name) or ""
    if not isinstance(value, str) or len(value) > most:
        raise UsageError(f"{name}: send a text of at most {most} characters.")
    return value
