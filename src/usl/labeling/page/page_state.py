"""State of the labelling page: a run, one round of questions, and what is known of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from usl.core.errors import DataError, UsageError
from usl.data.collection import Collection
from usl.labeling.answers.entries import AUDIT, CHECK, LABELS, Round, tidy
from usl.labeling.answers.outcomes import CONFLICT, Outcome, agreement, outcomes
from usl.labeling.answers.rounds import round_images
from usl.labeling.answers.store import Store
from usl.labeling.page.pictures import AHEAD, Pictures
from usl.labeling.page.round_view import FINAL, RoundView
from usl.labeling.page.similar import Similar
from usl.run.folder import Run
from usl.run.predictions import read_predictions
from usl.run.split_csv import CSV_NAME as BY_HAND  # the annotator of edits by hand

STRIP = 24  # pictures shown of what a pick stands for
FIRST_LARGE = 640  # longest side from which on a picture is one to look at, not a thumbnail


class PageState:
    """A run on the page.

    Parameters
    ----------
    run, collection : the run and its images.
    store : where answers go.
    pictures : the images, ready for the screen.
    round : an audit or a check; None for the picks.
    annotator : the only one who works here, or None to ask.
    ask : whether everybody is asked for a name at first.
    """

    def __init__(
        self,
        run: Run,
        collection: Collection,
        store: Store,
        pictures: Pictures,
        *,
        round: Round | None = None,
        annotator: str | None = None,
        ask: bool = False,
    ) -> None:
        self.run, self.collection, self.store, self.pictures = run, collection, store, pictures
        self.annotator, self._ask = annotator, ask
        self.ids: list[str] = collection.ids.tolist()
        self.rows = {name: row for row, name in enumerate(self.ids)}
        self.kind = LABELS if round is None else round.kind
        self.name = LABELS if round is None else round.name
        self.similar = Similar(run, collection, self.rows)
        asked = round_images(run, store, self.name)
        self._order = [self.rows[name] for name in asked if name in self.rows]
        self.missing = [name for name in asked if name not in self.rows]
        self._place = {row: place for place, row in enumerate(self._order)}
        self._predicted = _predictions(run) if self.kind == CHECK else {}
        only = None if round is None else self._order
        self.round_view = RoundView(store, self.name, self.ids, self.rows, only=only)
        self.round_view.follow()

    def asks(self) -> bool:
        """Whether a visitor is to say who they are: where several people may be at work."""
        if self.annotator is not None:
            return False
        return self._ask or bool(self.people())

    def people(self) -> list[str]:
        """The names under which answers were given."""
        self.round_view.follow()
        return [name for name in self.round_view.annotators() if name not in ("", BY_HAND)]

    def named(self, given: str) -> str:
        """Whose answers a request is about. UsageError for a name that cannot be used."""
        name = tidy("annotator", given, empty=True)
        if name == BY_HAND:
            raise UsageError(f"annotator: {BY_HAND} stands for edits by hand; take another name.")
        if self.annotator is not None:
            if name not in ("", self.annotator):
                raise UsageError(f"annotator: this page is {self.annotator!r}'s.")
            return self.annotator
        return name

    def title(self) -> str:
        """What the round is called on the page."""
        name = self.name.replace("-", " ").capitalize()
        return f"{name}, blind" if self.kind == AUDIT else name

    @staticmethod
    def view_name(annotator: str, review: bool) -> str:
        """The view that a request is about."""
        return FINAL if review else annotator

    def classes(self) -> list[dict[str, str]]:
        """Class names and their keys, in order."""
        return [asdict(one) for one in self.store.classes()]

    # What the browser is told

    def state(self, annotator: str) -> dict[str, Any]:
        """What the page starts from, for one annotator."""
        return {
            **self._common(annotator),
            **self.round_view.state(annotator),
            "mode": "label",
            "order": self._order,
        }

    def _common(self, annotator: str) -> dict[str, Any]:
        return {
            "run": str(self.run.path),
            "round": self.name,
            "kind": self.kind,
            "title": self.title(),
            "annotator": annotator,
            "people": len(self.people()),
            "fixed": self.annotator is not None,
            "similar": self.kind == LABELS,
            "classes": self.classes(),
        }

    def review(self, annotator: str) -> dict[str, Any]:
        """What the page starts from where conflicts are settled: the images in dispute."""
        history = self.store.history()
        found = outcomes(history)
        rows = {self.rows[name]: one for name, one in found.items() if name in self.rows}
        disputed = [
            row for row, one in rows.items() if one.kind == CONFLICT or (one.disputed and one.final)
        ]
        disputed.sort(key=lambda row: self._place.get(row, len(self.ids) + row))
        agreed = agreement(history)
        counts = dict.fromkeys(self.people(), 0)
        for one in found.values():
            for answer in one.answers:
                if not answer.final and answer.annotator in counts:
                    counts[answer.annotator] += 1
        return {
            **self._common(annotator),
            **self.round_view.state(FINAL),
            "mode": "review",
            "order": disputed,
            "similar": False,
            "agreement": None if agreed is None else asdict(agreed),
            "answered": counts,
            "images": len([one for one in found.values() if one.answers]),
        }

    def items(self, rows: Sequence[int], *, review: bool = False) -> dict[str, dict[str, Any]]:
        """What is shown beside a picture, by row; in a review also who said what."""
        said: dict[str, Outcome] = outcomes(self.store.history()) if review else {}
        return {str(row): self._item(row, said.get(self.ids[row])) for row in rows}

    def _item(self, row: int, outcome: Outcome | None) -> dict[str, Any]:
        name = self.ids[row]
        item: dict[str, Any] = {"id": name}
        if self.kind != AUDIT:  # an audit is blind
            own = self.similar.represented(name)
            item["stands"] = self.similar.count(name)
            item["strip"] = self.similar.nearest_first(row, own)[:STRIP]
        if name in self._predicted:
            label, confidence = self._predicted[name]
            item["predicted"] = {"label": label, "confidence": round(confidence, 3)}
        if outcome is not None:
            item["said"] = [
                {"by": one.annotator, "kind": one.kind, "label": one.label}
                for one in outcome.answers
                if not one.final
            ]
        return item

    def alike(self, row: int) -> list[dict[str, Any]]:
        """Images like one, for labelling them together; none where answers must stay blind."""
        if self.kind != LABELS:
            return []
        return [
            {"row": one.row, "id": self.ids[one.row], "own": one.represented}
            for one in self.similar.like(row)
        ]

    def prepare_after(self, row: int, side: int) -> None:
        """Make the next pictures ready, as soon as one to look at is asked for."""
        place = self._place.get(row)
        if side >= FIRST_LARGE and place is not None:
            self.pictures.prepare(self._order[place + 1 : place + 1 + AHEAD], side)


def _predictions(run: Run) -> dict[str, tuple[str | None, float]]:
    """Label and confidence of every image, where the run has been trained."""
    try:
        found = read_predictions(run.path)
    except DataError:
        return {}  # a help, not a need
    return {} if found is None else found.by_id()
