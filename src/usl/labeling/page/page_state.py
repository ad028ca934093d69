"""State of the labelling page: a run, one round of questions, and what is known of each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Any

import numpy as np

from usl.core.errors import DataError, UsageError
from usl.data.collection import Collection
from usl.labeling.answers.audit import accuracy_of_collection, audit_in_words
from usl.labeling.answers.entries import AUDIT, CHECK, LABELS, LIVE, Round, tidy
from usl.labeling.answers.outcomes import CONFLICT, Outcome, agreement, outcomes
from usl.labeling.answers.rounds import round_images
from usl.labeling.answers.store import Store
from usl.labeling.page.listing import Listing, UnboundError
from usl.labeling.page.pictures import AHEAD, Pictures
from usl.labeling.page.queue import Queue
from usl.labeling.page.round_view import FINAL, RoundView
from usl.labeling.page.similar import Similar
from usl.run.folder import Run
from usl.run.identity import RunReplacedError, check_identity
from usl.run.predictions import read_predictions, suspicious_rows
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
    queue : of a live round, which takes the place of ``round``.
    annotator : the only one who works here, or None to ask.
    ask : whether everybody is asked for a name at first.
    tell : gets what there is to say on the console, a line at a time.
    """

    def __init__(
        self,
        run: Run,
        collection: Collection,
        store: Store,
        pictures: Pictures,
        *,
        round: Round | None = None,
        queue: Queue | None = None,
        annotator: str | None = None,
        ask: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.run, self.collection, self.store, self.pictures = run, collection, store, pictures
        self.annotator, self._ask, self._tell = annotator, ask, tell
        self._gone, self._checking = False, Lock()  # whether the run is gone, which is told once
        round = round if queue is None else queue.round
        self.queue = queue
        self.below: float | None = None  # a sweep shows only what the model is less sure of
        self.listing = Listing(collection, run.recorded_digests(), pictures)
        self.kind = LABELS if round is None else round.kind
        self.name = LABELS if round is None else round.name
        self.similar = Similar(run, collection, self.listing.rows)
        asked = round_images(run, store, self.name)
        self._order = [name for name in asked if name in self.listing.rows]
        self.missing = [name for name in asked if name not in self.listing.rows]
        self.stamp = self.listing.stamp(self.name, self._order)
        self._place = {name: place for place, name in enumerate(self._order)}
        self._predicted = _predictions(run) if self.kind in (LABELS, CHECK) else {}
        only = self._order if self.kind in (AUDIT, CHECK) else None
        self.round_view = RoundView(store, self.name, self.listing, only=only)
        self.round_view.follow()

    def check_run(self) -> None:
        """Check that the run is still the one that the page was opened for, and its answers.

        Raises
        ------
        RunReplacedError : it was replaced, moved or deleted; the console has been told, too.
        """
        with self._checking:  # one at a time: what one finds must not be older than what is told
            try:
                check_identity(self.run.path, self.run.identity)
                self.store.check_place()
            except RunReplacedError as error:
                gone, self._gone = self._gone, True
                if self._tell is not None and not gone:
                    self._tell(f"{error} The page takes no more answers. Stop with Ctrl-C.")
                raise
            self._gone = False

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
            "order": [self.listing.ref(name) for name in self._order],
            "model": self._model(),
            "live": self.live(annotator),
        }

    def live(self, view: str, showing: object = None) -> dict[str, Any] | None:
        """In a live round what an annotator has in ``hand``, and what the model says; else None.

        ``showing`` is the image on their screen.
        """
        if self.queue is None or view == FINAL:
            return None
        try:
            shown = self.listing.ids[self.listing.row(showing)] if showing else ""
        except UnboundError:
            shown = ""
        hand = [name for name in self.queue.deal(view, shown) if name in self.listing.rows]
        return {"hand": [self.listing.ref(name) for name in hand], **self.queue.status()}

    def _model(self) -> list[tuple[str, float] | None]:
        """The model's label and confidence of each image that is asked for; none in an audit."""
        if not self._predicted:
            return []
        names = self.store.names()  # a class may have been renamed since the training
        found = [self._predicted.get(name, {}) for name in self._order]
        return [
            (names.present(one["label"]), one["confidence"]) if "confidence" in one else None
            for one in found
        ]

    def audit(self) -> dict[str, str]:
        """What the audits say by now of all labels: ``share`` and ``text``."""
        if self.kind != AUDIT:
            raise UsageError("audit: this page is not about one; begin one: usl label --audit.")
        found = accuracy_of_collection(self.run, self.run.split(), self.store)
        share, text = audit_in_words(found)
        return {"share": share, "text": text}

    def _common(self, annotator: str) -> dict[str, Any]:
        return {
            "run": str(self.run.path),
            "round": self.name,
            "kind": self.kind,
            "title": self.title(),
            "annotator": annotator,
            "people": len(self.people()),
            "fixed": self.annotator is not None,
            "similar": self.kind in (LABELS, LIVE),
            "sweep": self.kind == LABELS and bool(self._predicted),
            "classes": self.classes(),
        }

    def review(self, annotator: str) -> dict[str, Any]:
        """What the page starts from where conflicts are settled: the images in dispute."""
        history = self.store.history()
        found = outcomes(history)
        rows = self.listing.rows
        disputed = [
            name
            for name, one in found.items()
            if name in rows and (one.kind == CONFLICT or (one.disputed and one.final))
        ]
        disputed.sort(key=lambda name: self._place.get(name, len(rows) + rows[name]))
        agreed = agreement(history)
        counts = dict.fromkeys(self.people(), 0)
        for one in found.values():
            for answer in one.answers:
                if not answer.final and answer.annotator in counts:
                    counts[answer.annotator] += 1
        return {
            **self._common(annotator),
            **self.round_view.state(FINAL, by=annotator),
            "mode": "review",
            "order": [self.listing.ref(name) for name in disputed],
            "similar": False,
            "agreement": None if agreed is None else asdict(agreed),
            "answered": counts,
            "images": len([one for one in found.values() if one.answers]),
        }

    def items(self, refs: Sequence[object], *, review: bool = False) -> dict[str, dict[str, Any]]:
        """What is shown beside a picture, by reference; in a review also who said what."""
        said: dict[str, Outcome] = outcomes(self.store.history()) if review else {}
        rows = {str(ref): self.listing.row(ref) for ref in refs}
        return {ref: self._item(row, said.get(self.listing.ids[row])) for ref, row in rows.items()}

    def _item(self, row: int, outcome: Outcome | None) -> dict[str, Any]:
        name = self.listing.ids[row]
        item: dict[str, Any] = {"id": name}
        if self.kind != AUDIT:  # an audit is blind
            own = self.similar.represented(name)
            item["stands"] = self.similar.count(name)
            near = self.similar.nearest_first(row, own)[:STRIP]
            item["strip"] = [self.listing.ref(self.listing.ids[other]) for other in near]
        if self.queue is not None and (guess := self.queue.guess(name)) is not None:
            label = self.store.names().present(guess[0])
            item["predicted"] = {"label": label, "confidence": round(guess[1], 3)}
        if self.kind == CHECK and name in self._predicted:
            present = self.store.names().present
            item["predicted"] = {
                what: present(said) if isinstance(said, str) else said
                for what, said in self._predicted[name].items()
            }
        if outcome is not None:
            item["said"] = [
                {"by": one.annotator, "kind": one.kind, "label": one.label}
                for one in outcome.answers
                if not one.final
            ]
        return item

    def alike(self, ref: object) -> list[dict[str, Any]]:
        """Images like one, for labelling them together; none where answers must stay blind."""
        row = self.listing.row(ref)
        if self.kind not in (LABELS, LIVE):
            return []
        found = []
        for one in self.similar.like(row):
            name = self.listing.ids[one.row]
            found.append({"image": self.listing.ref(name), "id": name, "own": one.represented})
        return found

    def shown(self, ref: object) -> int:
        """The row of an image whose picture is asked for.

        Raises :class:`UnboundError` where the file holds another picture by now, or none.
        """
        row = self.listing.row(ref)
        self.listing.check_content(row)
        return row

    def prepare_after(self, ref: object, side: int) -> None:
        """Make the next pictures ready, as soon as one to look at is asked for."""
        place = self._place.get(self.listing.ids[self.listing.row(ref)])
        if side >= FIRST_LARGE and place is not None:
            coming = self._order[place + 1 : place + 1 + AHEAD]
            self.pictures.prepare([self.listing.rows[name] for name in coming], side)


def _predictions(run: Run) -> dict[str, dict[str, Any]]:
    """What the page says of an image in a check, where the run has been trained.

    Of a prediction its ``label`` and ``confidence``; of a suspicious label what is ``given``, its
    ``support`` by the other labels, and as ``label`` what they suggest.
    """
    try:
        found = read_predictions(run.path)
    except DataError:
        return {}  # a help, not a need
    if found is None:
        return {}
    own = found.take(np.flatnonzero(found.own)).by_id()
    told: dict[str, dict[str, Any]] = {
        name: {"label": label, "confidence": round(confidence, 3)}
        for name, (label, confidence) in own.items()
        if label is not None
    }
    for row in suspicious_rows(found).tolist():
        told[found.ids[row]] = {
            "label": found.suggestions[row],
            "given": found.labels[row],
            "support": round(float(found.support[row]), 3),
        }
    return told
