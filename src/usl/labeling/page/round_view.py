"""One round as its annotators see it, and what they do: answers, undos, changes of the classes.

The store is followed by :class:`usl.labeling.page.round_mirror.RoundMirror`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from usl.core.errors import UsageError
from usl.labeling.answers.classes import (
    name_for,
    remove_class,
    rename_class,
    set_hotkey,
    undo_class_change,
)
from usl.labeling.answers.entries import LABEL, SKIP, Answer
from usl.labeling.answers.store import Store
from usl.labeling.page.listing import Listing, UnboundError
from usl.labeling.page.round_mirror import FINAL, RoundMirror, group_of

__all__ = ["FINAL", "RoundView"]

KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
MOST_IMAGES = 1_000  # in one answer
LONGEST = 3_600.0  # seconds; longer ones are a break, not a look


class RoundView(RoundMirror):
    """The answers to one round, and those to come.

    Parameters
    ----------
    store, round_name, listing : as of :class:`RoundMirror`.
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
        super().__init__(store, round_name, listing)
        self._only = None if only is None else frozenset(only)

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
            if one.image_id in images and not one.undone and group_of(one) != key:
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


def _revision(operation: dict[str, Any]) -> int | None:
    """The newest change of the classes that the browser knew of."""
    known = operation.get("names")
    if known is not None and (type(known) is not int or known < 0):
        raise UsageError("names: send the number of the newest change that is known.")
    return known


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name}: send text.")
    return value
