"""What a panel of gains shows when one method is far behind, and what it never cuts off."""

from __future__ import annotations

import numpy as np
import pytest

from usl.benchmarking.plots import gain_limits, plot_gains
from usl.benchmarking.summary import Cell, Table, standings


@pytest.mark.parametrize(
    ("shown", "hidden", "expected"),
    [
        ([20.0, 3.0], [-30.0, 5.0], (-10.0, 20.0)),  # a grey line far below is cut off
        ([20.0, -15.0], [-30.0], (-15.0, 20.0)),  # a coloured one never is
        ([20.0, 3.0], [-4.0], (-4.0, 20.0)),  # what fits is shown, and no more room than that
        ([3.0], [12.0], (0.0, 12.0)),  # what is above is always shown
        ([-2.0], [-9.0], (-2.0, 0.0)),
        ([0.0], [], (0.0, 1.0)),
        ([], [-3.0], (0.0, 1.0)),
    ],
)
def test_limits(shown, hidden, expected):
    assert gain_limits(shown, hidden) == expected


@pytest.mark.parametrize("reference", ["random", "stratified"])
def test_oracles_and_a_single_budget_can_be_drawn(tmp_path, reference):
    methods = ("random", "stratified", *(f"m{i}" for i in range(8)))
    test = np.random.default_rng(0).random((10, 3))
    cell = Cell("d", "pixels", 10, "logistic", (0, 1, 2), test)
    table = Table(methods, np.array(methods) == "stratified", (cell,))
    ranked = standings(table, reference)
    first = plot_gains(table, reference, ranked, tmp_path / "one.svg").read_text()
    assert ("stroke-dasharray" in first) == (reference == "random")  # the reference is the axis
    assert plot_gains(table, reference, ranked, tmp_path / "two.svg").read_text() == first
