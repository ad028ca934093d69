"""Does ``usl next --until`` keep its word? False yeses, and how often a forecast holds.

    USL_PREPARED=/path/to/prepared python benchmarks/until_claims.py

- ``collections``: 200 synthetic collections of 500 to 3,000 images. An image has a difficulty; the
  model is right on it if that is below a level that rises with the labels, at a speed of the
  collection's own, and its confidences are off by a shift, a slope and noise. A simulated person
  (simulated_person.py) does what the advice says until it says yes: labels, sweeps, and audits,
  looked at again and again. Counted is how often the collection is not at 95% then.
- ``forecast``: rounds of 50% more labels on digits and on 10,000 images of CIFAR-10 (features of a
  network trained with ImageNet's labels, and of one trained on CIFAR-10 without labels), least
  confident first and by margin, 3 seeds; 100 images are audited. From each round, from the third
  on, labels are forecast until there are as few errors as one, two or three rounds later, and
  compared with the labels that it took. Rounds are left out whose errors are no new minimum.

Results go to ``benchmarks/results/until_claims.json``.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from simulated_person import Person, by_advice

from usl.active.calibration import calibrated
from usl.active.forecast import errors_after, exponent_between, exponent_of, forecast
from usl.features.preprocessing import Preprocessing
from usl.training.refit import Refit

RESULT = Path(__file__).parent / "results" / "until_claims.json"
TARGET, CLASSES = 0.95, 4
SETS: dict[str, dict[str, bool]] = {
    "digits": {"center": False, "standardize": False},
    "cifar10_lite1": {"center": True, "standardize": True},
    "cifar10_cld": {"center": False, "standardize": False},
}
START, ROUNDS, GROWTH, MOST, JUDGED, SEEDS = 20, 9, 0.5, 10_000, 100, 3


class Synthetic:
    """A collection and a model of it that learns with the labels; in place of a Refit."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        n = int(rng.integers(500, 3_000))
        self.truth = rng.integers(0, CLASSES, n)
        self._hard = rng.normal(rng.uniform(-1.5, 1.5), rng.uniform(1, 2.5), n)
        self._speed, self._luck = rng.uniform(0.1, 0.8), rng.random(n)
        self._shift, self._slope = rng.normal(0, 0.5), rng.uniform(0.5, 1.5)
        self._noise = rng.normal(0, 0.5, n)

    def update(self, given: np.ndarray, n_classes: int) -> Synthetic:
        """Learn from so many labels."""
        odds = self._speed * np.log((given >= 0).sum()) - self._hard
        right = self._luck < 1 / (1 + np.exp(-odds))
        sure = 1 / (1 + np.exp(-(self._shift + self._slope * odds + self._noise)))
        sure = np.clip(sure, 1 / n_classes + 1e-3, 0.999)
        called = np.where(right, self.truth, (self.truth + 1) % n_classes)
        self._said = np.repeat((1 - sure)[:, None] / (n_classes - 1), n_classes, axis=1)
        self._said[np.arange(len(called)), called] = sure
        return self

    def fitted(self) -> np.ndarray:
        """What it says of every image."""
        return self._said


def collections(count: int) -> dict[str, Any]:
    """How often yes is wrong, how many looks it took, and how right the collections were."""
    last, looks = [], []
    for seed in range(count):
        model = Synthetic(seed)
        rows = by_advice(Person(model.truth, CLASSES, model, seed), TARGET)
        last.append(rows[-1]["accuracy"])
        looks.append(sum("low" in row for row in rows))
    return {
        "collections": count,
        "false": int(np.sum(np.array(last) < TARGET)),
        "accuracy": [round(float(np.quantile(last, q)), 4) for q in (0, 0.5, 1)],
        "looks": [round(float(np.mean(looks)), 2), int(np.max(looks))],
    }


def rounds_of(features: np.ndarray, truth: np.ndarray, by: str, seed: int) -> list[Any]:
    """Labels, calibrated chances to be wrong, and true errors of each round."""
    rng, refit = np.random.default_rng(seed), Refit(features)
    given, found = np.full(len(truth), -1), []
    first = rng.choice(len(truth), START, replace=False)
    given[first] = truth[first]
    for _ in range(ROUNDS):
        said = refit.update(given, n_classes=int(truth.max()) + 1).fitted()
        assert said is not None
        left = np.flatnonzero(given < 0)
        ranked = np.sort(said[left], axis=1)
        sure, right = ranked[:, -1], said[left].argmax(axis=1) == truth[left]
        drawn = rng.choice(len(left), min(JUDGED, len(left)), replace=False)
        chance = calibrated(sure, sure[drawn], right[drawn])
        found.append((len(truth) - len(left), 1 - chance, float((~right).sum())))
        count = min(max(1, int(GROWTH * found[-1][0])), len(left) - 1)
        doubt = sure if by == "confidence" else sure - ranked[:, -2]
        rows = left[np.argsort(doubt, kind="stable")[:count]]
        given[rows] = truth[rows]
    return found


def held_back(rounds: list[Any]) -> list[bool]:
    """Whether each forecast's interval holds the labels that it took."""
    seen: list[float] = []
    held = []
    for place, (labels, wrong, _) in enumerate(rounds):
        if place:
            before, chance, _ = rounds[place - 1]
            more = np.array([labels - before])
            without = float(errors_after(chance, before, more, 0.0)[0])
            exponent = exponent_between(without, before, labels - before, float(wrong.sum()))
            seen += [] if exponent is None else [exponent]
        for later in range(place + 1, min(place + 4, len(rounds))):
            errors = rounds[later][2]
            if place >= 2 and 0 < errors < min(one[2] for one in rounds[:later]):
                told = forecast(wrong, labels, errors, exponent_of(seen[-5:]), JUDGED)
                held.append(told.low <= rounds[later][0] - labels <= told.high)
    return held


def coverage(prepared: Path) -> dict[str, Any]:
    """Per data set, how many forecasts there were and how many intervals held."""
    found = {}
    for name, space in SETS.items():
        with np.load(prepared / f"{name}.npz", allow_pickle=True) as file:
            raw, labels = file["features"].astype(np.float32), file["labels"]
        truth, held = np.unique(labels, return_inverse=True)[1], []
        for seed in range(SEEDS):
            size = min(MOST, len(raw))
            rows = np.random.default_rng(seed).choice(len(raw), size, replace=False)
            own = Preprocessing.fit(raw[rows], **space).transform(raw[rows])
            for by in ("confidence", "margin"):
                features = np.asarray(own, dtype=np.float32)
                held += held_back(rounds_of(features, truth[rows], by, seed))
        found[name] = {"forecasts": len(held), "held": int(np.sum(held))}
    return found


def main() -> None:
    """Measure both, print and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, default=os.environ.get("USL_PREPARED"))
    parser.add_argument("--collections", type=int, default=200)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"collections": collections(arguments.collections)}
    print(found)
    found["forecast"] = coverage(Path(arguments.prepared))
    print(found["forecast"])
    RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
