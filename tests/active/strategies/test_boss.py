"""BoSS, the oracle: the best of the batches that were tried, and who may ask it."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.active.contract import Truth
from usl.active.live import label_live
from usl.active.next_round import check_method
from usl.active.strategies.boss import ENSEMBLE, of_rare_classes
from usl.core.errors import UsageError
from usl.numeric.table import as_table


def test_of_all_batches_the_one_after_which_the_learner_is_most_often_right(pool):
    tried = []

    def accuracy(rows):
        tried.append(rows.tolist())
        return float(np.sin(rows).sum())  # some figure of the batch

    found = usl.query(
        pool.features,
        4,
        method="boss",
        truth=Truth(pool.truth, accuracy),
        labeled=pool.labeled,
        classes=pool.classes,
        predictions=pool.predictions,
        candidates=pool.candidates,
        batches=30,
        seed=1,
    )
    assert len(tried) == 30
    assert all(len(set(rows)) == 4 and set(rows) <= set(pool.candidates) for rows in tried)
    assert found.indices.tolist() == max(tried, key=lambda rows: np.sin(rows).sum())
    assert found.parameters["by"] in ENSEMBLE
    assert len({tuple(rows) for rows in tried}) > 15


def test_the_rarest_class_is_served_with_its_most_central_row(pool):
    part = pool.candidates
    found = of_rare_classes(as_table(pool.features), 9, pool.labeled, part, pool.truth)
    counts = np.bincount(pool.truth[pool.labeled], minlength=4)
    expected: list[int] = []
    for _ in range(9):
        free = [row for row in part.tolist() if row not in expected]
        serve = min({pool.truth[row] for row in free}, key=lambda one: (counts[one], one))
        own = [row for row in free if pool.truth[row] == serve]
        points = pool.features[own].astype(np.float64)
        sums = ((points[:, None] - points[None]) ** 2).sum(axis=(1, 2))
        expected.append(own[int(sums.argmin())])
        counts[serve] += 1
    assert found.tolist() == expected


def test_nobody_but_a_benchmark_asks_it(pool):
    with pytest.raises(UsageError, match="'boss' reads the answers of all images"):
        check_method("boss", None, {})
    with pytest.raises(UsageError, match="'boss' reads the answers of all images"):
        label_live("nowhere", method="boss")
    with pytest.raises(UsageError, match="'boss' reads the answers of all images"):
        usl.query(pool.features, 2, method="boss", labeled=[0, 1], classes=[0, 1])
