"""What the tasks of a project show: for each task its image, and the prediction that it has now.

Predictions that have changed are sent, and no others. Label Studio takes about a tenth of a second
for one, so what comes next goes first, with as few new scores as the order needs; then what does
not come next any more; all others follow while nobody works. Never many at once, but for tasks that
have none yet: Label Studio's database would be locked meanwhile, and deny a person the next task.

Where several people may annotate, Label Studio 1.23 draws at random among the tasks with a
prediction of the project's version, whatever their scores. There only what comes next has that
version, and all others another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from usl.active.label_studio.annotations import Data
from usl.active.label_studio.ascending import ascending
from usl.active.label_studio.backend import Backend
from usl.active.label_studio.project import LATER, MODEL, Project
from usl.active.label_studio.standing import ORDERED, Stand

BATCH = 1_000  # predictions in one request
DRIFT = 0.25  # a score may differ by so much, where the class has not changed


@dataclass(frozen=True)
class Sent:
    """A prediction as Label Studio has it: its ``number``, and the stand that it shows."""

    number: int
    label: str | None
    score: float
    version: str

    @property
    def told(self) -> tuple[float, str | None, str]:
        """What it says."""
        return self.score, self.label, self.version


class Shown:
    """The tasks and predictions of one project.

    Parameters
    ----------
    project : the project.
    backend : tells what each image's prediction is.
    """

    def __init__(self, project: Project, backend: Backend) -> None:
        self._project, self._backend = project, backend
        self._images: dict[int, str | None] = {}
        self._tasks: dict[str, list[int]] = {}
        self._sent: dict[int, Sent] = {}
        self._rest = MODEL  # the version of what does not come next

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self._images)

    @property
    def matched(self) -> int:
        """How many of them show an image of the run."""
        return sum(image is not None for image in self._images.values())

    def tasks_of(self, image: str) -> list[int]:
        """The tasks that show an image."""
        return self._tasks.get(image, [])

    def read(self) -> None:
        """Read the tasks and their predictions; of two of ours for one task the older stays."""
        tasks = self._project.tasks()
        known = self._images
        self._images = {
            task["id"]: known[task["id"]] if task["id"] in known else self._backend.image_of(task)
            for task in tasks
        }
        self._tasks = {}
        for task, image in self._images.items():
            if image is not None:
                self._tasks.setdefault(image, []).append(task)
        self.see_who_works()
        self._read_predictions()

    def see_who_works(self) -> None:
        """Look whether there is a team."""
        self._rest = LATER if self._project.has_team() else MODEL

    def _read_predictions(self) -> None:
        self._sent = {}
        for one in sorted(self._project.predictions(), key=lambda one: int(one["id"])):
            task = one["task"]
            if one["model_version"] not in (MODEL, LATER):
                continue  # of another model
            if task in self._sent:
                self._project.remove_prediction(one["id"])
            else:
                score = -1.0 if one["score"] is None else one["score"]
                self._sent[task] = Sent(one["id"], _label(one), score, one["model_version"])

    def add_missing(self) -> None:
        """Give a prediction to the tasks that have none."""
        missing = [task for task in self._images if task not in self._sent]
        for start in range(0, len(missing), BATCH):
            self._add(missing[start : start + BATCH])
        if missing:
            self._read_predictions()

    def send_wanted(self) -> Iterator[None]:
        """Send what comes next, then what came next before, one task at a time.

        Stops where the caller stops asking; then nothing is half done.
        """
        tasks = [task for image in self._backend.standing.wanted() for task in self.tasks_of(image)]
        tasks = [task for task in tasks if task in self._sent]
        scores = ascending([self._sent[task].score for task in tasks], ORDERED)
        for task, score in zip(tasks, scores, strict=True):
            stand = replace(self._stand(task), score=score)
            if (score, self._backend.shown(stand), MODEL) != self._sent[task].told:
                yield
                self._change(task, stand, MODEL)
        left = {task for task, sent in self._sent.items() if self._comes_next(sent)}
        for task in sorted(left.difference(tasks)):
            yield
            self._change(task, self._stand(task), self._rest)

    def send_changed(self) -> Iterator[None]:
        """Send all others that have changed, one task at a time."""
        for task in [task for task in self._sent if self._differs(task)]:
            yield
            self._change(task, self._stand(task), self._rest)

    def _comes_next(self, sent: Sent) -> bool:
        """Whether a prediction says so."""
        return sent.score < ORDERED or (sent.version == MODEL and self._rest != MODEL)

    def _stand(self, task: int) -> Stand:
        return self._backend.standing.of(self._images.get(task))

    def _differs(self, task: int) -> bool:
        """Whether a prediction has another class by now, or quite another score."""
        sent, stand = self._sent[task], self._stand(task)
        if self._comes_next(sent):
            return False  # of these is taken care
        drift = abs(sent.score - stand.score)
        return (
            sent.version != self._rest or sent.label != self._backend.shown(stand) or drift > DRIFT
        )

    def _change(self, task: int, stand: Stand, version: str) -> None:
        sent = self._sent[task]
        told = self._backend.prediction(stand, version)
        self._project.change_prediction(sent.number, told)
        self._sent[task] = Sent(sent.number, _label(told), stand.score, version)

    def _add(self, tasks: Sequence[int]) -> None:
        self._project.add_predictions(list(self._predictions(tasks)))

    def _predictions(self, tasks: Iterable[int]) -> Iterator[Data]:
        for task in tasks:
            yield {"task": task, **self._backend.prediction(self._stand(task), self._rest)}


def _label(prediction: Data) -> str | None:
    """The choice that a prediction shows."""
    for one in prediction["result"]:
        return str(one["value"]["choices"][0])
    return None
