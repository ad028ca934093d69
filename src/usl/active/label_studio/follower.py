"""The thread that keeps a Label Studio up to date: what it missed, what is wanted, what changed.

Events come to the server by themselves, but Label Studio sends each of them once: what happened
while this server was away is fetched when it begins, when Label Studio is back, and now and then.
Where Label Studio cannot reach this server at all, that is how annotations come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Set

from usl.active.label_studio.annotations import Taken
from usl.active.label_studio.api import AwayError, NotThereError
from usl.active.label_studio.backend import Backend
from usl.active.label_studio.project import Project
from usl.active.label_studio.shown import Shown
from usl.core.errors import DataError
from usl.core.words import counted

OFTEN, RARELY = 3.0, 60.0  # seconds between looks at annotations, without events and with them
SHARE = 20.0  # a look is not begun again before so many times as long as the last took
RETRY = 10.0  # seconds until a Label Studio that is gone is asked again
GRACE = 3.0  # seconds for what is under way at the end
QUIET = 10.0  # seconds without an annotation after which nobody seems to be at work
BLOCKED = (
    "It refuses addresses of its own machine and network unless it is started with "
    "ML_BLOCK_LOCAL_IP=false SSRF_PROTECTION_ENABLED=false. Until then its annotations are fetched "
    f"every {OFTEN:.0f} seconds."
)


class Follower:
    """Begins to work when it is made.

    Parameters
    ----------
    project : the project; ``backend`` serves it.
    connect : makes this server the project's backend.
    tell : gets what there is to say, a line at a time.
    taken : called after annotations became answers.
    """

    def __init__(
        self,
        project: Project,
        backend: Backend,
        *,
        connect: Callable[[], None],
        tell: Callable[[str], None],
        taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._project, self._backend, self._connect = project, backend, connect
        self._tell, self._taken = tell, taken
        self._shown = Shown(project, backend)
        self._news, self._closing = threading.Event(), False
        self._connected, self._away, self._new_tasks = False, False, True
        self._served = False  # in the order of the scores
        self._look, self._worked, self._every = 0.0, 0.0, RARELY
        self._with_task: set[int] = set()  # annotations that are gone with their tasks
        self._thread = threading.Thread(target=self._work, name="label studio", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is a newer order."""
        self._news.set()

    def more_tasks(self) -> None:
        """There are new tasks."""
        self._new_tasks = True
        self._news.set()

    def worked(self) -> None:
        """Somebody has annotated."""
        self._worked = time.monotonic()

    def close(self) -> None:
        """Stop after what is under way, unless Label Studio takes long over it."""
        self._closing = True
        self._news.set()
        self._thread.join(GRACE)

    def _work(self) -> None:
        while not self._closing:
            try:
                busy = self._once()
                if self._away:
                    self._away = False
                    self._tell(f"{self._project.api.url} is back.")
                if not busy:
                    self._sleep(max(0.05, self._look - time.monotonic()))
            except AwayError as error:
                if not self._away:
                    self._away = True
                    self._tell(f"{error}. Label Studio is asked again every {RETRY:.0f} s.")
                self._begin_again()
            except DataError as error:  # a person has to mend it
                self._backend.tell(str(error))
                self._begin_again(RARELY)

    def _begin_again(self, pause: float = 0.0) -> None:
        """After a while, with all that may have been missed."""
        self._look, self._new_tasks = 0.0, True
        self._sleep(max(RETRY, pause))

    def _once(self) -> bool:
        """Do what is due, the most urgent first; whether there is something to do at once."""
        if not self._connected:
            self._begin()
        if self._new_tasks:
            self._new_tasks = False
            self._shown.read()
            self._tell_tasks()
        if time.monotonic() >= self._look:
            self._catch_up()
        self._news.clear()
        if self._closing or self._backend.interface is None:  # then there is nothing to show
            return self._closing
        try:
            self._shown.add_missing()
            self._serve()
            return self._send()
        except NotThereError:  # somebody has removed predictions
            self._new_tasks = True
            return True

    def _begin(self) -> None:
        try:
            self._connect()
            self._tell(f"Connected to {self._project}.")
        except DataError as error:
            self._backend.tell(f"Label Studio does not reach this server: {error} {BLOCKED}")
            self._every = OFTEN
        else:
            self._every = RARELY
        self._connected = True

    def _tell_tasks(self) -> None:
        tasks, matched = len(self._shown), self._shown.matched
        self._backend.tell(f"{counted(tasks, 'task')}, {matched:,} of them images of the run.")
        if not matched:
            self._backend.tell("Import tasks of the run: usl export RUN --to label_studio.")

    def _serve(self) -> None:
        """Have tasks asked for in our order, once: a person may choose another later."""
        if len(self._shown) and not self._served:
            self._project.serve_by_score()
            self._served = True

    def _catch_up(self) -> None:
        """Take in annotations that were missed, and withdraw those that are gone."""
        began = time.monotonic()
        annotations = self._backend.bind(self._project.uid)
        done, there = Taken(), set[int]()
        for task in self._project.annotated():
            done += annotations.take(task, task["annotations"])
            there |= {one["id"] for one in task["annotations"]}
        done += annotations.withdraw(self._deleted(annotations.standing(), there))
        self._backend.told(done)
        if done.added or done.withdrawn:
            self._taken()
        self._look = time.monotonic() + max(self._every, SHARE * (time.monotonic() - began))

    def _deleted(self, standing: Mapping[int, str], there: Set[int]) -> list[int]:
        """Of the annotations that answers came of, those that somebody has deleted since."""
        deleted = []
        for one in standing.keys() - there - self._with_task:
            if self._project.is_deleted(one, self._shown.tasks_of(standing[one])):
                deleted.append(one)
            else:
                self._with_task.add(one)
        return sorted(deleted)

    def _send(self) -> bool:
        """Send what has changed; whether there is something more urgent to do."""
        for _ in self._shown.send_wanted():
            if self._news.is_set():
                return True
        while (left := self._worked + QUIET - time.monotonic()) > 0:
            if self._sleep(min(left, max(0.05, self._look - time.monotonic()))):
                return True
            if time.monotonic() >= self._look:
                return True
        for _ in self._shown.send_changed():
            if self._news.is_set():
                return True
        return self._news.is_set()

    def _sleep(self, seconds: float) -> bool:
        """Wait, but for news; whether there is."""
        return self._news.wait(seconds)
