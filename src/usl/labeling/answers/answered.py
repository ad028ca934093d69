"""Which images have an answer by now, in any round but the audits; it follows the store along."""

from __future__ import annotations

from collections import defaultdict

from usl.labeling.answers.entries import SKIP, UNDO, Answer, is_audit
from usl.labeling.answers.store import Store

Person = tuple[str, bool]  # an annotator; whether a conflict was settled


class Answered:
    """The answers that stand. Not for several threads at once.

    As in :mod:`usl.labeling.answers.outcomes`, the last entry of a person that is not taken back
    counts, and a ``skip`` is no answer.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = -1  # of the names of classes
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.last = 0  # number of the newest entry that is known, undos included
        self._kinds: dict[str, dict[Person, dict[int, str]]] = {}
        self._by_id: dict[int, tuple[str, Person]] = {}

    def follow(self) -> bool:
        """Take in what is new in the store; whether there was anything."""
        revision = self._store.names().revision
        if anew := revision != self._revision:  # with a class its answers may have gone, or be back
            self._begin_anew()
            self._revision = revision
        before = self.last
        for entry in self._store.history(after=self.last, undos=True):
            self.last = entry.id
            if entry.kind == UNDO:
                image_id, person = self._by_id.get(entry.undoes, ("", ("", False)))
                self._kinds.get(image_id, {}).get(person, {}).pop(entry.undoes, None)
            elif not entry.undone and not is_audit(entry.round):
                self._take_in(entry)
        return anew or self.last > before

    def _take_in(self, entry: Answer) -> None:
        person = (entry.annotator, entry.final)
        people = self._kinds.setdefault(entry.image_id, defaultdict(dict))
        people[person][entry.id] = entry.kind
        self._by_id[entry.id] = (entry.image_id, person)

    def is_answered(self, image_id: str) -> bool:
        """Whether anybody has said anything of an image."""
        people = self._kinds.get(image_id, {}).values()
        return any(_last(kinds) not in (None, SKIP) for kinds in people)

    def has_skipped(self, image_id: str, annotator: str) -> bool:
        """Whether the last thing that an annotator said of an image is to come back to it."""
        return _last(self._kinds.get(image_id, {}).get((annotator, False), {})) == SKIP


def _last(kinds: dict[int, str]) -> str | None:
    """The newest of a person's entries about an image, by number."""
    return kinds[max(kinds)] if kinds else None
