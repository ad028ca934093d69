"""One round as its annotators see it: a view of the store in memory that follows along.

Each annotator has a view of their own and sees nobody else's answers. The mirror reads what is new
in the store before every answer, so that other tabs, other servers and imports show up, too.
Images go by their ids here, and in what is sent and received by their references (see
:mod:`usl.labeling.page.listing`): never by a row, which another start of the server may give to a
neighbour.
"""

from __future__ import annotations

import re
import statistics
import threading
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from usl.core.errors import UsageError
from usl.labeling.answers.class_changes import UNDO as CLASS_UNDO
from usl.labeling.answers.class_changes import Names
from usl.labeling.answers.classes import (
    name_for,
    remove_class,
    rename_class,
    set_hotkey,
    undo_class_change,
)
from usl.labeling.answers.entries import LABEL, SKIP, UNDO, Answer
from usl.labeling.answers.store import Store
from usl.labeling.page.listing import Listing, UnboundError

FINAL = "\0final"  # the view in which conflicts are settled; no annotator can have this name
KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
MOST_IMAGES = 1_000  # in one answer
GROUPS = 30  # answers that can be undone after the page was loaded anew
LONGEST = 3_600.0  # seconds; longer ones are a break, not a look
PACE = 20  # answers that the time left is estimated from

Change = tuple[str, str, str | None]  # image, kind ("" for none) and label


@dataclass
class View:
    """One annotator's answers, as ``said[image_id]`` in order, undone ones included."""

    said: dict[str, list[Answer]] = field(default_factory=dict)
    groups: dict[str, list[Answer]] = field(default_factory=dict)  # by key, in order
    log: list[tuple[int, str]] = field(default_factory=list)  # (entry id, image id), ascending
    undone: set[int] = field(default_factory=set)  # ids of answers

    def current(self, image_id: str) -> Answer | None:
        """The last answer that is not undone."""
        said = reversed(self.said.get(image_id, ()))
        return next((one for one in said if one.id not in self.undone), None)


