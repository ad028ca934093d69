"""A unit of work of a benchmark: one draw of one pool, with every method, budget and learner.

They share what depends on the draw alone: the space, densities, the neighbour graph.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.benchmarking.entries import Entry
from usl.benchmarking.ledger import FAILURE, SCORE, SELECTION, Ledger, Line
from usl.benchmarking.plan import Plan
from usl.benchmarking.pools import Draw, Pool
from usl.core.errors import UslError
from usl.core.hashing import json_digest
from usl.core.version import __version__
from usl.evaluation.compare import Links, guess, learner_figures, timed_picks
from usl.evaluation.metrics import balance, coverage
from usl.numeric.stage_cache import KeepInMemory
from usl.selection.known_methods import is_nested
from usl.selection.stages import seconds_of
from usl.training.contract import FROZEN

Rows = NDArray[np.int64]
ROUNDED = 6  # digits of what is written
STARTED, SCORED, ITEM = 1.5, 0.03, 1e-5  # seconds: a process, a score, and each item of one


@dataclass(frozen=True)
class Unit:
    """A draw and what is to be done on it; ``known``: the picks that are kept already, by key."""

    pool: Pool
    seed: int
    jobs: tuple[Job, ...]

    @property
    def name(self) -> str:
        """In messages."""
        return f"{self.pool.dataset}, {self.pool.encoder}, seed {self.seed}"

    def seconds(self) -> list[float]:
        """What each of its lines may take on one core, in their order, for the time left.

        It matters how they compare. The first line has the start of the process and the draw.
        """
        n, wide = self.pool.size, np.load(self.pool.features, mmap_mode="r").shape[1]
        width = min(wide, self.pool.space.get("pca") or wide)
        found: list[float] = []
        picked: set[str] = set()
        for job in self.jobs:
            name, method, params = job.entry.name, job.entry.method, job.entry.params
            if job.picks is None:
                again = name in picked and is_nested(method, max(self.pool.budgets), params)
                found.append(0.0 if again else seconds_of(method, n, width, job.budget, params))
            picked.add(name)
            found += [SCORED + ITEM * n] * len(job.learners)
        return [found[0] + STARTED, *found[1:]]

    def work(self) -> Iterator[Line]:
        """Do the jobs and yield their lines; a method's error is a line of kind ``failure``."""
        draw = self.pool.draw(self.seed)
        shared = Shared(draw)
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
                yield {"kind": FAILURE, **about, "error": str(error)}


@dataclass(frozen=True)
class Job:
    """A selection and the learners to score it with; ``picks`` if it has been made before."""

    key: str
    entry: Entry
    budget: int
    learners: tuple[tuple[str, Entry], ...]  # (key, learner)
    picks: tuple[int, ...] | None = None


def units_of(plan: Plan, pools: list[Pool], ledger: Ledger) -> list[Unit]:
    """What is left to do, seed by seed: a benchmark that is stopped has whole seeds to show."""
    units = [
        Unit(pool, seed, tuple(_jobs(plan, pool, seed, ledger)))
        for seed in range(plan.seeds)
        for pool in pools
    ]
    return [unit for unit in units if unit.jobs]


def _jobs(plan: Plan, pool: Pool, seed: int, ledger: Ledger) -> Iterator[Job]:
    for budget in sorted(pool.budgets, reverse=True):  # nested methods pick once, for the largest
        for entry in plan.methods:
            key = selection_key(pool, seed, budget, entry)
            made = ledger.selections.get(key)
            learners = tuple(
                (entry_key(learner), learner)
                for learner in plan.learners
                if (learner.seeds is None or seed < learner.seeds)
                and (key, entry_key(learner)) not in ledger.scores
            )
            if made is None or learners:
                picks = None if made is None else tuple(made["picks"])
                yield Job(key, entry, budget, learners, picks)


def selection_key(pool: Pool, seed: int, budget: int, entry: Entry) -> str:
    """Hash of all that a selection depends on."""
    return json_digest([pool.key, seed, budget, *_about(entry)])


def entry_key(entry: Entry) -> str:
    """Hash of a method or learner with its parameters."""
    return json_digest(_about(entry))


def _about(entry: Entry) -> list[Any]:
    """A method of ours is as its version; a user's own, as the content of its file."""
    code = __version__
    if entry.method.endswith(".py"):
        code = hashlib.sha256(Path(entry.method).read_bytes()).hexdigest()
    method = Path(entry.method).name
    return [method, code, sorted(entry.params.items())]


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
        module, params = shared.learner(key, learner)
        said = guess(picks, draw, module, params, unit.seed, shared.links)
        figures = learner_figures(said, draw)
        yield {
            "kind": SCORE,
            "key": job.key,
            "learner_key": key,
            "learner": learner.name,
            **{name: round(value, ROUNDED) for name, value in figures.items()},
        }


def _pick(unit: Unit, job: Job, shared: Shared) -> tuple[Rows, float | None]:
    """A job's picks and the seconds they took; None where they are the first of a larger budget."""
    name, method = job.entry.name, job.entry.method
    longest = shared.longest.get(name)
    if longest is not None and is_nested(method, len(longest), job.entry.params):
        return longest[: job.budget], None
    picks, seconds = timed_picks(
        shared.draw, job.budget, method, job.entry.params, unit.seed, shared.keep
    )
    shared.longest.setdefault(name, picks)
    return picks, seconds


@dataclass
class Shared:
    """What the jobs of a unit share: stages of selections, neighbours that learners ask for."""

    draw: Draw
    keep: KeepInMemory = field(default_factory=KeepInMemory)
    learners: dict[str, tuple[Any, dict[str, Any]]] = field(default_factory=dict)
    prepared: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    links: Links = field(default_factory=dict)
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
