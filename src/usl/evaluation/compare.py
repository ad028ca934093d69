"""Compare selection methods: same seeds, same learner, paired differences.

A seed drives the draw of ``random`` and ``stratified`` and the start of k-means; every method
sees the same seeds, and what is reported is the difference within a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.progress import Progress, Stage, expect, silent
from usl.evaluation.metrics import (
    balance,
    calibration_error,
    confident_accuracy,
    coverage,
    macro_f1,
    mean_recall,
)
from usl.numeric.arrays import Float32
from usl.numeric.stage_cache import KeepInMemory
from usl.selection.known_methods import is_oracle
from usl.selection.select import select
from usl.selection.stages import seconds_of
from usl.training.contract import DEFAULT, FROZEN
from usl.training.models import Model, NeighborModel
from usl.training.told import train_probabilities

# The neighbours of the test items and their weights, by the k and the power of the models.
Links = dict[tuple[int, float], tuple[NDArray[np.int64], NDArray[np.float64]]]

SCORED = 0.1  # seconds of learning from a set of picks and looking at what comes of it
ANSWERS = "labels"  # the parameter of an oracle that is filled in


@dataclass(frozen=True)
class Data:
    """What is selected from and tested on.

    ``train``, ``test`` : float32 [n, d], [q, d], unit rows of one space; ``train_truth``,
    ``test_truth`` : int64, class numbers from 0.
    """

    train: Float32
    train_truth: NDArray[np.int64]
    test: Float32
    test_truth: NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One method at one seed. Fractions, not per cent; ``transductive`` leaves the picks out."""

    method: str
    seed: int
    test: float
    transductive: float
    coverage: float
    balance: float
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """A mean with the bounds of its 95% bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """Mean of ``n`` paired differences."""

    n: int


@dataclass(frozen=True)
class Comparison:
    """All rows of a comparison and what they were measured with."""

    rows: tuple[Row, ...]
    budget: int
    learner: str

    def values(self, method: str, figure: str = "test") -> NDArray[np.float64]:
        """One figure of one method, in the order of the seeds, float64 [seeds]."""
        return np.array([getattr(row, figure) for row in self.rows if row.method == method])

    def methods(self) -> list[str]:
        """The methods, in the order they were compared."""
        return list(dict.fromkeys(row.method for row in self.rows))

    def difference(self, method: str, other: str, figure: str = "test") -> Difference:
        """How much better ``method`` is than ``other``, over the seeds that both have."""
        ours = {row.seed: getattr(row, figure) for row in self.rows if row.method == method}
        theirs = {row.seed: getattr(row, figure) for row in self.rows if row.method == other}
        seeds = sorted(ours.keys() & theirs.keys())
        return paired_difference([ours[s] for s in seeds], [theirs[s] for s in seeds])

    def record(self) -> dict[str, Any]:
        """Everything, JSON-serialisable: protocol, summary per method, differences, raw rows."""
        methods = self.methods()
        first = methods[0]
        figures = ("test", "transductive", "coverage", "balance", "seconds")
        return {
            "budget": self.budget,
            "learner": self.learner,
            "seeds": len(self.values(first)),
            "methods": {
                method: {
                    "oracle": is_oracle(method),
                    **{figure: _summary(self.values(method, figure)) for figure in figures},
                }
                for method in methods
            },
            "differences": {
                f"{first} - {other}": asdict(self.difference(first, other)) for other in methods[1:]
            },
            "rows": [asdict(row) for row in self.rows],
        }


def compare(
    train: Float32,
    train_truth: NDArray[np.int64],
    test: Float32,
    test_truth: NDArray[np.int64],
    *,
    budget: int,
    methods: Mapping[str, Mapping[str, Any]],
    seeds: Iterable[int],
    learner: str = DEFAULT,
    learner_params: Mapping[str, Any] | None = None,
    keep: KeepInMemory | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Select, label from the truth, train and test, for every method and seed.

    Parameters
    ----------
    train, test : float32 [n, d], [q, d], unit rows of one space.
    train_truth, test_truth : int64, class numbers from 0.
    methods : method name -> its parameters. Oracles get the truth by themselves.
    learner, learner_params : a training method on frozen features and its parameters.
    keep : stages of selections from ``train``, for several comparisons of it. Within one they are
        shared anyway; the seconds of a row count what they took.
    """
    keep = KeepInMemory() if keep is None else keep
    data = Data(train, train_truth, test, test_truth)
    module = FROZEN.load(learner)
    params = dict(learner_params or {})
    FROZEN.check(learner, module, params)
    if hasattr(module, "prepare"):  # what depends on the features alone is done once
        params |= module.prepare(train, **params)
    seeds = list(seeds)
    links: Links = {}
    rows: list[Row] = []
    total = len(seeds) * len(methods)
    n, width = train.shape
    each = [SCORED + seconds_of(name, n, width, budget, of) for name, of in methods.items()]
    expect(progress, Stage("comparison", sum(each) * len(seeds), sizes=each * len(seeds)))
    progress(0, total, "comparison")
    for seed in seeds:
        for method, given in methods.items():
            picks, seconds = timed_picks(data, budget, method, given, seed, keep)
            figures = score(picks, data, module, params, seed, links)
            rows.append(Row(method, seed, *figures, seconds=round(seconds, 4)))
            progress(len(rows), total, "comparison")
    return Comparison(tuple(rows), budget, learner)


