"""The progress that long work reports to, what is to come, and the time left of all of it.

Library functions take ``progress: Progress``; the default is silent. Who knows what is to come says
so with :func:`expect`. The command line passes a progress that shows both on stderr.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Protocol

SETTLING = 0.03  # share of a stage after which its own speed counts as much as what was expected
POINTS = 256  # of a stage that are remembered
ENDS_LATE = 0.15  # of what an open-ended stage has done is left when it has done what was expected


class Progress(Protocol):
    """Called as ``progress(done, total, label)``; cheap enough to call once per block.

    Work that goes on where it was stopped reports what is done already before it begins.
    """

    def __call__(self, done: int, total: int, label: str) -> None:
        """Report that ``done`` of ``total`` units of the step ``label`` are finished."""


def silent(done: int, total: int, label: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Stage:
    """A step of the work that is to come.

    Attributes
    ----------
    name : as it is reported, unless there are ``labels``.
    seconds : expected, all passes together; None where only its own speed will tell.
    labels : what it is reported as, each at least one pass of its own.
    passes : how many times it runs through from nothing to all.
    sizes : what each of its units costs, in their order, in any unit; alike without them.
    ends_at : units after which it mostly ends, of a stage that may end before its total.
    kind : whose ``seconds`` are wrong alike, as stages are that run on the same hardware.
    guessed : whether ``seconds`` are to count only where nobody else has told any.
    part : the share that is to do, of what was expected before.
    """

    name: str
    seconds: float | None = None
    labels: tuple[str, ...] = ()
    passes: int = 1
    sizes: Sequence[float] = ()
    ends_at: int | None = None
    kind: str = ""
    guessed: bool = False
    part: float | None = None


def expect(progress: Progress, *stages: Stage) -> None:
    """Say what is to come, in its order, to a progress that wants to know."""
    tell = getattr(progress, "expect", None)
    if tell is not None:
        tell(*stages)


class Repeated(float):
    """Seconds of a stage that is passed through several times, all together."""

    passes: int

    def __new__(cls, once: float, passes: int) -> Repeated:
        """``once`` for a single pass."""
        made = super().__new__(cls, once * passes)
        made.passes = passes
        return made


class Forecast:
    """The time left of all work, from what is expected and what was reported.

    The speed of the stage at work is measured: over the later half of what it has done, so that a
    slow start and a change of load are soon forgotten, and never over work that was done before it
    began. Until it has done a little, and for all that is still to come, the seconds that were
    expected count, times how many times longer than expected stages of their kind have taken.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._last = self._began  # when something was reported
        self._stages: list[_Running] = []
        self._now: _Running | None = None

    def expect(self, *stages: Stage) -> None:
        """Note stages to come, after those that are known; one of a known name takes its place."""
        for stage in stages:
            known = next((one for one in self._stages if one.stage.name == stage.name), None)
            if known is not None and known.ended:  # it comes once more
                self._stages.remove(known)
            if known is None or known.ended:
                known = _Running(Stage(stage.name))
                self._stages.append(known)
            known.know(stage)

    def __call__(self, done: int, total: int, label: str) -> None:
        """Report as to a :class:`Progress`."""
        now = self._clock()
        running = self._of(label)
        running.report(now, done, total, label)
        for earlier in self._stages[: self._stages.index(running)]:
            earlier.outrun(running)
        self._now, self._last = running, now

    def _of(self, label: str) -> _Running:
        for one in self._stages:
            if label in (one.stage.labels or (one.stage.name,)):
                return one
        now = self._now  # of this one nobody spoke
        at = self._stages.index(now) + 1 if now is not None and now in self._stages else 0
        self._stages.insert(at, _Running(Stage(label)))
        return self._stages[at]

    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self._began

    def left(self) -> float | None:
        """Seconds until all is done; None where nothing is known of it yet."""
        pending = [one for one in self._stages if not one.ended]
        found = [one.left(self._slower(one.stage.kind)) for one in pending]
        known = [seconds for seconds in found if seconds is not None]
        waiting = any(s is None and not one.points for one, s in zip(pending, found, strict=True))
        if waiting or (pending and not known) or not self._stages:
            return None
        if not known:
            return 0.0
        waited = self._clock() - self._last  # on the stage at work, or the next one
        return max(0.0, known[0] - waited) + sum(known[1:])

    def share(self) -> float | None:
        """How much of the work is done, by time, 0 to 1; None where that is not known."""
        left = self.left()
        if left is None:
            return None
        return 1.0 if left == 0 else (spent := self.elapsed()) / (spent + left)

    def _slower(self, kind: str) -> float:
        """How many times longer than expected stages of a kind take, as far as they have run."""
        alike = [one for one in self._stages if one.stage.kind == kind and one.stage.seconds]
        before = 0.01 * sum(one.stage.seconds or 0.0 for one in alike)  # counts as if it had run
        expected = before + sum((one.stage.seconds or 0.0) * one.measured for one in alike)
        return (before + sum(one.spent for one in alike)) / expected if expected else 1.0


