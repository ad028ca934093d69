"""The models of a run: one is active, others are kept under their names and come back whole."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from older_runs import POINTS, older_run

import usl
from usl.core.errors import DataError, UsageError
from usl.run.folder import Run
from usl.run.models import COPIES, FILES, TABLE, activate_model, keep_model


@pytest.fixture
def run(tmp_path):
    return older_run(tmp_path, "trained")


def top(run):
    return run.models()[0].path


def content(folder):
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}


def test_a_kept_model_outlives_a_training_and_comes_back(run):
    usl.evaluate(run, source=POINTS)
    first, record = content(run.path), run.info["training"]
    labels = usl.predict(run, POINTS).probabilities
    run = keep_model(run, "first")
    assert content(run.path / "models" / "first") == content(top(run)) == first
    copies = {name: first[name] for name in COPIES if name in first}
    assert content(run.path) == copies, "what people open, no more"
    assert [(one.name, one.active) for one in run.models()] == [("first", True)]
    run = usl.train(run, method="nearest_mean", source=POINTS)
    assert content(top(run)).keys() < first.keys()
    assert content(run.path) == {TABLE: content(top(run))[TABLE]}
    assert [(one.name, one.active) for one in run.models()] == [("", True), ("first", False)]
    kept = run.models()[1]
    assert kept.path == run.path / "models" / "first"
    assert kept.info == {**record, "name": "first"}
    run = keep_model(run, "second")
    run = activate_model(run, "first")
    assert content(top(run)) == first
    assert content(run.path) == copies
    expected = {**record, "name": "first", "folder": "models/first"}
    assert Run.open(run.path).info["training"] == expected
    assert [(one.name, one.active) for one in run.models()] == [("first", True), ("second", False)]
    np.testing.assert_array_equal(usl.predict(run, POINTS).probabilities, labels)
    run = activate_model(run, "second")
    assert "evaluation.json" not in content(run.path), "the figures were of the other model"
    assert run.info["training"]["method"] == "nearest_mean"


def test_keeping_again_replaces_only_its_own(run):
    run = keep_model(run, "one")
    usl.evaluate(run, source=POINTS)
    run = keep_model(run, "one")
    assert "evaluation.json" in content(run.path / "models" / "one")
    run = usl.train(run, source=POINTS)
    with pytest.raises(UsageError, match=r"exists\. Take another name"):
        keep_model(run, "one")
    places = sorted(path.name for path in (run.path / "models").iterdir())
    assert places == [top(run).name, "one"]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", ".hidden", "C:", "con", "NUL", "com1", "x" * 65, "é", "a."],
)
def test_a_name_that_no_folder_can_have_everywhere(run, name):
    with pytest.raises(UsageError, match="cannot be the name of a model"):
        keep_model(run, name)
    assert not (run.path / "models").exists()


def test_the_active_model_is_not_lost(run):
    keep_model(run, "first")
    run = usl.train(Run.open(run.path), method="nearest_mean", source=POINTS)
    before = content(top(run))
    with pytest.raises(UsageError, match=r"no name and would be lost\. Keep it"):
        activate_model(run, "first")
    with pytest.raises(UsageError, match="keeps no model 'fist'; those it keeps: first"):
        activate_model(run, "fist")
    assert content(top(run)) == before


def test_without_a_model_there_is_none_to_keep(tmp_path):
    run = older_run(tmp_path, "selected")
    with pytest.raises(DataError, match="Train it first: usl train"):
        keep_model(run, "first")
    with pytest.raises(UsageError, match="those it keeps: none"):
        activate_model(run, "first")
    assert run.models() == []


@pytest.mark.parametrize("damage", [None, b"{", b"[1]"])
def test_a_damaged_record_is_named(run, damage):
    run = keep_model(run, "first")
    run = keep_model(usl.train(run, source=POINTS), "second")
    record = run.path / "models" / "first" / "model.json"
    record.unlink() if damage is None else record.write_bytes(damage)
    for act in (run.models, lambda: activate_model(run, "first")):
        with pytest.raises(DataError, match=r"first.model\.json"):
            act()
    shutil.rmtree(run.path / "models" / "first")
    assert [one.name for one in run.models()] == ["second"]