def timed_picks(
    data: Data,
    budget: int,
    method: str,
    params: Mapping[str, Any],
    seed: int,
    keep: KeepInMemory,
) -> tuple[NDArray[np.int64], float]:
    """A method's picks, int64 [budget], and the seconds they take, kept stages counted as computed.

    Seconds are those of the clock of ``keep``. An oracle gets the truth.
    """
    given = dict(params)
    if is_oracle(method):
        given[ANSWERS] = data.train_truth.astype(str).astype(object)
    keep.saved = 0.0
    began = keep.clock()
    found = select(data.train, budget, method=method, seed=seed, resume=keep, **given)
    return found.indices, keep.clock() - began + keep.saved


@dataclass(frozen=True)
class Guess:
    """What a learner says after a set of picks.

    ``test`` int64 [q] and ``train`` int64 [n]: class numbers; ``rest`` bool [n]: the items without
    a label; ``probabilities`` float64 [n, K]: of ``train``, for the K classes that have a label.
    """

    test: NDArray[np.int64]
    train: NDArray[np.int64]
    rest: NDArray[np.bool_]
    probabilities: NDArray[np.float64]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The probability of the class that is told of each train item, float64 [n]."""
        return np.asarray(self.probabilities.max(axis=1))


def guess(
    picks: NDArray[np.int64],
    data: Data,
    module: Any,
    params: Mapping[str, Any],
    seed: int,
    links: Links | None = None,
) -> Guess:
    """Train on one set of picks, labelled from the truth, and predict all items.

    Classes without a pick are unknown to the learner, and all their items count as errors.
    ``links`` remembers the test items' neighbours; pass one for as long as the data stay the same.
    """

    def fit(classes: NDArray[np.int64]) -> Any:
        heavy = np.ones(len(classes))
        return module.fit(data.train, classes, heavy, int(classes.max()) + 1, seed=seed, **params)

    return guess_of(picks, data, fit, links)


def guess_of(
    picks: NDArray[np.int64],
    data: Data,
    fit: Callable[[NDArray[np.int64]], Model],
    links: Links | None = None,
) -> Guess:
    """As :func:`guess`, by any learner: ``fit(classes)``, int64 [n], -1 where there is none."""

    def predict(classes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        model = fit(classes)
        own = np.asarray(train_probabilities(model, data.train))
        return own, _probabilities(model, data.test, links)

    return guess_by(picks, data, predict)


def guess_by(
    picks: NDArray[np.int64],
    data: Data,
    predict: Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Guess:
    """As :func:`guess`, by whatever tells the probabilities of all items.

    ``predict(classes)``, as of a ``fit``, gives those of the train and of the test items, float64
    [n, K] and [q, K].
    """
    n = len(data.train)
    rest = np.ones(n, dtype=bool)
    rest[picks] = False
    found, numbers = np.unique(data.train_truth[picks], return_inverse=True)
    if len(found) < 2:  # nothing to learn: every item gets the only class there is
        test, train = (np.full(size, found[0]) for size in (len(data.test), n))
        return Guess(test, train, rest, np.ones((n, 1)))
    classes = np.full(n, -1, dtype=np.int64)
    classes[picks] = numbers
    own, other = predict(classes)
    return Guess(found[other.argmax(axis=1)], found[own.argmax(axis=1)], rest, own)


def score(
    picks: NDArray[np.int64],
    data: Data,
    module: Any,
    params: Mapping[str, Any],
    seed: int,
    links: Links | None = None,
) -> tuple[float, float, float, float]:
    """Test and transductive accuracy, coverage and balance of picks; see :func:`guess`."""
    said = guess(picks, data, module, params, seed, links)
    count = int(data.train_truth.max()) + 1
    return (
        float((said.test == data.test_truth).mean()),
        float((said.train == data.train_truth)[said.rest].mean()),
        coverage(data.train_truth[picks], count),
        balance(data.train_truth[picks], count),
    )


def learner_figures(said: Guess, data: Data) -> dict[str, float]:
    """What a learner's guess is worth, beyond its accuracy.

    On the test items: ``test`` the accuracy, ``pooled`` the accuracy with every class as frequent
    as among the train items, ``balanced`` the mean recall, ``macro_f1``. On the train items without
    a label: ``transductive`` the accuracy, ``calibration`` the calibration error,
    ``confident_half`` the accuracy of the surer half.
    """
    right = (said.train == data.train_truth)[said.rest]
    sure = said.confidence[said.rest]
    shares = np.bincount(data.train_truth)
    return {
        "test": float((said.test == data.test_truth).mean()),
        "transductive": float(right.mean()),
        "pooled": mean_recall(data.test_truth, said.test, shares),
        "balanced": mean_recall(data.test_truth, said.test),
        "macro_f1": macro_f1(data.test_truth, said.test),
        "calibration": calibration_error(sure, right),
        "confident_half": confident_accuracy(sure, right),
    }


def _probabilities(model: Any, test: Float32, links: Links | None) -> NDArray[np.float64]:
    """Of a model of neighbours by their links, which are found once; [q, C]."""
    if links is None or not isinstance(model, NeighborModel):
        return np.asarray(model.probabilities(test))
    key = model.k, model.power
    if key not in links:
        links[key] = model.links(test)
    return model.linked(test, *links[key])


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Mean of ``first - second`` with a 95% percentile bootstrap interval over the pairs.

    Draw for draw ``scipy.stats.bootstrap``, which takes no single pair and has renamed its seed.
    """
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(differences), size=(resamples, len(differences)))
    low, high = np.percentile(differences[draws].mean(axis=1), [2.5, 97.5])
    return Difference(float(differences.mean()), float(low), float(high), len(differences))


def _summary(values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "sd": spread}
