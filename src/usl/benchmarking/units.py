"""A unit of work of a benchmark: one draw of one pool, with every method, budget and learner.

They share what depends on the draw alone: the space, densities, the neighbour graph. What trains a
network is a unit of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.benchmarking.asking import Respondent
from usl.benchmarking.end_to_end import with_trainable
from usl.benchmarking.entries import Entry
from usl.benchmarking.keys import entry_key, selection_key
from usl.benchmarking.ledger import FAILURE, SCORE, SELECTION, Ledger, Line
from usl.benchmarking.network_asking import network_picks
from usl.benchmarking.network_learners import network_guess, training_seconds
from usl.benchmarking.plan import Plan
from usl.benchmarking.pools import Draw, Pool
from usl.core.errors import UslError
from usl.evaluation.compare import Guess, guess, learner_figures, timed_picks
from usl.evaluation.metrics import balance, coverage
from usl.selection.known_methods import is_nested
from usl.selection.stages import seconds_of
from usl.training.contract import FROZEN

Rows = NDArray[np.int64]
ROUNDED = 6  # digits of what is written
TRAININGS = "trainings"  # folder of the networks' checkpoints, until their rows are written
STARTED, SCORED, ITEM = 1.5, 0.03, 1e-5  # seconds: a process, a score, and each item of one


@dataclass(frozen=True)
class Unit:
    """A draw and what is to be done on it; ``out``: the benchmark's folder."""

    pool: Pool
    seed: int
    jobs: tuple[Job, ...]
    out: Path

    @property
    def name(self) -> str:
        """In messages."""
        alone = [job.name for job in self.jobs if job.alone]
        return ", ".join([self.pool.dataset, self.pool.encoder, f"seed {self.seed}", *alone])

    def seconds(self) -> list[float]:
        """What each of its lines may take on one core, in their order, for the time left.

        It matters how they compare. The first line has the start of the process and the draw.
        """
        n, wide = self.pool.size, np.load(self.pool.features, mmap_mode="r").shape[1]
        width = min(wide, self.pool.space.get("pca") or wide)
        found: list[float] = []
        picked: set[str] = set()
        for job in self.jobs:
            entry = job.entry
            if job.picks is None:
                again = entry.name in picked and self._nested(entry)
                found.append(0.0 if again else self._seconds(job, width))
            picked.add(entry.name)
            found += [
                training_seconds(learner, n) if learner.network else SCORED + ITEM * n
                for _, learner in job.learners
            ]
        return [found[0] + STARTED, *found[1:]]

    def _seconds(self, job: Job, width: int) -> float:
        """What the picks of a job may take."""
        n, entry, how = self.pool.size, job.entry, job.entry.asking
        if how is None:
            return seconds_of(entry.method, n, width, job.budget, entry.params)
        started = seconds_of(how.start.method, n, width, job.budget, how.start.params)
        rounds = len(how.steps(job.budget, len(self.pool.names))) - 1
        round_ = training_seconds(how.model, n) if how.model.network else SCORED + 2 * ITEM * n
        return started + rounds * round_

    def _nested(self, entry: Entry) -> bool:
        """Whether the first picks of its largest budget are those of a smaller one."""
        return entry.asking is None and is_nested(
            entry.method, max(self.pool.budgets), entry.params
        )

    def work(self) -> Iterator[Line]:
        """Do the jobs and yield their lines; a method's error is a line of kind ``failure``."""
        draw = self.pool.draw(self.seed)
        shared = Shared(draw, Respondent(draw, self.seed))
        for job in self.jobs:
            about = {
                "key": job.key,
                "dataset": self.pool.dataset,
                "encoder": self.pool.encoder,
                "seed": self.seed,
                "budget": job.budget,
                "method": job.entry.name,
            }
            try:
                yield from _do(self, job, draw, shared, about)
            except UslError as error:
                yield {"kind": FAILURE, **about, "method": job.name, "error": str(error)}


@dataclass(frozen=True)
class Job:
    """A selection and the learners to score it with; ``picks`` if it has been made before."""

    key: str
    entry: Entry
    budget: int
    learners: tuple[tuple[str, Entry], ...]  # (key, learner)
    picks: tuple[int, ...] | None = None

    @property
    def about(self) -> tuple[str, ...]:
        """What tells it from all others: the keys of its lines."""
        return (self.key, *(key for key, _ in self.learners))

    @property
    def name(self) -> str:
        """In messages: the method, and the network that learns from its picks."""
        networks = [learner.name for _, learner in self.learners if learner.network]
        return ", ".join([self.entry.name, *networks])

    @property
    def alone(self) -> bool:
        """Whether it takes as long as all others of a draw together."""
        return self.entry.on_images or any(learner.network for _, learner in self.learners)


def units_of(plan: Plan, pools: list[Pool], ledger: Ledger) -> list[Unit]:
    """What is left to do, seed by seed: a benchmark that is stopped has whole seeds to show.

    A network learns from picks that are known; those of a unit before it are known once that is
    done, and it then is among the units that are left.
    """
    out, units = ledger.path.parent, []
    for seed in range(plan.seeds):
        for pool in pools:
            jobs = list(_jobs(plan, pool, seed, ledger))
            together = tuple(job for job in jobs if not job.alone)
            units += [Unit(pool, seed, together, out)] if together else []
            units += [Unit(pool, seed, (job,), out) for job in jobs if job.alone]
    return units


