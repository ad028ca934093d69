"""A strategy's questions: one round of them, or round after round until a budget is reached.

The answers come from the draw's truth. A strategy sees the features, the labels given so far, its
classes numbered as far as they have been seen, and what a learner makes of them, now and a round
before. Only a marked oracle is told more (:class:`usl.active.contract.Truth`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import NEEDS_MODEL, ORACLE, STRATEGIES, Truth
from usl.active.query import query
from usl.benchmarking.entries import Asking, Entry
from usl.benchmarking.keys import entry_key
from usl.core.methods import find_method
from usl.evaluation.compare import Data, Guess, Links, guess_of, timed_picks
from usl.numeric.stage_cache import KeepInMemory
from usl.selection.contract import METHODS
from usl.training.refit import Refit

Rows = NDArray[np.int64]
Known = tuple[Rows, Guess]  # the labels of a round, and what a learner says after them


@dataclass
class Respondent:
    """A draw that answers, and what its strategies share: starts, learners, neighbours, stages."""

    draw: Data
    seed: int
    keep: KeepInMemory = field(default_factory=lambda: KeepInMemory(time.process_time))
    links: Links = field(default_factory=dict)
    refits: dict[str, Refit] = field(default_factory=dict)
    starts: dict[tuple[str, int], tuple[Rows, float]] = field(default_factory=dict)

    def start(self, entry: Entry, size: int) -> tuple[Rows, float]:
        """The first picks, the same for all that begin with them, and their seconds."""
        key = entry_key(entry), size
        if key not in self.starts:
            self.starts[key] = timed_picks(
                self.draw, size, entry.method, entry.params, self.seed, self.keep
            )
        return self.starts[key]

    def refit(self, learner: Entry) -> Refit:
        """A learner on frozen features, prepared once."""
        key = entry_key(learner)
        if key not in self.refits:
            self.refits[key] = Refit(self.draw.train, learner.method, **learner.params)
        return self.refits[key]

    def guess(self, labeled: Rows, refit: Refit) -> tuple[Guess, float]:
        """What a learner says of all items after these labels, and the CPU seconds that takes."""
        began = time.process_time()
        said = guess_of(
            labeled, self.draw, lambda classes: refit.update(classes, seed=self.seed), self.links
        )
        return said, time.process_time() - began

    def ask(
        self,
        entry: Entry,
        batch: int,
        known: Known,
        previous: Known | None,
        refit: Refit,
        number: int,
    ) -> tuple[Rows, float]:
        """The questions of round ``number``, int64 [batch], and the CPU seconds that they take.

        ``known`` is what is known by now, ``previous`` what was in the round before. What depends
        on the features alone counts in the first round. Where a strategy goes by a model, and only
        one class has a label so far, the round is drawn at random.
        """
        labeled, said = known
        found, classes = np.unique(self.draw.train_truth[labeled], return_inverse=True)
        method, params = entry.method, entry.params
        module = find_method([STRATEGIES, METHODS], method)[1]
        several = len(found) > 1
        if not several and getattr(module, NEEDS_MODEL, False):
            method, params = "random", {}
        truth = None
        if getattr(module, ORACLE, False):
            truth = Truth(self.draw.train_truth, partial(self._accuracy, labeled, refit))
        self.keep.saved = 0.0
        began = time.process_time()
        made = query(
            self.draw.train,
            batch,
            labeled=labeled,
            classes=classes,
            method=method,
            predictions=said.probabilities if several else None,
            previous=self._of_classes(found, previous),
            learner=refit,
            truth=truth,
            seed=round_seed(self.seed, number),
            keep=self.keep,
            **params,
        )
        seconds = time.process_time() - began
        return made.indices, seconds + (self.keep.saved if number == 1 else 0.0)

    def picks(self, entry: Entry, how: Asking, sizes: Sequence[int]) -> tuple[Rows, float]:
        """The labels that a strategy comes to, int64 [budget] as asked, and their CPU seconds.

        ``sizes`` of the start and of each round. The seconds are those of the start, of the
        trainings in between and of the questions.
        """
        refit = self.refit(how.model)
        labeled, seconds = self.start(how.start, sizes[0])
        previous = None
        for number, batch in enumerate(sizes[1:], 1):
            said, fitted = self.guess(labeled, refit)
            known = labeled, said
            new, asked = self.ask(entry, batch, known, previous, refit, number)
            previous, labeled = known, np.concatenate([labeled, new])
            seconds += fitted + asked
        return labeled, seconds

    def _of_classes(self, found: Rows, previous: Known | None) -> NDArray[np.float64] | None:
        """What was said before, a column for each class ``found`` by now; None without a model."""
        if previous is None:
            return None
        known = np.unique(self.draw.train_truth[previous[0]])
        return None if len(known) < 2 else in_columns(previous[1].probabilities, known, found)

    def _accuracy(self, labeled: Rows, refit: Refit, rows: Rows) -> float:
        """Of the test items, once ``rows`` are labelled too: what an oracle is told."""
        said, _ = self.guess(np.concatenate([labeled, rows]), refit)
        return float((said.test == self.draw.test_truth).mean())


def in_columns(said: NDArray[np.float64], known: Rows, found: Rows) -> NDArray[np.float64]:
    """Probabilities of the ``known`` classes, in columns of all that are ``found`` by now."""
    every = np.zeros((len(said), len(found)))
    every[:, np.searchsorted(found, known)] = said
    return every


def round_seed(seed: int, number: int) -> int:
    """The seed of a draw's round: the same for all strategies, another in every round."""
    return int(np.random.default_rng([seed, number]).integers(2**31))
