"""Rounds of queries on the sets that ``canvass`` was tuned on: its rivals, and what its parts do.

    USL_PREPARED=/path/to/prepared python benchmarks/canvass.py run
    USL_PREPARED=/path/to/prepared python benchmarks/canvass.py run --sets digits --learner accord
    python benchmarks/canvass.py table

A draw is 2,000 images of CIFAR-10 (features of EfficientNet-lite1, which rest on ImageNet labels;
or of cifar-cld-small, which rest on none), as many with a long tail (imbalance 10), or 1,437
digits; tested on 3,000 others, or 360 digits. Ten images first, then ten rounds of ten: with
``logistic`` a random start, with ``accord`` that of quorum. A row has the accuracy after the start
and after each round. Variants share draws and starts, so that differences are paired. Rows are kept
as they come; a stopped run goes on. ``prepare.py`` makes the data.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np

import usl
from usl.active.strategies import canvass
from usl.benchmarking.pools import thinned
from usl.evaluation.compare import paired_difference
from usl.features.preprocessing import Preprocessing
from usl.numeric.stage_cache import KeepInMemory
from usl.selection.shared.neighborhood import Neighborhood
from usl.training.refit import Refit

SETS = ("digits", "cifar10", "cifar10_cld", "cifar10_lt10")
STARTS = {"logistic": "random", "accord": "quorum"}
ROWS = Path(__file__).parent / "results" / "canvass.jsonl"
SIZE, TESTED, BATCH, ROUNDS = 2_000, 3_000, 10, 10
AS_MANY = ((canvass, "balance", lambda shares, counts: lambda picks: np.ones(len(shares))),)
AS_THEY_ARE = ((Neighborhood, "averaged", lambda near, points, rows: points[rows]),)
VARIANTS = {  # a strategy, or canvass with something of it replaced
    "canvass": (),
    "... no class balance": AS_MANY,
    "... no doubt": ((canvass, "SURE", 1.0),),
    "... features not averaged": AS_THEY_ARE,
    "... reach 0.25": ((canvass, "REACH", 0.25),),
    "... reach 1": ((canvass, "REACH", 1.0),),
    "uherding": "uherding",
    "margin": "margin",
    "random": "random",
}


class Draw:
    """The images of a draw, those to test on, and what learners and strategies keep of them."""

    def __init__(self, name: str, seed: int) -> None:
        features, classes, train, test = opened(name)
        rng = np.random.default_rng([seed, *name.encode()])
        order = rng.permutation(train)
        if name == "digits":
            rows, test = order[:1437], order[1437:]
        elif name == "cifar10_lt10":
            some = order[: int(2.6 * SIZE)]
            rows = thinned(some, classes[some], 10, rng)
        else:
            rows = order[:SIZE]
        if len(test) > TESTED:
            test = np.sort(np.random.default_rng(0).choice(test, TESTED, replace=False))
        own = features[rows].astype(np.float32)
        space = Preprocessing.fit(own, center=True, standardize=True)
        self.features = np.ascontiguousarray(space.transform(own), dtype=np.float32)
        self.tested = np.asarray(space.transform(features[test].astype(np.float32)), np.float32)
        self.truth, self.answers = classes[rows], classes[test]
        self.seed, self.keep, self.links = seed, KeepInMemory(), None

    def curve(self, variant: str, learner: str) -> list[float]:
        """Accuracy after the start and after each round."""
        changes = VARIANTS[variant]
        method = changes if isinstance(changes, str) else "canvass"
        refit, found, n = Refit(self.features, learner), [], len(self.features)
        labeled = self._start(STARTS[learner])
        for turn in range(ROUNDS + 1):
            present, classes = np.unique(self.truth[labeled], return_inverse=True)
            every = np.full(n, -1)
            every[labeled] = classes
            model = refit.update(every)
            said = self._tested(model).argmax(axis=1)
            found.append(float((present[said] == self.answers).mean()))
            fitted = model.fitted()
            given = {
                "predictions": model.probabilities(self.features) if fitted is None else fitted,
                "candidates": np.setdiff1d(np.arange(n), labeled),
            }
            if method == "random":
                rng = np.random.default_rng([self.seed, turn, 5])
                picks = rng.choice(given["candidates"], BATCH, replace=False)
            else:
                with ExitStack() as stack:
                    for change in changes if method == "canvass" else ():
                        stack.enter_context(patch.object(*change))
                    picks = usl.query(
                        self.features,
                        BATCH,
                        labeled=labeled,
                        classes=classes,
                        method=method,
                        learner=refit,
                        seed=100 * self.seed + turn,
                        keep=self.keep,
                        **given,
                    ).indices
            labeled = np.sort(np.concatenate([labeled, picks]))
        return found

    def _start(self, start: str) -> np.ndarray:
        if start == "random":
            rng = np.random.default_rng([self.seed, 77])
            return np.sort(rng.choice(len(self.features), BATCH, replace=False))
        return np.sort(usl.select(self.features, BATCH, method=start, seed=self.seed).indices)

    def _tested(self, model) -> np.ndarray:
        if not hasattr(model, "links"):
            return model.probabilities(self.tested)
        if self.links is None:
            self.links = model.links(self.tested)
        return model.linked(self.tested, *self.links)


@cache
def opened(name: str) -> tuple[np.ndarray, ...]:
    """Features, class numbers, rows to draw from and rows to test on."""
    file = {"digits": "digits", "cifar10_cld": "cifar10_cld"}.get(name, "cifar10_lite1")
    with np.load(Path(os.environ["USL_PREPARED"]) / f"{file}.npz") as arrays:
        features, labels = arrays["features"], arrays["labels"]
        subset = arrays["subset"] if "subset" in arrays else np.full(len(labels), "train")
    classes = np.unique(labels, return_inverse=True)[1]
    return features, classes, np.flatnonzero(subset == "train"), np.flatnonzero(subset == "test")


def read(path: Path) -> list[dict]:
    """The rows that there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: list[dict]) -> None:
    """Mean accuracy over the rounds, and the difference to canvass, paired, with its interval."""
    for learner in STARTS:
        area = {
            (row["variant"], row["set"], row["draw"]): 100 * float(np.mean(row["accuracy"][1:]))
            for row in rows
            if row["learner"] == learner
        }
        print(f"\n| {learner}, from {STARTS[learner]} | " + " | ".join([*SETS, "mean"]) + " |")
        print("|---" * (len(SETS) + 2) + "|")
        for variant in VARIANTS:
            cells, behind = [], []
            for name in SETS:
                draws = [d for v, s, d in area if (v, s) == (variant, name)]
                draws = [d for d in draws if ("canvass", name, d) in area]
                own, ours = ([area[v, name, d] for d in draws] for v in (variant, "canvass"))
                if not draws:
                    continue
                found = paired_difference(own, ours)
                behind.append(found.mean)
                cell = f"{np.mean(own):.1f} ± {np.std(own, ddof=1):.1f} (n {len(own)})"
                if variant != "canvass":
                    cell += f", {found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"
                cells.append(cell)
            if len(cells) == len(SETS):
                print(f"| {variant} | {' | '.join(cells)} | {np.mean(behind):+.2f} |")


def main() -> None:
    """Measure what has no row yet, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--learner", choices=list(STARTS), default="logistic")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--rows", type=Path, default=ROWS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    keys = ("set", "draw", "learner", "variant")
    done = {tuple(row[key] for key in keys) for row in read(given.rows)}
    for name in given.sets if given.what == "run" else []:
        for seed in range(given.draws):
            wanted = [v for v in given.variants if (name, seed, given.learner, v) not in done]
            draw = Draw(name, seed) if wanted else None
            for variant in wanted:
                row = dict(zip(keys, (name, seed, given.learner, variant), strict=True))
                row["accuracy"] = [round(one, 4) for one in draw.curve(variant, given.learner)]
                with open(given.rows, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    table(read(given.rows))


if __name__ == "__main__":
    main()