class RoundView:
    """The answers to one round.

    Parameters
    ----------
    store : where they are kept.
    round_name : the round.
    listing : the images.
    only : ids of those that may be answered; None for all (labelling similar images reaches beyond
        the round's own).
    """

    def __init__(
        self,
        store: Store,
        round_name: str,
        listing: Listing,
        *,
        only: Iterable[str] | None = None,
    ) -> None:
        self.store, self.round, self._listing = store, round_name, listing
        self._only = None if only is None else frozenset(only)
        self._views: dict[str, View] = {}
        self._by_id: dict[int, tuple[View, Answer]] = {}
        self._last = 0
        self._names = Names([], ())
        self._lock = threading.RLock()

    def follow(self) -> int:
        """Take in what is new in the store; the id of the newest entry."""
        with self._lock:
            names = self.store.names()
            if names.revision != self._names.revision:  # old answers read differently: begin anew
                self._views, self._by_id, self._last = {}, {}, 0
            self._names = names
            for entry in self.store.history(after=self._last, undos=True):
                self._last = entry.id
                if entry.kind == UNDO:
                    self._take_back(entry)
                elif entry.image_id in self._listing.rows and (
                    entry.final or entry.round == self.round
                ):
                    self._take_in(entry)
            return self._last

    def _take_in(self, entry: Answer) -> None:
        view = self.view(FINAL if entry.final else entry.annotator)
        view.said.setdefault(entry.image_id, []).append(entry)
        view.groups.setdefault(_group(entry), []).append(entry)
        view.log.append((entry.id, entry.image_id))
        if entry.undone:  # since, or with its class
            view.undone.add(entry.id)
        self._by_id[entry.id] = (view, entry)

    def _take_back(self, entry: Answer) -> None:
        known = self._by_id.get(entry.undoes)
        if known is None:
            return
        view, undone = known
        view.undone.add(undone.id)
        view.log.append((entry.id, undone.image_id))

    def view(self, annotator: str) -> View:
        """An annotator's view; of ``FINAL`` the one in which conflicts are settled."""
        with self._lock:
            return self._views.setdefault(annotator, View())

    def annotators(self) -> list[str]:
        """Who has answered anything, by name."""
        with self._lock:
            return sorted(name for name, view in self._views.items() if view.log and name != FINAL)

    @property
    def revision(self) -> int:
        """Number of the newest change of the classes that was followed."""
        return self._names.revision

    def state(self, annotator: str, by: str = "") -> dict[str, Any]:
        """All that an annotator has said, compactly; what the page starts from.

        In the view in which conflicts are settled, ``by`` is who is at work.
        """
        with self._lock:
            version = self.follow()
            view = self.view(annotator)
            labels: dict[str, int] = {}
            answers: list[tuple[str, int | str]] = []
            skipped: list[tuple[int, str]] = []
            for image_id in view.said:
                if (now := view.current(image_id)) is None:
                    continue
                ref = self._listing.ref(image_id)
                if now.kind == SKIP:
                    skipped.append((now.id, ref))
                label = labels.setdefault(now.label, len(labels)) if now.label is not None else None
                answers.append((ref, now.kind if label is None else label))
            return {
                "version": version,
                "names": self.revision,
                "labels": list(labels),
                "answers": answers,
                "skipped": [ref for _, ref in sorted(skipped)],
                "groups": self._undoable(view, annotator, by or annotator),
                "pace": _pace(view),
            }

    def _undoable(self, view: View, annotator: str, by: str) -> list[dict[str, Any]]:
        """The newest groups that are not undone: their key, their images and what was before.

        Among them are the changes of classes, which are of no images.
        """
        found: list[tuple[float, dict[str, Any]]] = []
        for key, entries in reversed(view.groups.items()):
            mine = [one for one in entries if one.id not in view.undone]
            if mine and (annotator == FINAL or mine[0].annotator == annotator):
                refs = [self._listing.ref(one.image_id) for one in mine]
                before = [_before(view, one.image_id, key) for one in mine]
                what = {"kind": mine[0].kind, "label": mine[0].label}
                group = {"key": key, "images": refs, "before": before, **what}
                found.append((mine[0].id, group))
                if len(found) == GROUPS:
                    break
        for one in self._names.changes:
            mine_too = one.key and one.annotator == by and one.kind != CLASS_UNDO
            if mine_too and one.id not in self._names.undone:
                group = {"key": one.key, "images": [], "before": [], "kind": "", "label": None}
                found.append((one.after + 0.5, group))
        found.sort(key=lambda pair: pair[0])
        return [group for _, group in found[-GROUPS:]]

    def changes(self, annotator: str, since: int) -> list[Change]:
        """What became of an annotator's answers after entry ``since``."""
        with self._lock:
            self.follow()
            view = self.view(annotator)
            start = bisect_right(view.log, since, key=lambda entry: entry[0])
            changed = dict.fromkeys(image_id for _, image_id in view.log[start:])
            return [self._change(view, image_id) for image_id in changed]

    def _change(self, view: View, image_id: str) -> Change:
        now, ref = view.current(image_id), self._listing.ref(image_id)
        return (ref, "", None) if now is None else (ref, now.kind, now.label)

    def apply(
        self, operation: dict[str, Any], annotator: str, *, final: bool = False
    ) -> list[UnboundError]:
        """Do what a browser asks, once however often it asks.

        ``{"type": "answer", "images", "kind", "label", "seconds"}``, ``{"type": "undo", "of"}``,
        ``{"type": "class", "name"}``, ``{"type": "hotkey", "name", "hotkey"}``, ``{"type":
        "rename", "name", "to", "merge"}`` or ``{"type": "remove", "name"}``, each with a ``key``.
        ``names`` is the revision of the names that the browser knew: a label that was renamed since
        is understood. A correction has the newest entry it was made in view of, too, as ``seen``:
        where anybody has answered since, it is refused.

        Returns
        -------
        What is wrong with each image that could not be answered; the others' answers are kept. The
        whole operation may be sent again, once the images are back.

        Raises
        ------
        UsageError : it makes no sense; sending it again would not help.
        DataError : it cannot be kept now.
        """
        key = operation.get("key")
        if not isinstance(key, str) or not KEY.fullmatch(key):
            raise UsageError("key: every operation needs one of 8 to 64 letters and digits.")
        kind = operation.get("type")
        if kind == "answer":
            return self._answer(operation, key, annotator, final=final)
        with self._lock:
            if kind == "undo":
                self._undo(operation, key, annotator, final=final)
            elif kind == "class":
                self.store.add_class(name_for(self.store, _text(operation, "name")))
            elif kind in ("hotkey", "rename", "remove"):
                self._change_class(operation, key, annotator)
            else:
                raise UsageError("type: send answer, undo, class, hotkey, rename or remove.")
        return []

    def _answer(
        self, operation: dict[str, Any], key: str, annotator: str, *, final: bool
    ) -> list[UnboundError]:
        refs = operation.get("images")
        if not isinstance(refs, list) or not 1 <= len(refs) <= MOST_IMAGES:
            raise UsageError(f"images: give 1 to {MOST_IMAGES} of them.")
        if not all(isinstance(ref, str) for ref in refs):
            raise UsageError("images: name them by text.")
        known = _revision(operation)
        kind, label, seconds = (operation.get(name) for name in ("kind", "label", "seconds"))
        if not isinstance(kind, str) or not isinstance(label, str | None):
            raise UsageError("kind, label: send text.")
        if seconds is not None and type(seconds) not in (int, float):
            raise UsageError("seconds: send a number.")
        time = None
        if seconds is not None and 0 <= seconds <= LONGEST:
            time = round(float(seconds), 2) / len(refs)
        seen = operation.get("seen")
        if seen is not None and (type(seen) is not int or not 0 <= seen < 10**18):
            raise UsageError("seen: send a number.")
        bound, left = self._bind(refs, look=kind != SKIP)
        with self.store.transaction():
            if seen is not None:
                self._check_unanswered({image_id for _, image_id in bound}, key, seen)
            if label is not None:
                label = name_for(self.store, label, known)
            self._keep(bound, key, kind, label, annotator, time=time, final=final)
        return left

    def _keep(
        self,
        bound: list[tuple[int, str]],
        key: str,
        kind: str,
        label: str | None,
        annotator: str,
        *,
        time: float | None,
        final: bool,
    ) -> None:
        """Keep the answer to some images; its class is listed again if it is not any more."""
        answers = [
            Answer(
                image_id=image_id,
                kind=kind,
                label=label,
                annotator=annotator,
                round=self.round,
                seconds=time,
                final=final,
                key=f"{key}.{number}",
            )
            for number, image_id in bound
        ]
        last = self.store.last_id()
        added = self.store.add(answers)
        if added and added[-1] > last and kind == LABEL and label is not None:
            self.store.add_class(label)  # another tab may have removed it meanwhile

    def _check_unanswered(self, images: set[str], key: str, seen: int) -> None:
        """UsageError where one of ``images`` has an answer newer than ``seen``, but by ``key``."""
        for one in self.store.history(after=seen):
            if one.image_id in images and not one.undone and _group(one) != key:
                by = one.annotator or "another tab"
                said = f"it {one.label!r}" if one.label is not None else f"it {one.kind}"
                raise UsageError(f"{one.image_id}: {by} has called {said} meanwhile. Look again.")

    def _bind(
        self, refs: Iterable[str], *, look: bool
    ) -> tuple[list[tuple[int, str]], list[UnboundError]]:
        """Number and id of each image that can be answered, and what is wrong with the others.

        Numbers are those of the whole operation: sent again, it counts each answer once. A skip
        says nothing of an image, so nobody need ``look`` at its content.
        """
        bound: list[tuple[int, str]] = []
        left: list[UnboundError] = []
        for number, ref in enumerate(dict.fromkeys(refs)):
            try:
                row = self._listing.row(ref)
                if look:
                    self._listing.check_content(row)
            except UnboundError as error:
                left.append(error)
                continue
            image_id = self._listing.ids[row]
            if self._only is not None and image_id not in self._only:
                raise UsageError(f"images: {image_id} is no image of this round.")
            bound.append((number, image_id))
        return bound, left

    def _undo(self, operation: dict[str, Any], key: str, annotator: str, *, final: bool) -> None:
        self.follow()
        of = _text(operation, "of")
        if any(one.key == of for one in self._names.changes):
            undo_class_change(self.store, of, annotator=annotator, key=key)
            return
        group = self.view(FINAL if final else annotator).groups.get(of, [])
        if not group:
            raise UsageError("undo: there is no such answer.")
        self.store.undo([one.id for one in group], annotator=annotator, key=key)

    def _change_class(self, operation: dict[str, Any], key: str, annotator: str) -> None:
        name, known = _text(operation, "name"), _revision(operation)
        if operation["type"] == "hotkey":
            set_hotkey(self.store, name, _text(operation, "hotkey"), revision=known)
        elif operation["type"] == "remove":
            remove_class(self.store, name, annotator=annotator, key=key, revision=known)
        else:
            rename_class(
                self.store,
                name,
                _text(operation, "to"),
                merge=operation.get("merge") is True,
                annotator=annotator,
                key=key,
                revision=known,
            )


def _group(entry: Answer) -> str:
    """What is undone together: the answers of one operation of the page."""
    base, dot, _ = entry.key.rpartition(".")
    return base if dot else entry.key or f"entry-{entry.id}"


def _before(view: View, image_id: str, key: str) -> tuple[str, str | None]:
    """What counted for an image before an operation."""
    for one in reversed(view.said[image_id]):
        if one.id not in view.undone and _group(one) != key:
            return one.kind, one.label
    return "", None


def _revision(operation: dict[str, Any]) -> int | None:
    """The newest change of the classes that the browser knew of."""
    known = operation.get("names")
    if known is not None and (type(known) is not int or known < 0):
        raise UsageError("names: send the number of the newest change that is known.")
    return known


def _pace(view: View) -> float | None:
    """Median seconds of the latest answers."""
    latest: list[float] = []
    for entries in reversed(view.groups.values()):
        latest += [one.seconds for one in entries if one.seconds is not None]
        if len(latest) >= PACE:
            break
    return round(statistics.median(latest), 2) if latest else None


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name}: send text.")
    return value
