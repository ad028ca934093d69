"""Plans with rounds: a start that all share, then round after round of a strategy's questions.

A *curve* is one strategy, asked and answered round by round, with one learner, from one start of
one draw. Each round is a line of the ledger, and what a stopped curve has is not done again. The
answers come from the draw's truth; a strategy sees the features, the labels given so far, numbered
as it has seen classes, and what the learner makes of them, now and a round before. Only a marked
oracle is told more (:class:`usl.active.contract.Truth`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import STRATEGIES, takes
from usl.benchmarking.asking import Known, Respondent
from usl.benchmarking.entries import Entry
from usl.benchmarking.keys import entry_key, selection_key
from usl.benchmarking.ledger import FAILURE, ROUND, Ledger, Line
from usl.benchmarking.plan import Plan, Rounds
from usl.benchmarking.pools import Pool
from usl.benchmarking.units import ITEM, ROUNDED, SCORED, STARTED
from usl.core.errors import UslError
from usl.core.hashing import json_digest
from usl.core.methods import find_method
from usl.evaluation.compare import Guess, learner_figures
from usl.evaluation.metrics import balance, coverage
from usl.selection.contract import METHODS
from usl.training.refit import Refit

Rows = NDArray[np.int64]
FIGURES = ("test", "balanced")  # of usl.evaluation.compare.learner_figures


@dataclass(frozen=True)
class Curve:
    """One strategy with one learner; ``picks``: of the rounds that are known."""

    key: str
    entry: Entry
    learner: Entry
    picks: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class CurveUnit:
    """A draw and the curves that are to be drawn, or to go on, from it."""

    pool: Pool
    seed: int
    rounds: Rounds
    curves: tuple[Curve, ...]

    @property
    def name(self) -> str:
        """In messages."""
        return f"{self.pool.dataset}, {self.pool.encoder}, seed {self.seed}"

    def seconds(self) -> list[float]:
        """What each of its lines may take; see :meth:`usl.benchmarking.units.Unit.seconds`."""
        lines = sum(self.rounds.rounds + 1 - len(curve.picks) for curve in self.curves)
        each = SCORED + 2 * ITEM * self.pool.size
        return [each + STARTED, *[each] * (lines - 1)]

    def work(self) -> Iterator[Line]:
        """Do what is missing and yield a line per round; an error is a line ``failure``."""
        size, batch = self.rounds.labels(len(self.pool.names))
        answers = Respondent(self.pool.draw(self.seed), self.seed)
        bench = _Bench(answers, self.rounds, size, batch)
        for curve in self.curves:
            about = {
                "key": curve.key,
                "dataset": self.pool.dataset,
                "encoder": self.pool.encoder,
                "seed": self.seed,
                "budget": bench.size,  # of the start
                "method": curve.entry.name,
                "learner": curve.learner.name,
            }
            try:
                for line in bench.rounds_of(curve):
                    yield {"kind": ROUND, **about, **line}
            except UslError as error:
                yield {"kind": FAILURE, **about, "error": str(error)}


def curve_units(plan: Plan, pools: list[Pool], ledger: Ledger) -> list[CurveUnit]:
    """What is left to do, seed by seed: a benchmark that is stopped has whole seeds to show."""
    assert plan.rounds is not None
    units = [
        CurveUnit(pool, seed, plan.rounds, tuple(_curves(plan, pool, seed, ledger)))
        for seed in range(plan.seeds)
        for pool in pools
    ]
    return [unit for unit in units if unit.curves]


def _curves(plan: Plan, pool: Pool, seed: int, ledger: Ledger) -> Iterator[Curve]:
    assert plan.rounds is not None
    for learner in plan.learners:
        if not learner.on(seed):
            continue
        for entry in plan.methods:
            key = curve_key(plan.rounds, pool, seed, entry, learner)
            picks = tuple(tuple(line["picks"]) for line in ledger.curve(key))
            if len(picks) <= plan.rounds.rounds:
                yield Curve(key, entry, learner, picks)


def curve_key(rounds: Rounds, pool: Pool, seed: int, entry: Entry, learner: Entry) -> str:
    """Hash of all that a curve depends on; not of its length, so that it may go on."""
    size, batch = rounds.labels(len(pool.names))
    start = selection_key(pool, seed, size, rounds.start)
    return json_digest([start, batch, entry_key(entry), entry_key(learner)])


@dataclass
class _Bench:
    """The curves of a draw, and what the learners say after its start."""

    answers: Respondent
    rounds: Rounds
    size: int
    batch: int
    firsts: dict[str, tuple[Guess, float]] = field(default_factory=dict)

    def rounds_of(self, curve: Curve) -> Iterator[Line]:
        """The missing rounds of a curve, 0 the start."""
        answers, learner = self.answers, entry_key(curve.learner)
        refit, draw = answers.refit(curve.learner), answers.draw
        done = len(curve.picks)
        labeled = np.array([row for picks in curve.picks for row in picks], dtype=np.int64)
        said = answers.guess(labeled, refit)[0] if done else None
        previous = self._previous(curve, labeled, refit)
        for number in range(done, self.rounds.rounds + 1):
            if said is None:
                labeled, asked = answers.start(self.rounds.start, self.size)
                said, fitted = self._first(learner, labeled, refit)
                new = labeled
            else:
                known = labeled, said
                new, asked = answers.ask(curve.entry, self.batch, known, previous, refit, number)
                previous, labeled = known, np.concatenate([labeled, new])
                said, fitted = answers.guess(labeled, refit)
            truth, figures = draw.train_truth, learner_figures(said, draw)
            count = len(np.unique(truth))
            yield {
                "round": number,
                "labels": len(labeled),
                **{name: round(figures[name], ROUNDED) for name in FIGURES},
                "coverage": round(coverage(truth[labeled], count), ROUNDED),
                "balance": round(balance(truth[labeled], count), ROUNDED),
                "seconds": round(asked, 3),
                "fit_seconds": round(fitted, 3),
                "picks": new.tolist(),
            }

    def _previous(self, curve: Curve, labeled: Rows, refit: Refit) -> Known | None:
        """What was known a round before the last that is kept, where the strategy asks for it."""
        kind, module = find_method([STRATEGIES, METHODS], curve.entry.method)
        if len(curve.picks) < 2 or kind is METHODS or not takes(module, "previous"):
            return None
        earlier = labeled[: -len(curve.picks[-1])]
        return earlier, self.answers.guess(earlier, refit)[0]

    def _first(self, learner: str, labeled: Rows, refit: Refit) -> tuple[Guess, float]:
        """What a learner says after the start."""
        if learner not in self.firsts:
            self.firsts[learner] = self.answers.guess(labeled, refit)
        return self.firsts[learner]
