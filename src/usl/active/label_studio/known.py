"""What annotations of one project have said so far; it follows the store along."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from usl.labeling.answers.entries import UNDO, Answer
from usl.labeling.answers.outcomes import outcomes
from usl.labeling.answers.store import Store

KEY = "label-studio"  # keys of answers: label-studio:PROJECT:ANNOTATION:how many before


class Known:
    """The entries of the store, by annotation and by image. Not for several threads at once."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store, self.prefix = store, f"{KEY}:{uid}:"
        self._revision = -1  # of the names of classes
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._last = 0
        self._entries: dict[int, Answer] = {}
        self._of_annotation: dict[int, list[int]] = defaultdict(list)
        self._of_image: dict[str, list[int]] = defaultdict(list)

    def follow(self) -> None:
        """Take in what is new in the store."""
        revision = self._store.names().revision
        if revision != self._revision:  # labels of old entries read differently
            self._begin_anew()
            self._revision = revision
        for entry in self._store.history(after=self._last, undos=True):
            self._last = entry.id
            if entry.kind == UNDO:
                if entry.undoes in self._entries:
                    undone = replace(self._entries[entry.undoes], undone=True)
                    self._entries[entry.undoes] = undone
                continue
            self._entries[entry.id] = entry
            self._of_image[entry.image_id].append(entry.id)
            if entry.key.startswith(self.prefix):
                number = entry.key.removeprefix(self.prefix).partition(":")[0]
                self._of_annotation[int(number)].append(entry.id)

    def of_annotation(self, number: int) -> list[Answer]:
        """What an annotation has said, in order."""
        return [self._entries[one] for one in self._of_annotation.get(number, ())]

    def label_of(self, image: str) -> str | None:
        """The label of an image by all answers to it."""
        said = [self._entries[one] for one in self._of_image.get(image, ())]
        found = outcomes(said)
        return found[image].label if image in found else None

    def standing(self) -> dict[int, str]:
        """The image of every annotation of which an answer stands."""
        return {
            number: self._entries[entries[-1]].image_id
            for number, entries in self._of_annotation.items()
            if any(not self._entries[one].undone for one in entries)
        }
