"""What takes a while to find out, in the background: picture quality, near-duplicates."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from usl.core.errors import UsageError, UslError
from usl.data.quality import COLUMN, measure
from usl.labeling.look.whole import NEAR_DUPLICATE, Whole
from usl.labeling.page.page_state import PageState
from usl.numeric.near_duplicates import near_duplicates
from usl.run.columns import add_columns
from usl.run.identity import writing


class Studies:
    """Studies of the images, one at a time, in a daemon thread.

    ``progress`` is what runs, how much is done and of how many, or None; ``fault`` why the last one
    failed.
    """

    def __init__(self, state: PageState, whole: Whole) -> None:
        self.state, self.whole = state, whole
        self.progress: tuple[str, int, int] | None = None
        self.fault = ""
        self._lock = threading.Lock()

    def begin(self, kind: str) -> None:
        """Start a study. UsageError for one that is not known, or while another one runs."""
        studies = {"quality": self._quality, "near-duplicates": self._near}
        if kind not in studies:
            raise UsageError(f"study: {kind[:40]!r} is not known; send {' or '.join(studies)}.")
        with self._lock:
            if self.progress is not None:
                raise UsageError(f"study: {self.progress[0]} is being looked into; wait for it.")
            self.progress, self.fault = (kind, 0, self.whole.n), ""
        threading.Thread(target=self._run, args=(kind, studies[kind]), daemon=True).start()

    def _run(self, kind: str, study: Callable[[], None]) -> None:
        try:
            study()
        except (UslError, OSError) as error:
            self.fault = f"{kind}: {error}"
        finally:
            self.progress = None

    def _tell(self, done: int, total: int, label: str) -> None:
        kind = self.progress[0] if self.progress is not None else label
        self.progress = (kind, done, total)

    def _quality(self) -> None:
        """Measure every picture, and keep the figures as columns of the run."""
        run = self.state.run
        figures = measure(self.state.pictures.images, np.arange(self.whole.n), self._tell)
        with writing(run.path, run.identity):
            named = {f"{COLUMN}{name}": column.tolist() for name, column in figures.items()}
            add_columns(run.path, self.whole.ids, named)
        self.whole.set_quality(figures)

    def _near(self) -> None:
        """Find images nearer than ``NEAR_DUPLICATE`` to another one."""
        found = self.state.similar.points()
        if found is None:
            raise UsageError("the features are not at hand; usl predict brings them back.")
        features, position = found
        rows = np.flatnonzero(position >= 0)
        original = near_duplicates(features, NEAR_DUPLICATE, progress=self._tell)
        twice = np.bincount(original, minlength=len(features)) > 1
        near = np.zeros(self.whole.n, dtype=bool)
        near[rows] = twice[original[position[rows]]]
        self.whole.set_near(near)