@dataclass(eq=False)
class _Running:
    """A stage and what was reported of it: shares of all its passes, 0 to 1, at points in time."""

    stage: Stage
    points: list[tuple[float, float]] = field(default_factory=list)  # of the present pass
    passed: int = 0  # passes that are finished
    label: str = ""
    done: int = 0
    total: int = 0
    ended: bool = False
    measured: float = 0.0  # share of the stage whose time was taken
    spent: float = 0.0  # seconds that it took
    _costs: list[float] = field(default_factory=list)

    def know(self, stage: Stage) -> None:
        """Take what is told of the stage, where that says anything."""
        nothing, before = vars(Stage(stage.name)), self.stage.seconds
        told = {name: value for name, value in vars(stage).items() if value != nothing[name]}
        if before is not None and stage.guessed:
            told = {}
        if before is not None and stage.part is not None:
            told["seconds"] = before * stage.part
        self.stage = replace(self.stage, **told)
        self._costs = [0.0, *accumulate(self.stage.sizes)]

    def report(self, now: float, done: int, total: int, label: str) -> None:
        """Note what was reported."""
        if self.points and (label != self.label or done < self.done):
            self.passed += 1
            self.points.clear()  # another pass may be as fast, and may not
        self.label, self.done, self.total = label, done, total
        share = min(1.0, (self.passed + self._within()) / self._passes())
        if self.points:
            time_before, share_before = self.points[-1]
            self.measured += max(0.0, share - share_before)
            self.spent += now - time_before
        self.points.append((now, share))
        if len(self.points) > POINTS:
            del self.points[1:-1:2]
        self.ended = done >= total and self.passed + 1 >= self.stage.passes

    def outrun(self, later: _Running) -> None:
        """A later stage is at work: this one is as far as that one has got, if it ran at all."""
        passes = self.stage.passes
        due = -(-passes * (later.passed + 1) // later._passes())
        if due >= passes:
            self.ended = True
        elif self.passed + 1 < due:
            self.passed = due - 1
            self.points.clear()

    def left(self, slower: float) -> float | None:
        """Seconds left when it last reported; None where nothing tells."""
        expected = None if self.stage.seconds is None else self.stage.seconds * slower
        if not self.points:
            return expected and expected * (1 - self.passed / self._passes())
        (first_time, first_share), (last, share) = self.points[0], self.points[-1]
        rest, seen = 1 - share, share - first_share
        soon = None if expected is None else rest * expected
        if seen <= 0:
            return soon
        half = (first_time + last) / 2
        since, at = next(point for point in reversed(self.points) if point[0] <= half)
        if share <= at:
            since, at = first_time, first_share
        own = rest * (last - since) / (share - at)
        return own if soon is None else (seen * own + SETTLING * soon) / (seen + SETTLING)

    def _passes(self) -> int:
        return max(self.stage.passes, self.passed + 1)

    def _within(self) -> float:
        """The share of the present pass that is done."""
        if len(self._costs) == self.total + 1 and self._costs[-1] > 0:
            return self._costs[self.done] / self._costs[-1]
        usual = self.total
        if self.stage.ends_at is not None and self.done < self.total:
            usual = min(usual, max(self.stage.ends_at, round((1 + ENDS_LATE) * self.done)))
        return self.done / usual if usual else 1.0
