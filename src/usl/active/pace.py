"""A person's pace: how many seconds a label takes, a glance in a sweep, and an unmarking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ENOUGH = 20  # timed answers, to go by them
PAUSE = 60.0  # seconds after which somebody has left the desk


@dataclass(frozen=True)
class Pace:
    """Seconds a person takes: docs/until.md says where the defaults come from.

    Attributes
    ----------
    label : for one image by itself.
    scan : for one image of a sheet whose class is confirmed at a glance.
    unmark : to unmark a wrong image of a sheet.
    relabel : for the label of an image that was unmarked.
    measured : whether ``label`` is that of the run's own answers.
    """

    label: float = 2.0
    scan: float = 0.35
    unmark: float = 1.5
    relabel: float = 2.0
    measured: bool = False

    def scaled(self, factor: float) -> Pace:
        """Everything ``factor`` times as slow."""
        names = ("label", "scan", "unmark", "relabel")
        return replace(self, **{name: factor * getattr(self, name) for name in names})

    def of_answers(self, seconds: Iterable[float | None]) -> Pace:
        """This pace with the median of timed answers for one label, from 20 answers on.

        What a sweep takes grows with it. Answers of more than a minute are pauses.
        """
        timed = [one for one in seconds if one is not None and 0 < one <= PAUSE]
        if len(timed) < ENOUGH:
            return self
        return replace(self.scaled(float(np.median(timed)) / self.label), measured=True)

    def sweep_seconds(self, right: ArrayLike) -> NDArray[Any]:
        """Expected seconds of an image in a sheet, its class right with probability p.

        scan + (1 - p) (unmark + relabel).
        """
        wrong = 1.0 - np.asarray(right, dtype=np.float64)
        return self.scan + wrong * (self.unmark + self.relabel)

    @property
    def break_even(self) -> float:
        """The probability of being right from which on a sweep is cheaper than a label."""
        return float(np.clip(1 - (self.label - self.scan) / (self.unmark + self.relabel), 0, 1))
