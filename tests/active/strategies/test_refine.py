"""REFINE against its rounds written out: every strategy asked on a table of its part alone."""

from __future__ import annotations

import numpy as np

import usl
from usl.active.contract import STRATEGIES
from usl.active.strategies.refine import ENSEMBLE
from usl.training.refit import Refit


def test_the_pool_is_thinned_by_all_strategies_and_uherding_asks_in_the_end(pool):
    learner = Refit(pool.features, "nearest_mean")
    given = {"labeled": pool.labeled, "classes": pool.classes, "predictions": pool.predictions}
    last = {"method": "uherding", "learner": learner, "seed": 4, **given}
    adapted = usl.query(pool.features, 1, **last).parameters
    adapted = {name: adapted[name] for name in ("h", "temperature")}
    rng = np.random.default_rng(4)
    left = pool.candidates
    for _ in range(2):
        size, asked = max(3, int(0.4 * len(left))), set()
        for name, own in ENSEMBLE.items():
            for _ in range(2):
                part = np.sort(rng.choice(left, size, replace=False, shuffle=False))
                rows = np.sort(np.concatenate([part, pool.labeled]))
                alone = {
                    "labeled": np.searchsorted(rows, pool.labeled),
                    "candidates": np.searchsorted(rows, part),
                    "seed": int(rng.integers(1 << 31)),
                    "method": name,
                    **own,
                }
                points = pool.features[rows]
                if name in STRATEGIES.names():
                    alone |= adapted if name == "uherding" else {}
                    alone |= {"classes": pool.classes, "predictions": pool.predictions[rows]}
                    found = usl.query(points, 3, **alone).indices
                else:
                    found = usl.select(points, 3, **alone).indices
                asked |= set(rows[found].tolist())
        left = np.array(sorted(asked))
    expected = usl.query(pool.features, 3, candidates=left, **last)
    found = usl.query(
        pool.features,
        3,
        method="refine",
        learner=learner,
        candidates=pool.candidates,
        seed=4,
        rounds=2,
        batches=2,
        **given,
    )
    assert found.indices.tolist() == expected.indices.tolist()
    assert found.parameters["left"] == len(left)


def test_without_rounds_it_is_uherding(pool):
    given = {"labeled": pool.labeled, "classes": pool.classes, "predictions": pool.predictions}
    one = usl.query(pool.features, 5, method="refine", rounds=0, **given)
    assert (
        one.indices.tolist()
        == usl.query(pool.features, 5, method="uherding", **given).indices.tolist()
    )
