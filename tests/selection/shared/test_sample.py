"""What a sample of the rows is made of."""

from __future__ import annotations

import numpy as np
import pytest

from usl.selection.shared.sample import draw_sample


@pytest.mark.parametrize(
    ("known", "open_", "budget", "expected"),
    [
        (0, 1000, 10, (0, 100, 0)),  # labelled, candidates, others out of 1,000 rows, of 100
        (0, 500, 10, (0, 50, 50)),
        (0, 50, 10, (0, 50, 50)),  # few candidates: half of the sample, if there are as many
        (0, 20, 10, (0, 20, 80)),
        (20, 490, 10, (20, 40, 40)),
        (400, 300, 10, (50, 25, 25)),  # labelled rows take half at most
        (0, 300, 150, (0, 150, 0)),  # and the budget is a promise
        (400, 300, 120, (50, 120, 0)),
        (990, 10, 5, (50, 10, 0)),  # nothing else is left to fill it
    ],
)
def test_what_the_sample_is_made_of(known, open_, budget, expected):
    rows = np.random.default_rng(3).permutation(1000)
    labeled, candidates = np.sort(rows[:known]), np.sort(rows[known : known + open_])
    rng = np.random.default_rng(0)
    drawn = draw_sample(1000, budget, labeled, candidates, 100, rng)
    assert len(np.unique(drawn)) == len(drawn)
    assert (np.diff(drawn) > 0).all()
    parts = np.isin(drawn, labeled).sum(), np.isin(drawn, candidates).sum()
    assert (*parts, len(drawn) - sum(parts)) == expected
