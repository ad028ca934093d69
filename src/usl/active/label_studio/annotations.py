"""Annotations of Label Studio become answers of the run, and follow what becomes of them.

An annotation is known by its project and its number, which stand in the key of every answer that
came of it. One that was updated is answered anew, one that was deleted has its answers taken back;
what is known already is not said again, so that the same event may come any number of times. One
that was made of a prediction, many at once, without anybody looking, counts as swept.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from usl.active.label_studio.known import Known
from usl.core.errors import DataError
from usl.labeling.answers.classes import name_for
from usl.labeling.answers.entries import LABEL, SKIP, SWEPT_ELSEWHERE, Answer
from usl.labeling.answers.store import Store
from usl.labeling.exchange.contract import Given
from usl.labeling.exchange.incoming import EXPLAINED, rows_by_id
from usl.labeling.exchange.names import Finder
from usl.labeling.exchange.studio_tasks import given_by

Data = dict[str, Any]  # an object of Label Studio's JSON


def project_uid(number: object, created: object) -> str:
    """What tells a project from all others: its number, and the second in which it was made.

    Label Studio sends it so to backends; elsewhere it gives ``created`` as a time in ISO 8601.
    """
    try:
        return f"{int(str(number))}.{int(datetime.fromisoformat(str(created)).timestamp())}"
    except ValueError as error:
        raise DataError(f"Project {number!r}, made at {created!r}, is not one.") from error


@dataclass(frozen=True)
class Taken:
    """What came of annotations: how many answers were ``added`` and ``withdrawn``.

    ``notes`` say of which annotation nothing came, and why.
    """

    added: int = 0
    withdrawn: int = 0
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: Taken) -> Taken:
        """Both together."""
        notes = [*self.notes, *other.notes]
        return Taken(self.added + other.added, self.withdrawn + other.withdrawn, notes)


class Annotations:
    """The annotations of one project, as answers.

    Parameters
    ----------
    store : where the answers are.
    finder : tells the image of a task; ``round`` is the name of the round of the answers.
    """

    def __init__(self, store: Store, finder: Finder, *, uid: str, round: str) -> None:
        self._store, self._finder, self.round = store, finder, round
        self._known = Known(store, uid)
        self._reasons: dict[str, str] = {}  # by name: why it is no image's
        self._times: dict[int, str] = {}  # by annotation: when what is known of it was said
        self._lock = threading.Lock()

    def image_of(self, task: Data) -> tuple[str | None, str]:
        """The image that a task shows; None, and why, if it is none of the run's.

        Raises :class:`DataError` where its id and its address are of two images.
        """
        return self._image(next(iter(given_by(task, [], f"Task {task.get('id')}"))))

    def take(self, task: Data, annotations: Sequence[Data]) -> Taken:
        """Bring what annotations of a task say into the store.

        Raises :class:`DataError` where the store cannot be written: then nothing is taken.
        """
        done = Taken()
        for annotation in annotations:
            with self._lock:
                done += self._take(task, annotation)
        return done

    def _take(self, task: Data, annotation: Data) -> Taken:
        number, time = annotation.get("id"), str(annotation.get("updated_at") or "")
        if type(number) is not int or annotation.get("task", task.get("id")) != task.get("id"):
            raise DataError("An annotation of Label Studio has an id, and is of its task.")
        if time < self._times.get(number, ""):
            return Taken()  # a newer word of it is known
        where = f"Task {task.get('id')}, annotation {number}"
        given = next(iter(given_by(task, [annotation], where)))
        image, why = self._image(given)
        if image is None:
            return Taken(notes=[f"{where}: {why}."])
        if given.label is None and not annotation.get("was_cancelled"):
            done = self._withdraw(number)
            return Taken(withdrawn=done, notes=[f"{where}: no answer, {given.why}."])
        unseen = annotation.get("parent_prediction") is not None and given.seconds is None
        added = self._answer(image, given, number, SWEPT_ELSEWHERE if unseen else self.round)
        self._times[number] = time
        return Taken(added=added)

    def _answer(self, image: str, given: Given, number: int, round: str) -> int:
        """Keep what an annotation says, unless that is what it said last; how many are new."""
        with self._store.transaction():
            label = None if given.label is None else name_for(self._store, given.label)
            self._known.follow()
            known = self._known.of_annotation(number)
            stands = [one for one in known if not one.undone and one.image_id == image]
            if stands and (stands[-1].label, stands[-1].round) == (label, round):
                return 0
            if not known and label is not None and self._known.label_of(image) == label:
                return 0  # tasks may come with the run's own labels
            if label is not None:
                self._store.add_class(label)
            answer = Answer(
                image,
                SKIP if label is None else LABEL,
                label,
                given.annotator,
                round,
                given.seconds,
                key=f"{self._known.prefix}{number}:{len(known)}",
            )
            self._store.add([answer])
        return 1

    def withdraw(self, numbers: Sequence[int]) -> Taken:
        """Take the answers of annotations back that were deleted."""
        with self._lock:
            for number in numbers:
                self._times.pop(number, None)
            return Taken(withdrawn=sum(map(self._withdraw, numbers)))

    def _withdraw(self, number: int) -> int:
        """Take back all that an annotation has said: else what it said before would count."""
        self._known.follow()
        done = 0
        for one in self._known.of_annotation(number):
            if not one.undone:
                done += len(self._store.undo([one.id], annotator=one.annotator))
        return done

    def standing(self) -> dict[int, str]:
        """The image of every annotation of this project of which an answer stands."""
        with self._lock:
            self._known.follow()
            return self._known.standing()

    def _image(self, given: Given) -> tuple[str | None, str]:
        """The image of an entry; None, and why, if it is none of the run's."""
        row = rows_by_id([given], self._finder, [])[0]
        if row is not None:
            return self._finder.name(row), ""
        name = given.image or given.also
        if not name:
            return None, "it shows no picture"
        if name not in self._reasons and len(self._reasons) < EXPLAINED:
            self._reasons[name] = f"; {self._finder.reason(name)}"
        return None, f"{name!r} is no image of the run{self._reasons.get(name, '')}"
