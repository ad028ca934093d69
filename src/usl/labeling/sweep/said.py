"""What has been said of each image outside the audits, followed along entry by entry."""

from __future__ import annotations

from dataclasses import replace

from usl.labeling.answers.entries import LABEL, UNDO, Answer, is_audit, is_swept
from usl.labeling.answers.outcomes import OPEN, Outcome, outcomes, unmarks
from usl.labeling.answers.store import Store


class Said:
    """A view of a store in memory; :meth:`follow` first. Not to be shared by threads.

    Parameters
    ----------
    store : where the answers are.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._entries: dict[str, list[Answer]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._sheets: set[str] = set()
        self._unmarked: set[str] = set()
        self._glances: dict[str, list[Answer]] = {}  # by image: what was swept, and counts
        self._pace: dict[str, list[float]] = {}  # by annotator: labels swept, seconds of them all
        self._last, self._revision = 0, 0

    def follow(self) -> set[str]:
        """Take in what is new; the images that it is about."""
        touched: set[str] = set()
        revision = self.store.names().revision
        if revision != self._revision:  # old answers read differently: begin anew
            touched.update(self._entries)
            self._entries, self._last, self._revision = {}, 0, revision
        for entry in self.store.history(after=self._last, undos=True):
            self._last = entry.id
            if is_audit(entry.round):
                continue
            said = self._entries.setdefault(entry.image_id, [])
            touched.add(entry.image_id)
            if entry.kind == UNDO:
                said[:] = [
                    replace(one, undone=one.undone or one.id == entry.undoes) for one in said
                ]
            else:
                said.append(entry)
                if is_swept(entry.round):
                    self._sheets.add(entry.key.rpartition(".")[0])
        for image in touched:
            said = self._entries.get(image, [])
            self._outcomes[image] = found = outcomes(said).get(image, Outcome(OPEN))
            waits = found.kind == OPEN and any(map(unmarks, said))
            (self._unmarked.add if waits else self._unmarked.discard)(image)
            self._count(image, -1)
            self._glances[image] = [one for one in said if is_swept(one.round) and not one.undone]
            self._count(image, 1)
        return touched

    def _count(self, image: str, sign: int) -> None:
        for one in self._glances.get(image, ()):
            pace = self._pace.setdefault(one.annotator, [0.0, 0.0])
            pace[0] += sign * (one.kind == LABEL)
            pace[1] += sign * (one.seconds or 0.0)

    def pace(self, annotator: str) -> tuple[int, float]:
        """How many labels an annotator has swept, and in how many seconds."""
        labels, seconds = self._pace.get(annotator, (0.0, 0.0))
        return int(labels), abs(round(seconds, 1))

    def images(self) -> set[str]:
        """All images that anything was ever said of."""
        return set(self._entries)

    def knows_sheet(self, key: str) -> bool:
        """Whether a sheet was kept under this stem of keys, taken back or not."""
        return key in self._sheets

    def outcome(self, image: str) -> Outcome:
        """What the answers to an image amount to."""
        return self._outcomes.get(image, Outcome(OPEN))

    def unmarked(self, image: str) -> bool:
        """Whether somebody has taken an image out of a sheet, and nobody has said more of it."""
        return image in self._unmarked

    def waiting(self, annotator: str) -> list[str]:
        """The images that an annotator has unmarked, and that wait for a label, in order."""
        found = [
            (one.id, image)
            for image in self._unmarked
            for one in self._entries[image]
            if unmarks(one) and one.annotator == annotator
        ]
        return list(dict.fromkeys(image for _, image in sorted(found)))
