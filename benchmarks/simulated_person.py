"""How many hours until so much of a collection is right? A simulated person labels CIFAR-10.

    USL_PREPARED=/path/to/prepared python benchmarks/simulated_person.py --seeds 10

All 50,000 train images of CIFAR-10, features of efficientnet_lite1, which was trained on ImageNet
*with labels*: every figure rests on that. Centred and standardised on the 50,000, as in
cold_start.toml, and projected on 128 principal directions, for speed. The person begins with 40
random images, knows every answer, and takes 2.0 s for a label, 0.35 s for a scanned image of a
sheet, 1.5 s to unmark one and 2.0 s for its label (docs/until.md has the sources). The learner is
``logistic``, fitted anew whenever labels have grown by a quarter: with thousands of labels it is quicker
than the default of ``usl train`` on these features, and no worse. Ways:

- ``one_by_one``: the image that the model is least confident of, again and again; the rest is
  predicted.
- ``advice``: label, sweep or audit, as :func:`usl.active.advice.advise` says for a ``--target``,
  until it says yes. The seconds of audits count; their answers are no labels. An image that comes
  up for labelling after it was audited is not asked twice.

A row per step goes to ``benchmarks/results/simulated_person.jsonl`` as it is finished: seconds so
far, and how much of the whole collection is right in truth, people's labels and predictions alike.
A second call continues with the seeds that are missing.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from usl.active import advice as steps
from usl.active.advice import Standing, advise
from usl.active.looks import Look, quantile
from usl.active.pace import Pace
from usl.core.seeds import seed_number
from usl.features.preprocessing import Preprocessing
from usl.labeling.answers.audit import wilson
from usl.training.refit import Refit

RESULTS = Path(__file__).parent / "results"
START, GROWTH, END = 40, 0.25, 0.98
LEARNER, DIRECTIONS = "logistic", 128
TARGETS = (0.95, 0.9, 0.8, 0.98)


class Person:
    """Somebody who knows all answers, and what they have said and spent so far."""

    def __init__(self, truth: np.ndarray, classes: int, refit: Refit, seed: int) -> None:
        self.truth, self.classes, self.refit = truth, classes, refit
        self.rng = np.random.default_rng(seed_number(seed))
        self.pace = Pace()
        self.given = np.full(len(truth), -1)
        self.swept = np.zeros(len(truth), dtype=bool)
        self.audited = np.zeros(len(truth), dtype=bool)
        self.seconds, self.audits, self.labels, self.scans = 0.0, 0, 0, 0
        self.label(self.rng.choice(len(truth), START, replace=False))
        self.learn()

    def learn(self) -> None:
        """Fit the model to what was said."""
        model = self.refit.update(self.given, n_classes=self.classes)
        said = model.fitted()
        said = model.probabilities(self.refit.features) if said is None else said
        self.called, self.confidence = said.argmax(axis=1), said.max(axis=1)
        self.right = np.where(self.given >= 0, self.given, self.called) == self.truth

    def label(self, rows: np.ndarray) -> None:
        """Label images one by one; those that an audit has asked of cost nothing."""
        self.given[rows] = self.truth[rows]
        self.labels += len(rows)
        self.seconds += self.pace.label * float((~self.audited[rows]).sum())

    def sweep(self, rows: np.ndarray) -> None:
        """Confirm sheets of images by what they are called; label those that are wrong."""
        wrong = self.called[rows] != self.truth[rows]
        self.given[rows] = self.truth[rows]
        self.swept[rows[~wrong]] = True
        self.scans += len(rows)
        per_wrong = self.pace.unmark + self.pace.relabel
        self.seconds += self.pace.scan * len(rows) + per_wrong * int(wrong.sum())

    def audit(self, count: int) -> None:
        """Judge images drawn at random from all that were not labelled one by one."""
        drawn_from = np.flatnonzero(((self.given < 0) | self.swept) & ~self.audited)
        drawn = self.rng.choice(drawn_from, min(count, len(drawn_from)), replace=False)
        self.audited[drawn] = True
        self.audits += len(drawn)
        self.seconds += self.pace.label * len(drawn)

    def standing(self, looks: int, fresh: bool) -> Standing:
        """What the person's tool knows."""
        left = self.given < 0
        judged = self.audited & (left | self.swept)
        by_hand = int((~left & ~self.swept).sum())
        look = None
        if fresh and judged.any():
            n, right = int(judged.sum()), int(self.right[judged].sum())
            low, high = wilson(right, n, z=quantile(looks + 1))
            whole = [
                (by_hand + share * (len(left) - by_hand)) / len(left)
                for share in (right / n, low, high)
            ]
            look = Look(looks + 1, n, *whole)
        known = self.audited[left]
        return Standing(
            confidence=self.confidence[left],
            labeled=by_hand,
            swept=int(self.swept.sum()),
            judged_confidence=self.confidence[left][known],
            judged_right=self.right[left][known],
            judged=int(judged.sum()),
            looks=looks + (look is not None),
            look=look,
            pace=self.pace,
        )

    def row(self, **more: Any) -> dict[str, Any]:
        """Where things stand, as it is kept."""
        return {
            "seconds": round(self.seconds, 1),
            "accuracy": round(float(self.right.mean()), 5),
            "labels": self.labels,
            "scans": self.scans,
            "audits": self.audits,
            **more,
        }


