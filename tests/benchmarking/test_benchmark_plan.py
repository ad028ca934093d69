"""A plan says what is compared; a wrong one says what to change."""

from __future__ import annotations

import pytest

from usl.benchmarking.plan import read_plan
from usl.core.errors import DataError, UsageError

GOOD = """
name = "Two flowers"
seeds = 4
budgets = [9, 3]
encoders = ["pixels"]

[datasets.roses]
source = "roses"
[datasets.tulips]
source = "$GARDEN/tulips"
budgets = [5]
imbalance = 10
standardize = true

[methods]
random = {}
near = { method = "usl", k = 20 }

[learners]
logistic = { c = 1.0 }
poisson = { seeds = 2 }
"""


def written(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


def test_a_plan_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("GARDEN", "/garden")
    plan = read_plan(written(tmp_path, GOOD))
    roses, tulips = plan.datasets
    assert (plan.name, plan.seeds, plan.share, plan.reference) == ("Two flowers", 4, 0.8, "random")
    assert (roses.source, roses.budgets, roses.most) == (str(tmp_path / "roses"), (3, 9), 10_000)
    assert (tulips.source, tulips.budgets, tulips.imbalance) == ("/garden/tulips", (5,), 10.0)
    assert (tulips.encoders, tulips.space) == (("pixels",), {"standardize": True})
    near = plan.methods[1]
    assert (near.name, near.method, near.params) == ("near", "usl", {"k": 20})
    logistic, poisson = plan.learners
    assert (logistic.params, logistic.seeds, poisson.seeds) == ({"c": 1.0}, None, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = 4", "sedes = 4", "unknown key 'sedes'. Did you mean 'seeds'"),
        ("seeds = 4", "seeds = 0", "seeds: 0 given; use whole numbers from 1"),
        ("seeds = 4", "seeds = true", "seeds: True given; it must be a whole number"),
        ("seeds = 4", "share = 1.5", "share: 1.5 given"),
        ("seeds = 4", 'reference = "usl"', "reference: 'usl' is not in this plan"),
        ("seeds = 4", 'leave_out = ["rose"]', "leave_out: 'rose' .* Did you mean 'roses'"),
        ("seeds = 4", 'leave_out = ["roses", "tulips"]', "leave_out: names every data set"),
        ("budgets = [9, 3]", "budgets = [0]", "datasets.roses.budgets: 0 given"),
        ("budgets = [9, 3]", "", "datasets.roses.budgets is missing"),
        ("imbalance = 10", "imbalance = 0.5", "datasets.tulips.imbalance: 0.5 given"),
        ("imbalance = 10", "inbalance = 2", "'datasets.tulips.inbalance'. Did you mean 'imbalance"),
        ('source = "roses"', "", r"\[datasets.roses\] needs a source"),
        ("random = {}", "randomm = {}", r"\[methods\] randomm: Unknown method .* 'random'"),
        ("random = {}", "random = 3", "methods.random: 3 given; write random = {}"),
        ("k = 20", "kk = 20", r"\[methods\] near: Method 'usl' has no parameter 'kk'"),
        ("c = 1.0", "cc = 1.0", r"\[learners\] logistic: Method 'logistic' has no parameter 'cc'"),
        ("k = 20", "k = 0", r"\[methods\] near: k: 0 given; it must be above 0"),
        (
            "k = 20",
            'preset = "own"',
            r"\[methods\] near: preset: 'own' is unknown; use one of",
        ),
        ("c = 1.0", "c = -1", r"\[learners\] logistic: c: -1 given; it must be above 0"),
        ('method = "usl"', 'method = "mine.py"', "mine.py does not exist"),
        ("poisson", "fixmatch", r"\[learners\] fixmatch: Unknown method"),
    ],
)
def test_a_wrong_plan_names_the_key_and_the_file(tmp_path, monkeypatch, old, new, message):
    monkeypatch.setenv("GARDEN", "/garden")
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UsageError, match=message) as error:
        read_plan(path)
    assert str(path) in str(error.value)


def test_a_variable_that_is_not_set(tmp_path, monkeypatch):
    monkeypatch.delenv("GARDEN", raising=False)
    with pytest.raises(UsageError, match=r"datasets.tulips.source names \$GARDEN, which is not"):
        read_plan(written(tmp_path, GOOD))


@pytest.mark.parametrize("table", ["datasets", "methods", "learners"])
def test_an_empty_table(tmp_path, table):
    text = "budgets = [3]\n" + "".join(
        f"[{name}]\n{'' if name == table else content}\n"
        for name, content in {
            "datasets": 'roses = { source = "roses" }',
            "methods": "random = {}",
            "learners": "logistic = {}",
        }.items()
    )
    with pytest.raises(UsageError, match=rf"\[{table}\] is missing or empty"):
        read_plan(written(tmp_path, text))


def test_files_that_are_no_plans(tmp_path):
    with pytest.raises(DataError, match="no such plan"):
        read_plan(tmp_path / "none.toml")
    with pytest.raises(DataError, match=r"plan.toml is not valid TOML: .*line 1"):
        read_plan(written(tmp_path, "seeds = = 3"))
    with pytest.raises(DataError, match="is not a plan"):
        read_plan(tmp_path)
    with pytest.raises(UsageError, match=r"No built-in plan 'smok'; .* Did you mean 'smoke'"):
        read_plan("builtin:smok")


def test_an_oracle_needs_no_labels_in_the_plan(tmp_path):
    text = 'budgets = [3]\n[datasets]\na = { source = "a" }\n[methods]\nstratified = {}\n'
    plan = read_plan(written(tmp_path, text + "[learners]\nlogistic = {}\n"))
    assert plan.reference == "stratified"
