"""Plans with rounds: a start that all share, then round after round of a strategy's questions.

A *curve* is one strategy, asked and answered round by round, with one learner, from one start of
one draw. Each round is a line of the ledger, and what a stopped curve has is not done again. The
answers come from the draw's truth; a strategy sees the features, the labels given so far, numbered
as it has seen classes, and what the learner makes of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import NEEDS_MODEL, STRATEGIES
from usl.active.query import query
from usl.benchmarking.entries import Entry
from usl.benchmarking.ledger import FAILURE, ROUND, Ledger, Line
from usl.benchmarking.plan import Plan, Rounds
from usl.benchmarking.pools import Draw, Pool
from usl.benchmarking.units import ITEM, ROUNDED, SCORED, STARTED, entry_key, selection_key
from usl.core.errors import UslError
from usl.core.hashing import json_digest
from usl.core.methods import find_method
from usl.evaluation.compare import Guess, Links, guess_of, learner_figures, timed_picks
from usl.evaluation.metrics import balance, coverage
from usl.numeric.stage_cache import KeepInMemory
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
        bench = _Bench(self.pool.draw(self.seed), self.seed, self.rounds, size, batch)
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
        if learner.seeds is not None and seed >= learner.seeds:
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
    """A draw, and what its curves share: starts, learners, neighbours, stages of strategies."""

    draw: Draw
    seed: int
    rounds: Rounds
    size: int
    batch: int
    keep: KeepInMemory = field(default_factory=KeepInMemory)
    links: Links = field(default_factory=dict)
    refits: dict[str, Refit] = field(default_factory=dict)
    start: tuple[Rows, float] | None = None
    firsts: dict[str, tuple[Guess, float]] = field(default_factory=dict)

    def rounds_of(self, curve: Curve) -> Iterator[Line]:
        """The missing rounds of a curve, 0 the start."""
        refit = self._refit(curve.learner)
        done = len(curve.picks)
        labeled = np.array([row for picks in curve.picks for row in picks], dtype=np.int64)
        said = self._guess(labeled, refit)[0] if done else None
        for number in range(done, self.rounds.rounds + 1):
            if said is None:
                labeled, asked = self._start()
                said, fitted = self._first(curve, labeled, refit)
                new = labeled
            else:
                new, asked = self._ask(curve, labeled, said, refit, number)
                labeled = np.concatenate([labeled, new])
                said, fitted = self._guess(labeled, refit)
            truth, figures = self.draw.train_truth, learner_figures(said, self.draw)
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

    def _refit(self, learner: Entry) -> Refit:
        key = entry_key(learner)
        if key not in self.refits:
            self.refits[key] = Refit(self.draw.train, learner.method, **learner.params)
        return self.refits[key]

    def _start(self) -> tuple[Rows, float]:
        """The first picks, the same for all, and their seconds."""
        if self.start is None:
            by = self.rounds.start
            self.start = timed_picks(
                self.draw, self.size, by.method, by.params, self.seed, self.keep
            )
        return self.start

    def _first(self, curve: Curve, labeled: Rows, refit: Refit) -> tuple[Guess, float]:
        """What a learner says after the start."""
        key = entry_key(curve.learner)
        if key not in self.firsts:
            self.firsts[key] = self._guess(labeled, refit)
        return self.firsts[key]

    def _guess(self, labeled: Rows, refit: Refit) -> tuple[Guess, float]:
        """What a learner says of all items after these labels, and the CPU seconds that takes."""
        began = time.process_time()
        said = guess_of(
            labeled, self.draw, lambda classes: refit.update(classes, seed=self.seed), self.links
        )
        return said, time.process_time() - began

    def _ask(
        self, curve: Curve, labeled: Rows, said: Guess, refit: Refit, number: int
    ) -> tuple[Rows, float]:
        """A round's questions, and the CPU seconds that they take.

        What depends on the features alone counts in the first round. Where a strategy goes by a
        model, and only one class has a label so far, the round is drawn at random.
        """
        found, classes = np.unique(self.draw.train_truth[labeled], return_inverse=True)
        method, params = curve.entry.method, curve.entry.params
        module = find_method([STRATEGIES, METHODS], method)[1]
        several = len(found) > 1
        if not several and getattr(module, NEEDS_MODEL, False):
            method, params = "random", {}
        self.keep.saved = 0.0
        began = time.process_time()
        made = query(
            self.draw.train,
            self.batch,
            labeled=labeled,
            classes=classes,
            method=method,
            predictions=said.probabilities if several else None,
            learner=refit,
            seed=round_seed(self.seed, number),
            keep=self.keep,
            **params,
        )
        seconds = time.process_time() - began
        return made.indices, seconds + (self.keep.saved if number == 1 else 0.0)


def round_seed(seed: int, number: int) -> int:
    """The seed of a draw's round: the same for all strategies, another in every round."""
    return int(np.random.default_rng([seed, number]).integers(2**31))
