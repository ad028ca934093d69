"""What a selection is expected to do, as the time left counts it."""

from __future__ import annotations

import pytest

from usl.core.progress import Forecast
from usl.features.stages import fitting_stages
from usl.selection.methods import quorum, usl
from usl.selection.shared.seconds import stages
from usl.selection.stages import LITTLE, seconds_of


def test_a_method_that_tells_nothing_is_quick():
    assert seconds_of("random", 1000, 64, 40) == LITTLE


def test_a_method_that_refuses_its_parameters_is_left_to_say_so_itself():
    assert seconds_of("usl_t", 1000, 64, 40, {"preset": "none"}) == LITTLE


def test_larger_work_takes_longer():
    small, large = (seconds_of("quorum", n, 64, 40) for n in (1_000, 20_000))
    assert large > small > LITTLE


def test_stages_stand_in_the_order_in_which_they_run():
    names = [stage.name for stage in stages(usl.seconds(9000, 64, 40, 0, {}))]
    assert names == ["partition", "search"]
    both = stages(quorum.seconds(9000, 64, 40, 0, {}))
    assert [stage.name for stage in both] == ["search", "partition", "training", "spread"]
    assert both[0].passes == 1  # neighbours and densities in one search


def test_groups_repeat_every_stage():
    once = quorum.seconds(9000, 64, 40, 0, {})
    for one, many in zip(stages(once), stages(once, groups=3), strict=True):
        assert many.passes == 3 * one.passes
        assert many.seconds == pytest.approx(3 * one.seconds)


def test_a_real_selection_ends_with_nothing_left(tmp_path):
    """The labels that are reported are those that are expected, or something would be left."""
    import numpy as np

    from usl.selection.start_run import start_run

    rows = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    for method in ("quorum", "usl", "usl_t"):
        forecast = Forecast()
        start_run(
            tmp_path / "rows.npy", 5, tmp_path / "run", method=method, overwrite=True,
            progress=forecast,
        )  # fmt: skip
        pending = {one.stage.name for one in forecast._stages if not one.ended}
        assert pending <= {"spread", "ranking", "writing"}  # which report nothing


def test_what_is_expected_warns_of_nothing():
    """The selection itself says that k is too large; warnings are errors in these tests."""
    assert seconds_of("usl_t", 10, 8, 3, {"k": 50}) > 0


def test_components_of_few_rows_cost_as_much_as_their_products():
    """Of n rows of width d the smaller of n x n and d x d products is taken apart."""
    few, many, wide = (fitting_stages(n, 3072, 64) for n in (300, 3000, 30_000))
    assert [stage.name for stage in few] == ["space", "features"]
    assert many[0].seconds > 50 * few[0].seconds
    assert wide[0].seconds < 10 * many[0].seconds  # as many more as there are rows, at most
    assert [stage.name for stage in fitting_stages(300, 3072, None)] == ["features"]
