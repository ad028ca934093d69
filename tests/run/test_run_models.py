"""The models of a run: one is active, others are kept under their names and come back whole."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest
from older_runs import POINTS, older_run

import usl
from usl.core.errors import DataError, UsageError, UslWarning
from usl.run.folder import Run
from usl.run.model_changes import activate_model, settle_models
from usl.run.models import COPIES, FILES, TABLE, names_of


@pytest.fixture
def run(tmp_path):
    return older_run(tmp_path, "trained")


def top(run):
    return run.models()[0].path


def content(folder):
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}


def known(run):
    return [(one.name, one.active) for one in run.models()]


def test_a_model_outlives_another_training_and_comes_back(run):
    usl.evaluate(run, source=POINTS)
    first, record = content(run.path), run.info["training"]
    method, labels = record["method"], usl.predict(run, POINTS).probabilities
    assert known(run) == [(method, True)], "as its method, in a run of an older version"
    run = usl.train(run, method="nearest_mean", source=POINTS, use=True)
    assert known(run) == [("nearest_mean", True), (method, False)]
    assert content(run.path / "models" / method) == first
    assert content(run.path) == {TABLE: content(top(run))[TABLE]}, "what people open, no more"
    assert run.models()[1].info == {**record, "name": method}
    run = activate_model(run, method)
    assert content(top(run)) == first
    assert content(run.path) == {name: first[name] for name in COPIES if name in first}
    expected = {**record, "name": method, "folder": f"models/{method}"}
    assert Run.open(run.path).info["training"] == expected
    assert known(run) == [(method, True), ("nearest_mean", False)]
    np.testing.assert_array_equal(usl.predict(run, POINTS).probabilities, labels)
    run = activate_model(run, "nearest_mean")
    assert "evaluation.json" not in content(run.path), "the figures were of the other model"
    assert run.info["training"]["method"] == "nearest_mean"
    assert activate_model(run, "nearest_mean").info == run.info


def test_another_method_is_kept_beside_the_active_one(run):
    before, method = content(run.path), run.info["training"]["method"]
    with pytest.warns(
        UslWarning, match=rf"'nearest_mean' is kept in .*'{method}' stays the active"
    ):
        run = usl.train(run, method="nearest_mean", source=POINTS)
    assert known(run) == [(method, True), ("nearest_mean", False)]
    assert content(run.path) == before
    kept = run.models()[1]
    assert kept.path == run.path / "models" / "nearest_mean"
    assert sum(kept.info["predicted"].values()) == 60
    usl.evaluate(run, source=POINTS)
    assert not (kept.path / "evaluation.json").exists(), "every verb goes by the active one"


def test_the_same_settings_replace_their_own_model_active_or_not(run):
    method = run.info["training"]["method"]
    run = usl.train(run, method=method, source=POINTS)
    assert known(run) == [(method, True)], "that of the older version, too"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        usl.train(run, method="nearest_mean", source=POINTS)
        text = (run.path / "split.csv").read_text()
        labelled = text.replace(",train,unlabeled,,1,", ",train,labeled,ant,1,human", 1)
        assert labelled != text
        (run.path / "split.csv").write_text(labelled)
        run = usl.train(Run.open(run.path), method="nearest_mean", source=POINTS)
    assert known(run) == [(method, True), ("nearest_mean", False)]
    assert run.models()[1].info["labels"] == run.info["training"]["labels"] + 1
    run = usl.train(run, method=method, source=POINTS)
    assert known(run) == [(method, True), ("nearest_mean", False)]
    run = activate_model(run, "nearest_mean")
    run = usl.train(run, method="nearest_mean", source=POINTS)
    assert known(run) == [("nearest_mean", True), (method, False)]
    assert not (run.path / "models" / "nearest_mean").exists(), "the former one is gone"


@pytest.mark.parametrize("other", [{"seed": 3}, {"c": 0.5}])
def test_other_settings_of_a_method_make_another_model(run, other):
    run = usl.train(run, method="logistic", source=POINTS, use=True)
    with pytest.warns(UslWarning, match="'logistic-2' is kept"):
        run = usl.train(run, method="logistic", source=POINTS, **other)
    with pytest.warns(UslWarning, match="'logistic-2' is kept"):
        run = usl.train(run, method="logistic", source=POINTS, **other)
    assert known(run)[0] == ("logistic", True)
    assert sorted(known(run)[1:]) == sorted([("label_spreading", False), ("logistic-2", False)])


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("fixmatch", ["fixmatch", "fixmatch-2"]),
        ("./my own.py", ["my-own", "my-own-2"]),
        ("/a/b/con.py", ["con-model", "con-model-2"]),
        ("é.py", ["model", "model-2"]),
        ("x" * 90, ["x" * 56, "x" * 56 + "-2"]),
    ],
)
def test_names_are_folders_on_every_system(method, names):
    made = names_of(method)
    assert [next(made), next(made)] == names


def test_an_unknown_name_is_refused_and_nothing_changes(run):
    run = usl.train(run, method="nearest_mean", source=POINTS, use=True)
    before = content(top(run)), run.info
    with pytest.raises(UsageError, match=r"no model 'nearest'\. Did you mean 'nearest_mean'\?"):
        activate_model(run, "nearest")
    assert (content(top(run)), Run.open(run.path).info) == before


def test_without_a_model_there_is_none_to_choose(tmp_path):
    run = older_run(tmp_path, "selected")
    with pytest.raises(UsageError, match="none; train it first"):
        activate_model(run, "first")
    assert run.models() == []


@pytest.mark.parametrize("name", ["../..", "a/b", ".hidden", "x" * 65, "con/../.."])
def test_a_name_that_leads_elsewhere_is_none(run, name, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    run = run.update(training={**run.info["training"], "name": name})
    run = usl.train(run, method="nearest_mean", source=POINTS, use=True)
    assert known(run) == [("nearest_mean", True), ("label_spreading", False)]
    assert (tmp_path / "other" / "file").read_text() == "mine"


def test_an_active_model_that_is_gone_makes_way(run):
    run = usl.train(run, method="logistic", source=POINTS, use=True)
    shutil.rmtree(top(run))
    run = usl.train(Run.open(run.path), method="nearest_mean", source=POINTS)
    assert known(run)[0] == ("nearest_mean", True)
    usl.predict(run, POINTS)


@pytest.mark.parametrize("damage", [None, b"{", b"[1]"])
def test_a_damaged_record_is_named(run, damage):
    run = usl.train(run, method="nearest_mean", source=POINTS, use=True)
    record = run.path / "models" / "label_spreading" / "model.json"
    record.unlink() if damage is None else record.write_bytes(damage)
    for act in (run.models, lambda: activate_model(run, "label_spreading")):
        with pytest.raises(DataError, match=r"label_spreading.model\.json"):
            act()
    run = usl.train(run, method="nearest_mean", source=POINTS)
    shutil.rmtree(run.path / "models" / "label_spreading")
    assert known(run) == [("nearest_mean", True)]


def test_a_kept_model_that_was_moved_aside_is_put_back(run):
    run = usl.train(run, method="nearest_mean", source=POINTS, use=True)
    home = run.path / "models"
    (home / "label_spreading").rename(home / ".label_spreading.0123456789ab.old")
    settle_models(run.path)
    assert known(run) == [("nearest_mean", True), ("label_spreading", False)]