def one_by_one(person: Person) -> list[dict[str, Any]]:
    """Least confident first, until nearly everything is right."""
    rows = [person.row()]
    while person.right.mean() < END:
        left = np.flatnonzero(person.given < 0)
        count = max(steps.LEAST, int(GROWTH * (len(person.given) - len(left))))
        person.label(left[np.argsort(person.confidence[left], kind="stable")[:count]])
        person.learn()
        rows.append(person.row())
    return rows


def by_advice(person: Person, target: float) -> list[dict[str, Any]]:
    """As the advice says, until it says that the target is reached."""
    rows, looks, fresh = [person.row()], 0, False
    while True:
        standing = person.standing(looks, fresh)
        looks = standing.looks
        found = advise(standing, target, interval=False, growth=GROWTH)
        shown = {"step": found.step, "expected": round(found.expected, 5), "aim": found.aim}
        if found.look is not None:
            shown |= {"low": round(found.look.low, 5), "reached": found.reached}
        rows.append(person.row(**shown, left=round(found.left[0])))
        if found.step == steps.NOTHING:
            return rows
        fresh = found.step == steps.AUDIT
        if fresh:
            person.audit(found.count)
            continue
        left = np.flatnonzero(person.given < 0)
        getattr(person, found.step)(left[found.places])
        person.learn()


def hours_to(rows: list[dict[str, Any]], target: float) -> float | None:
    """When so much was right in truth, between two rows in proportion."""
    before = rows[0]
    for row in rows:
        if row["accuracy"] >= target:
            gain = row["accuracy"] - before["accuracy"]
            part = (target - before["accuracy"]) / gain if gain > 0 else 1.0
            return (before["seconds"] + part * (row["seconds"] - before["seconds"])) / 3600
        before = row
    return None


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, default=os.environ.get("USL_PREPARED"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--targets", type=float, nargs="+", default=TARGETS)
    parser.add_argument("--out", type=Path, default=RESULTS / "simulated_person.jsonl")
    arguments = parser.parse_args()
    done = read(arguments.out)
    with np.load(Path(arguments.prepared) / "cifar10_lite1.npz", allow_pickle=True) as file:
        train = file["subset"] == "train"
        raw, labels = file["features"][train].astype(np.float32), file["labels"][train]
    truth = np.unique(labels, return_inverse=True)[1]
    space = Preprocessing.fit(raw, center=True, standardize=True, pca=DIRECTIONS)
    refit = Refit(np.asarray(space.transform(raw), dtype=np.float32), LEARNER)
    ways: list[float | None] = [arguments.targets[0], None, *arguments.targets[1:]]
    for target in ways:
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            if (target, seed) in done:
                continue
            person = Person(truth, int(truth.max()) + 1, refit, seed)
            rows = one_by_one(person) if target is None else by_advice(person, target)
            done[target, seed] = rows
            line = {"way": "one_by_one" if target is None else "advice", "target": target}
            with arguments.out.open("a") as file:
                file.write(json.dumps({**line, "seed": seed, "steps": rows}) + "\n")
    tell(done)


def read(path: Path) -> dict[tuple[float | None, int], list[dict[str, Any]]]:
    """The rows of former calls, by target (None: one by one) and seed."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {(line["target"], line["seed"]): line["steps"] for line in lines}


def tell(done: dict[tuple[float | None, int], list[dict[str, Any]]]) -> None:
    """Print hours by target: mean and standard deviation over seeds."""
    for target in sorted(TARGETS):
        by_hand = target * 50_000 * Pace().label / 3600
        seeds = [seed for other, seed in done if other == target and (None, seed) in done]
        if not seeds:
            continue
        mine = np.array([hours_to(done[target, seed], target) or np.nan for seed in seeds])
        proof = np.array([done[target, seed][-1]["seconds"] / 3600 for seed in seeds])
        single = np.array([hours_to(done[None, seed], target) or np.nan for seed in seeds])
        false = sum(done[target, seed][-1]["accuracy"] < target for seed in seeds)
        print(
            f"{target:.0%} n={len(seeds)}: by hand {by_hand:.1f} h, one by one {single.mean():.2f} "
            f"(sd {single.std(ddof=1) if len(seeds) > 1 else 0:.2f}), advice {mine.mean():.2f} "
            f"(sd {mine.std(ddof=1) if len(seeds) > 1 else 0:.2f}), until proven "
            f"{proof.mean():.2f}; of by hand {mine.mean() / by_hand:.2f}, of one by one "
            f"{(mine / single).mean():.2f}; false yes {false}"
        )


if __name__ == "__main__":
    main()
