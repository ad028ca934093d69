"""RepDiv against its two halves written out densely in float64."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError


def by_definition(features, budget, representative, labeled):
    x = features.astype(np.float64)
    cosine = x @ x.T
    chosen = list(labeled)
    for step in range(budget):
        best, row = -np.inf, -1
        for c in range(len(x)):
            if c in chosen:
                continue
            if step < representative:
                score = np.maximum(cosine[:, [*chosen, c]].max(axis=1), 0).sum()
            else:
                score = 1 - cosine[c, chosen].max()
            if score > best + 1e-12:
                best, row = score, c
        chosen.append(row)
    return chosen[len(labeled) :]


@pytest.mark.parametrize(
    ("budget", "share", "representative", "labeled"),
    [
        (20, 0.7, 14, []),
        (10, 0.7, 7, []),
        (9, 0.7, 6, []),
        (1, 0.7, 1, []),
        (6, 0.0, 1, []),
        (6, 0.0, 0, [5, 9]),
        (11, 0.5, 5, [5, 9]),
        (5, 1.0, 5, []),
    ],
)
def test_picks_are_those_of_the_definition(cloud, budget, share, representative, labeled):
    found = usl.select(cloud, budget, method="repdiv", share=share, labeled=labeled)
    assert found.indices.tolist() == by_definition(cloud, budget, representative, labeled)


def test_the_diverse_picks_are_not_bound_to_the_pool(cloud):
    found = usl.select(cloud, 10, method="repdiv", pool=10, seed=0)
    pool = usl.select(cloud, 10, method="facility_location", pool=10, seed=0).indices
    assert np.isin(found.indices[:7], pool).all()
    assert not np.isin(found.indices[7:], pool).all()


@pytest.mark.parametrize(("name", "value"), [("share", 1.5), ("share", -0.1), ("pool", 0)])
def test_impossible_parameters_are_named(cloud, name, value):
    with pytest.raises(UsageError, match=f"{name}: "):
        usl.select(cloud, 3, method="repdiv", **{name: value})
