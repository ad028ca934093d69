"""Sums over shards: those of all rows, on a tree that is fixed."""

from __future__ import annotations

import numpy as np

from usl.engine.executor import InProcess
from usl.engine.store import Store
from usl.engine.sums import save_sums, total


def test_sums_of_many_shards_are_those_of_all_rows(tmp_path):
    store, rng = Store(str(tmp_path)), np.random.default_rng(0)
    rows = rng.normal(size=(400, 3)).astype(np.float32)
    groups = rng.integers(0, 7, 400)
    groups[groups == 5] = 6  # one group is empty
    names = [f"sums-{part}" for part in range(40)]  # more than two levels of sixteen take
    for name, part in zip(names, np.split(np.arange(400), 40), strict=True):
        save_sums(store, name, rows[part], groups[part], 7)
    sums, counts = total(InProcess(), store, names, 7, 3)
    assert counts.tolist() == np.bincount(groups, minlength=7).tolist()
    expected = [rows[groups == group].astype(np.float64).sum(axis=0) for group in range(7)]
    np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-12)
    assert store.sizes() == {}  # nothing is left lying about