def _jobs(plan: Plan, pool: Pool, seed: int, ledger: Ledger) -> Iterator[Job]:
    for budget in sorted(pool.budgets, reverse=True):  # nested methods pick once, for the largest
        for entry in plan.methods:
            if not entry.on(seed, budget):
                continue
            key = selection_key(pool, seed, budget, entry)
            made = ledger.selections.get(key)
            learners = [
                (entry_key(learner), learner)
                for learner in plan.learners
                if learner.on(seed, budget) and (key, entry_key(learner)) not in ledger.scores
            ]
            quick = tuple(pair for pair in learners if not pair[1].network)
            picks = None if made is None else tuple(made["picks"])
            if picks is None or quick:
                yield Job(key, entry, budget, quick, picks)
            for pair in learners if picks is not None else ():
                if pair[1].network:
                    yield Job(key, entry, budget, (pair,), picks)


def networks_to_come(plan: Plan, pools: list[Pool], ledger: Ledger) -> list[float]:
    """Seconds of the trainings that learn from picks which are not known yet."""
    return [
        training_seconds(learner, pool.size)
        for pool in pools
        for seed in range(plan.seeds)
        for budget in pool.budgets
        for entry in plan.methods
        if entry.on(seed, budget)
        and selection_key(pool, seed, budget, entry) not in ledger.selections
        for learner in plan.learners
        if learner.network and learner.on(seed, budget)
    ]


def _do(unit: Unit, job: Job, draw: Draw, shared: Shared, about: Line) -> Iterator[Line]:
    if job.picks is not None:
        picks = np.array(job.picks, dtype=np.int64)
        shared.longest.setdefault(job.entry.name, picks)
    else:
        picks, seconds = _pick(unit, job, shared)
        found, count = draw.train_truth[picks], len(np.unique(draw.train_truth))
        yield {
            "kind": SELECTION,
            **about,
            "seconds": None if seconds is None else round(seconds, 3),
            "coverage": round(coverage(found, count), ROUNDED),
            "balance": round(balance(found, count), ROUNDED),
            "picks": picks.tolist(),
        }
    for key, learner in job.learners:
        said = _learned(unit, job, picks, key, learner, shared)
        figures = learner_figures(said, draw)
        yield {
            "kind": SCORE,
            "key": job.key,
            "learner_key": key,
            "learner": learner.name,
            **{name: round(value, ROUNDED) for name, value in figures.items()},
        }


def _learned(unit: Unit, job: Job, picks: Rows, key: str, learner: Entry, shared: Shared) -> Guess:
    """What a learner says after the picks of a job."""
    if learner.network:
        folder = training_folder(unit.out, job.key, key)
        return network_guess(picks, shared.draw, unit.pool, learner, unit.seed, folder)
    module, params = shared.learner(key, learner)
    return guess(picks, shared.draw, module, params, unit.seed, shared.answers.links)


def training_folder(out: Path, *keys: str) -> Path:
    """Where the checkpoints of networks lie, by the keys of the line that they make."""
    return out / TRAININGS / "-".join(keys)


def _pick(unit: Unit, job: Job, shared: Shared) -> tuple[Rows, float | None]:
    """A job's picks and the seconds they took; None where they are the first of a larger budget."""
    entry = job.entry
    if entry.asking is not None:
        sizes = entry.asking.steps(job.budget, len(unit.pool.names))
        if not entry.on_images:
            return shared.answers.picks(entry, entry.asking, sizes)
        folder = training_folder(unit.out, job.key)
        return network_picks(
            entry, entry.asking, sizes, shared.answers, shared.draw, unit.pool, folder
        )
    longest = shared.longest.get(entry.name)
    if longest is not None and is_nested(entry.method, len(longest), entry.params):
        return longest[: job.budget], None
    params = with_trainable(entry, shared.draw, unit.pool, training_folder(unit.out, job.key))
    picks, seconds = timed_picks(
        shared.draw, job.budget, entry.method, params, unit.seed, shared.answers.keep
    )
    shared.longest.setdefault(entry.name, picks)
    return picks, seconds


@dataclass
class Shared:
    """What the jobs of a unit share: what strategies do, and what learners ask for."""

    draw: Draw
    answers: Respondent
    learners: dict[str, tuple[Any, dict[str, Any]]] = field(default_factory=dict)
    prepared: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    longest: dict[str, Rows] = field(default_factory=dict)  # each method's, of its largest budget

    def learner(self, key: str, entry: Entry) -> tuple[Any, dict[str, Any]]:
        """A learner's module and parameters, with what depends on the features alone."""
        if key not in self.learners:
            module = FROZEN.load(entry.method)
            params = dict(entry.params)
            if hasattr(module, "prepare"):
                params |= self._prepare(module, params)
            self.learners[key] = module, params
        return self.learners[key]

    def _prepare(self, module: Any, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a learner's ``prepare``, or what another made of the same parameters."""
        asked = {
            name: params.get(name, parameter.default)
            for name, parameter in inspect.signature(module.prepare).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in FROZEN.shared
        }
        takes = inspect.signature(module.fit).parameters.keys()
        for known, found in self.prepared:
            if known == asked and found.keys() <= takes:
                return found
        found = dict(module.prepare(self.draw.train, **asked))
        self.prepared.append((asked, found))
        return found
