"""Bounds in a signature: what they say, and that every method is held to its own."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import UsageError
from usl.core.parameters import AtLeast, Between, NotNegative, Positive, check_value, plain_type
from usl.evaluation.compare import compare
from usl.pretraining.contract import METHODS as PRETRAINING
from usl.selection.constraints.select_within import Constraints, select_within
from usl.selection.contract import METHODS
from usl.selection.dry_run import plan_run
from usl.training.contract import FROZEN, NETWORKS

SHARE = Between(0, 1)


@pytest.mark.parametrize(
    ("bound", "value", "message"),
    [
        (Positive, 0, "k: 0 given; it must be above 0 and finite."),
        (Positive, -2.5, "k: -2.5 given; it must be above 0 and finite."),
        (NotNegative, -1, "k: -1 given; it must be at least 0 and finite."),
        (NotNegative, math.nan, "k: nan given; it must be at least 0 and finite."),
        (NotNegative, math.inf, "k: inf given; it must be at least 0 and finite."),
        (AtLeast(250), 249, "k: 249 given; it must be at least 250 and finite."),
        (SHARE, 1.5, "k: 1.5 given; it must be at most 1."),
        (Between(0, 1, below=True), 1, "k: 1 given; it must be below 1."),
        (Between(0, 1, above=True), 0, "k: 0 given; it must be above 0 and finite."),
    ],
)
def test_a_number_out_of_bounds_is_named_with_the_bound(bound, value, message):
    with pytest.raises(UsageError) as refused:
        check_value("k", value, Annotated[float, bound])
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Annotated[int, Positive], 1),
        (Annotated[int, Positive], np.int64(3)),
        (Annotated[float, SHARE], 0),
        (Annotated[float, SHARE], 1),
        (Annotated[float, SHARE], np.float32(0.5)),
        (Annotated[float | None, Positive], None),
        (Annotated[int, NotNegative], 0),
        (float, -1e300),
        (int, -7),
        (int, 7.0),
        (bool, True),
        (bool | None, None),
        (Literal["one", "two"] | None, None),
        (Literal["one", "two"], "two"),
        (Literal[1, 2], 2),
        (str | None, "anything"),
        (float | str, "auto"),
    ],
)
def test_what_the_annotation_allows_passes(annotation, value):
    check_value("k", value, annotation)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (float, math.inf, "k: inf given; it must be finite."),
        (float, math.nan, "k: nan given; it must be finite."),
        (int, 2.5, "k: 2.5 given; it must be a whole number."),
        (Annotated[int, Positive], "3", "k: '3' given; it must be a number."),
        (Annotated[int, Positive], None, "k: None given; it must be a number."),
        (Literal["one", "two"], "won", "k: 'won' is unknown; use one of one, two."),
        (Literal["one", "two"] | None, "", "k: '' is unknown; use one of one, two."),
        (Literal["one", "two"], ["one"], "k: ['one'] is unknown; use one of one, two."),
        (Literal[0, 1], 2, "k: 2 is unknown; use one of 0, 1."),
    ],
)
def test_what_the_annotation_rules_out_is_refused(annotation, value, message):
    with pytest.raises(UsageError) as refused:
        check_value("k", value, annotation)
    assert str(refused.value).startswith(message)


def test_a_near_miss_of_a_word_is_named():
    with pytest.raises(UsageError, match="Did you mean 'consensus'"):
        check_value("pick_by", "consensuss", Literal["both", "consensus"])


def test_a_type_without_its_bounds():
    assert plain_type(Annotated[int | None, Positive]) == int | None
    assert plain_type(float) is float


def bounded():
    """Every bounded parameter of every method, with a value that is just out of its bounds."""
    for kind in (METHODS, FROZEN, NETWORKS, PRETRAINING):
        for method in kind.names():
            try:
                known = kind.parameters(kind.load(method))
            except ImportError:  # without the extra that trains networks
                continue
            for name, parameter in known.items():
                for bound in getattr(parameter.annotation, "__metadata__", ()):
                    low = bound.low if bound.above else bound.low - 1
                    yield kind, method, name, low
                    if math.isfinite(bound.high):
                        yield kind, method, name, bound.high if bound.below else bound.high + 1


@pytest.mark.parametrize(("kind", "method", "name", "value"), list(bounded()))
def test_every_method_is_held_to_its_bounds(kind, method, name, value):
    module = kind.load(method)
    needed = {"labels": None} if getattr(module, "ORACLE", False) else {}
    with pytest.raises(UsageError, match=f"^{name}: {value} given; it must be "):
        kind.check(method, module, {**needed, name: value})


@pytest.mark.parametrize("kind", [METHODS, FROZEN, NETWORKS, PRETRAINING], ids=lambda k: k.folder)
def test_the_defaults_of_every_method_and_of_its_presets_are_in_bounds(kind):
    for method in kind.names():
        try:
            module = kind.load(method)
        except ImportError:
            continue
        known = kind.parameters(module)
        for recipe in getattr(module, "RECIPES", {}).values():
            kind.check(method, module, dict(recipe.parameters))
        for name, parameter in known.items():
            if parameter.default is not parameter.empty:
                check_value(name, parameter.default, parameter.annotation)


def test_a_file_of_ones_own_says_its_bounds_too(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from typing import Annotated\n"
        "from usl.core.parameters import Positive\n"
        "def pick(features, budget, *, seed=0, power: Annotated[float, Positive] = 2.0): ...\n"
    )
    with pytest.raises(UsageError, match="power: 0 given"):
        usl.select(np.eye(4), 2, method=str(path), power=0)


def test_bounds_hold_whatever_calls_the_method(tmp_path):
    table = unit(np.random.default_rng(0).normal(size=(20, 4)))
    with pytest.raises(UsageError, match="partitions: 0 given"):
        select_within(table, 3, Constraints(), method="quorum", partitions=0, memory="4GB")
    truth = np.arange(20) % 2
    asked = {"budget": 4, "methods": {"random": {}}, "seeds": [0], "learner": "label_spreading"}
    with pytest.raises(UsageError, match="k: 0 given"):
        compare(table, truth, table, truth, **asked, learner_params={"k": 0})
    np.save(tmp_path / "table.npy", table)
    with pytest.raises(UsageError, match="k: 0 given"):
        plan_run(tmp_path / "table.npy", 4, method="usl", k=0)
    with pytest.raises(UsageError, match="k: 0 given"):
        usl.start_run(tmp_path / "table.npy", 4, tmp_path / "run", k=0)
    with pytest.raises(UsageError, match="k: 0 given"):
        usl.train(tmp_path / "run", method="poisson", k=0)
    assert not (tmp_path / "run").exists()
    assert plan_run(tmp_path / "table.npy", 4, method="usl", k=3)["budget"] == 4
