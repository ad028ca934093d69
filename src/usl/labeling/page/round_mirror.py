"""A mirror of the store in memory, of one round: what each of its annotators has said.

Each annotator has a view of their own and sees nobody else's answers. The mirror reads what is new
in the store before every answer, so that other tabs, other servers and imports show up, too.
Images go by their ids here, and in what is sent by their references (see
:mod:`usl.labeling.page.listing`): never by a row, which another start of the server may give to a
neighbour.
"""

from __future__ import annotations

import statistics
import threading
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from usl.labeling.answers.class_changes import UNDO as CLASS_UNDO
from usl.labeling.answers.class_changes import Names
from usl.labeling.answers.entries import SKIP, UNDO, Answer
from usl.labeling.answers.store import Store
from usl.labeling.page.listing import Listing

FINAL = "\0final"  # the view in which conflicts are settled; no annotator can have this name
GROUPS = 30  # answers that can be undone after the page was loaded anew
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


class RoundMirror:
    """The answers to one round, as far as they were read.

    Parameters
    ----------
    store : where they are kept.
    round_name : the round.
    listing : the images.
    """

    def __init__(self, store: Store, round_name: str, listing: Listing) -> None:
        self.store, self.round, self._listing = store, round_name, listing
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
        view.groups.setdefault(group_of(entry), []).append(entry)
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


def group_of(entry: Answer) -> str:
    """What is undone together: the answers of one operation of the page."""
    base, dot, _ = entry.key.rpartition(".")
    return base if dot else entry.key or f"entry-{entry.id}"


def _before(view: View, image_id: str, key: str) -> tuple[str, str | None]:
    """What counted for an image before an operation."""
    for one in reversed(view.said[image_id]):
        if one.id not in view.undone and group_of(one) != key:
            return one.kind, one.label
    return "", None


def _pace(view: View) -> float | None:
    """Median seconds of the latest answers."""
    latest: list[float] = []
    for entries in reversed(view.groups.values()):
        latest += [one.seconds for one in entries if one.seconds is not None]
        if len(latest) >= PACE:
            break
    return round(statistics.median(latest), 2) if latest else None
