"""What the tasks of a project show: for each task its image, and the prediction that it has now.

Predictions that have changed are sent, and no others. Label Studio takes about a tenth of a second
for one, so what comes next goes first, with as few new scores as the order needs; then what does
not come next any more. All others follow many at once, while nobody works: that keeps Label Studio
busy for seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from usl.active.label_studio.annotations import Data
from usl.active.label_studio.ascending import ascending
from usl.active.label_studio.backend import Backend
from usl.active.label_studio.project import MODEL, Project
from usl.active.label_studio.standing import ORDERED, Stand

BATCH = 5_000  # predictions in one request; Label Studio takes seconds for any number
DRIFT = 0.25  # a score may differ by so much, where the class has not changed


@dataclass(frozen=True)
class Sent:
    """A prediction as Label Studio has it: its ``number``, and the stand that it shows."""

    number: int
    label: str | None
    score: float

    @property
    def told(self) -> tuple[float, str | None]:
        """What it says."""
        return self.score, self.label


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
        self._shared: set[int] = set()  # tasks that other models have predictions of, too

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
        self._read_predictions()

    def _read_predictions(self) -> None:
        self._sent, self._shared = {}, set()
        for one in sorted(self._project.predictions(), key=lambda one: int(one["id"])):
            task = one["task"]
            if one["model_version"] != MODEL:
                self._shared.add(task)
            elif task in self._sent:
                self._project.remove_prediction(one["id"])
            else:
                score = one["score"]
                self._sent[task] = Sent(one["id"], _label(one), -1.0 if score is None else score)

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
            if (score, self._backend.shown(stand)) != self._sent[task].told:
                yield
                self._change(task, stand)
        left = [task for task, sent in self._sent.items() if sent.score < ORDERED]
        for task in sorted(set(left) - set(tasks)):
            yield
            self._change(task, self._stand(task))

    def send_changed(self) -> Iterator[None]:
        """Send all others that have changed, a batch at a time."""
        changed = [task for task in self._sent if self._differs(task)]
        alone = [task for task in changed if task not in self._shared]
        for start in range(0, len(alone), BATCH):
            yield
            batch = alone[start : start + BATCH]
            self._project.remove_all_predictions(batch)
            for task in batch:
                del self._sent[task]
            self._add(batch)
        if alone:
            self._read_predictions()
        for task in changed:
            if task in self._shared:
                yield
                self._change(task, self._stand(task))

    def _stand(self, task: int) -> Stand:
        return self._backend.standing.of(self._images.get(task))

    def _differs(self, task: int) -> bool:
        """Whether a prediction has another class by now, or quite another score."""
        sent, stand = self._sent[task], self._stand(task)
        drift = abs(sent.score - stand.score)
        return sent.label != self._backend.shown(stand) or drift > DRIFT

    def _change(self, task: int, stand: Stand) -> None:
        sent = self._sent[task]
        told = self._backend.prediction(stand)
        self._project.change_prediction(sent.number, told)
        self._sent[task] = Sent(sent.number, _label(told), stand.score)

    def _add(self, tasks: Sequence[int]) -> None:
        self._project.add_predictions(list(self._predictions(tasks)))

    def _predictions(self, tasks: Iterable[int]) -> Iterator[Data]:
        for task in tasks:
            yield {"task": task, **self._backend.prediction(self._stand(task))}


def _label(prediction: Data) -> str | None:
    """The choice that a prediction shows."""
    for one in prediction["result"]:
        return str(one["value"]["choices"][0])
    return None
