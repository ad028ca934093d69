"""What a backend knows and does, whoever asks: the project, its interface, tasks and events.

One run has one project. A backend without Label Studio's address takes the first that asks for it;
a round of the run's answers remembers which it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from usl.active.label_studio.annotations import Annotations, Data, Taken, project_uid
from usl.active.label_studio.interface import Interface, read_interface
from usl.active.label_studio.project import MODEL
from usl.active.label_studio.standing import Stand, Standing
from usl.core.errors import DataError
from usl.labeling.answers.classes import name_for
from usl.labeling.answers.entries import LIVE
from usl.labeling.answers.live import SUGGEST, live_round
from usl.labeling.answers.store import Store
from usl.labeling.exchange.names import Finder

PROJECT = "label_studio"  # the setting of a round that says which project
CREATED = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED")
DELETED = ("ANNOTATIONS_DELETED", "ANNOTATION_DELETED")
CHANGED = ("PROJECT_UPDATED",)
TRAIN = ("START_TRAINING",)
MORE_TASKS = ("TASKS_CREATED",)
FEW = 5  # tasks and annotations each that are told of, of those that come to nothing


class UnknownProjectError(DataError):
    """A project asks that this backend does not serve."""


class Backend:
    """The backend of one run.

    Parameters
    ----------
    store : its answers; ``finder`` tells the images of its tasks.
    standing : what is wanted of each image.
    settings : of the round of the answers.
    tell : gets what a person has to know, a line at a time, each line once.

    Attributes
    ----------
    wake : called when there is something new to learn from.
    more_tasks : called when there are new tasks.
    interface : the project's question; None before it is known, and where the run has no answer.
    """

    def __init__(
        self,
        store: Store,
        finder: Finder,
        standing: Standing,
        settings: dict[str, Any],
        *,
        tell: Callable[[str], None],
    ) -> None:
        self.store, self.finder, self.standing = store, finder, standing
        self.wake: Callable[[], None] = lambda: None
        self.more_tasks: Callable[[], None] = lambda: None
        self.interface: Interface | None = None
        self._settings, self._tell = settings, tell
        self._annotations: Annotations | None = None
        self._choices: dict[str, str] = {}  # by class of the run
        self._uid, self._config = "", ""
        self._told, self._few = set[str](), dict[str, int]()
        self._lock = threading.RLock()

    @property
    def round(self) -> str:
        """Name of the round of the answers; empty before there is a project."""
        return "" if self._annotations is None else self._annotations.round

    def known_project(self) -> str:
        """The project of the newest round that has one; empty before the first."""
        rounds = [one for one in self.store.rounds() if one.kind == LIVE]
        told = (one.settings.get(PROJECT) for one in reversed(rounds))
        return next((str(uid) for uid in told if uid), "")

    def bind(self, uid: str, *, anew: bool = False) -> Annotations:
        """Serve this project: the one there is, or the first that asks.

        ``anew`` says that a person wants it in the place of a former one. Raises
        :class:`UnknownProjectError` for another.
        """
        with self._lock:
            if self._annotations is not None and self._uid == uid:
                return self._annotations
            known = self._uid or self.known_project()
            if known and known != uid and not anew:
                number, former = uid.partition(".")[0], known.partition(".")[0]
                former = "an earlier one of that number" if number == former else former
                raise UnknownProjectError(
                    f"Project {number} asks, but this run serves project {former}. Serve another "
                    f"run for it, or start with --url and --project {number}."
                )
            drawn = live_round(self.store, {**self._settings, PROJECT: uid})
            self._uid = uid
            self._annotations = Annotations(self.store, self.finder, uid=uid, round=drawn.name)
            return self._annotations

    def configure(self, config: str) -> Interface:
        """Take a labelling configuration over, and say what has changed.

        Raises :class:`DataError` for one that asks something else than the run can answer; what
        was taken over before stays out of use until there is one again.
        """
        with self._lock:
            if self.interface is not None and config == self._config:
                return self.interface
            before, self.interface, self._config = self.interface, None, config
            found = read_interface(config)
            for name in found.choices:  # the page and the report know them, too
                self.store.add_class(name_for(self.store, name))
            if before is not None:
                self._tell_changes(before, found)
            self.interface = found
            self._name_choices()
            return found

    def _name_choices(self) -> None:
        """Find the choice of each class, which may have another name on the page by now."""
        names = () if self.interface is None else reversed(self.interface.choices)
        self._choices = {name_for(self.store, name): name for name in names}

    def follow(self) -> None:
        """Take in what anybody has answered or renamed, and have the model learn from it."""
        with self._lock:
            if not self.standing.follow():
                return
            self._name_choices()
        self.wake()

    def _tell_changes(self, before: Interface, now: Interface) -> None:
        new = [name for name in now.choices if name not in before.choices]
        gone = [name for name in before.choices if name not in now.choices]
        if new:
            self.tell(f"The project offers more choices: {_named(new)}.")
        if gone:
            self.tell(
                f"The project no longer offers {_named(gone)}. Answers keep it, and an image that "
                "the model takes for it gets no suggestion. If it was renamed, rename it on the "
                "page, too: usl label."
            )

    def predict(self, tasks: Sequence[Data]) -> list[Data]:
        """One prediction for each task, in their order."""
        self.follow()
        return [self.prediction(self.standing.of(self.image_of(task))) for task in tasks]

    def image_of(self, task: Data) -> str | None:
        """The image that a task shows; None, which is said once, if it is none of the run's."""
        assert self._annotations is not None
        try:
            image, why = self._annotations.image_of(task)
        except DataError as error:
            image, why = None, str(error)
        if image is None:
            self.tell_of("task", f"Task {task.get('id')}: {why}.")
        return image

    def shown(self, stand: Stand) -> str | None:
        """The choice that is suggested; None where the project offers none for the class."""
        return self._choices.get(stand.label or "") if self._settings[SUGGEST] else None

    def prediction(self, stand: Stand) -> Data:
        """As Label Studio takes it; without a suggestion where there is none to show."""
        interface, choice = self.interface, self.shown(stand)
        if interface is None:
            raise DataError("The project's labelling interface is none that the run can answer.")
        result = []
        if choice is not None:
            result = [{**interface.choice(choice), "score": round(stand.sure, 4)}]
        return {"result": result, "score": stand.score, "model_version": MODEL}

    def event(self, action: str, payload: Data) -> Taken:
        """Take what Label Studio tells; it is on the disk when this returns."""
        project = payload.get("project")
        if not isinstance(project, dict):
            raise DataError(f"The event {action} does not tell its project; send its payload.")
        annotations = self.bind(project_uid(project.get("id"), project.get("created_at")))
        done = Taken()
        if action in CREATED:
            for task, annotation in _pairs(payload):
                done += annotations.take(task, [annotation])
        elif action in DELETED:
            given = payload.get("annotations", payload.get("annotation"))
            done = annotations.withdraw([one["id"] for one in _objects(given)])
        elif action in MORE_TASKS:
            self.more_tasks()
        if action in CHANGED or action in CREATED:
            self._reconfigure(project)
        self.told(done)
        if action in TRAIN:
            self.wake()
        return done

    def told(self, done: Taken) -> None:
        """Go on with what came of annotations, and say of which nothing came."""
        for note in done.notes:
            self.tell_of("annotation", note)
        self.follow()

    def _reconfigure(self, project: Data) -> None:
        config = project.get("label_config")
        if isinstance(config, str) and config != self._config:
            self.more_tasks()  # their predictions may have to change
            try:
                self.configure(config)
            except DataError as error:  # answers are taken all the same
                self.tell(str(error))

    def tell(self, line: str) -> None:
        """Say something, once."""
        with self._lock:
            if line in self._told:
                return
            self._told.add(line)
        self._tell(line)

    def tell_of(self, what: str, line: str) -> None:
        """Say something of one of many: the first few, each once."""
        with self._lock:
            said = self._few[what] = self._few.get(what, 0) + (line not in self._told)
        if said <= FEW:
            self.tell(line if said < FEW else f"{line} Further ones are not told.")


def _pairs(payload: Data) -> list[tuple[Data, Data]]:
    """Tasks and annotations of an event, which tells one of each or lists of them."""
    tasks = {task.get("id"): task for task in _objects(payload.get("task"))}
    annotations = _objects(payload.get("annotation"))
    found = [(tasks.get(one.get("task"), {}), one) for one in annotations]
    if not found or not all(task for task, _ in found):
        raise DataError("The event tells no annotation with its task; send its payload.")
    return found


def _objects(given: object) -> list[Data]:
    found = given if isinstance(given, list) else [given]
    if not all(isinstance(one, dict) and type(one.get("id")) is int for one in found):
        raise DataError("The event is none of Label Studio's: an object without a number.")
    return [one for one in found if isinstance(one, dict)]


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
