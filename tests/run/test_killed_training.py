"""A training that is killed at any moment leaves the old model whole, or the new one."""

from __future__ import annotations

import errno
import os
import shutil
import stat

import numpy as np
import pytest
from older_runs import POINTS, older_run

import usl
from killed import all_names, kill_everywhere, quick_folder
from usl.core.errors import DataError
from usl.core.files import read_json, write_json
from usl.run.folder import Run
from usl.run.model_changes import activate_model
from usl.run.predictions import read_predictions

pytestmark = pytest.mark.filterwarnings("ignore:The model .* is kept")


def state(folder):
    """All that tells the model of a run: what it predicts, and what its files say."""
    run = Run.open(folder)
    training = run.info.get("training")
    if training is None:
        assert read_predictions(folder) is None
        return None
    found = usl.predict(run, POINTS)
    said = read_predictions(folder)
    assert found.class_names == training["classes"]
    table = (run.models()[0].path / "predictions.csv").read_bytes()
    assert (folder / "predictions.csv").read_bytes() == table
    known = (folder / "evaluation.json").is_file()
    return {
        "method": training["method"],
        "probabilities": found.probabilities.tobytes(),
        "labels": list(said.by_id().items()),
        "figures": read_json(folder / "evaluation.json") if known else None,
    }


def names(folder):
    """The names in a run, those that are drawn at random left out."""
    found = all_names(folder)
    random = {name.split("/")[1] for name in found if name.startswith("models/.")}
    assert len(random) <= 1, "the folder of one model alone"
    for word in random:
        found = [name.replace(word, "MODEL") for name in found]
    return found


@pytest.fixture
def quick(tmp_path):
    with quick_folder(tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("start", "first"), [("selected", 1), ("older", 2), ("trained", 3), ("same", 4), ("beside", 2)]
)
def test_the_old_model_or_the_new_one(quick, monkeypatch, start, first):
    older = older_run(quick / "origin", "selected" if start == "selected" else "trained")
    if start == "selected":
        path = older.path / "split.csv"
        text = path.read_text().splitlines()
        for row in range(1, 7):
            text[row] = text[row].replace("requested,", f"requested,{'ab'[row % 2]}", 1)
        path.write_text("\n".join(text) + "\n")
    if start != "selected":
        usl.evaluate(older, source=POINTS)
    if start in ("trained", "same"):
        older = usl.train(older, method="label_spreading", source=POINTS)
        usl.evaluate(older, source=POINTS)
    if start == "same":
        usl.train(older, method="nearest_mean", source=POINTS, use=True)
        path = older.path / "split.csv"  # a label more
        text = path.read_text()
        path.write_text(text.replace(",train,unlabeled,,1,", ",train,labeled,ant,1,human", 1))
    if start == "beside":
        usl.train(older, method="nearest_mean", source=POINTS)
    before = state(older.path)

    def copy(number):
        return shutil.copytree(older.path, quick / str(number), copy_function=shutil.copy2)

    def train(folder):
        return usl.train(folder, method="nearest_mean", source=POINTS, use=start != "beside")

    def check(number):
        folder = quick / str(number)
        now = state(folder)
        assert now in (before, after)
        train(folder)
        assert state(folder) == after
        assert names(folder) == expected
        shutil.rmtree(folder)

    whole = train(copy("whole"))
    after, expected = state(whole.path), names(whole.path)
    assert (before == after) == (start == "beside")
    assert kill_everywhere(monkeypatch, copy, train, check, first, every=4) > 15


@pytest.mark.parametrize("act", ["activate", "back", "evaluate"])
def test_other_changes_of_a_model(quick, monkeypatch, act):
    older = usl.train(
        older_run(quick / "origin", "trained"), method="label_spreading", source=POINTS
    )
    first = older.models()[0].name
    if act != "evaluate":
        usl.train(older, method="nearest_mean", source=POINTS, use=True)
    if act == "back":
        activate_model(older, first)
    does = {
        "activate": lambda run: activate_model(run, first),
        "back": lambda run: activate_model(run, "nearest_mean"),
        "evaluate": lambda run: usl.evaluate(run, source=POINTS),
    }[act]
    before = state(older.path)

    def copy(number):
        return Run.open(shutil.copytree(older.path, quick / str(number)))

    def check(number):
        folder = quick / str(number)
        assert state(folder) in (before, after)
        does(Run.open(folder))
        assert state(folder) == after
        assert names(folder) == expected
        shutil.rmtree(folder)

    whole = copy("whole")
    does(whole)
    after, expected = state(whole.path), names(whole.path)
    assert kill_everywhere(monkeypatch, copy, does, check, every=2) > 3


def test_a_full_disk_leaves_the_old_model_or_the_new_one(quick, monkeypatch):
    """The disk is full from the n-th flush on; what is there can be removed."""
    older = usl.train(
        older_run(quick / "origin", "trained"), method="label_spreading", source=POINTS
    )
    before, after = state(older.path), None
    real = os.fsync
    for number in range(100):
        folder = shutil.copytree(older.path, quick / str(number), copy_function=shutil.copy2)
        left = [number]

        def full(descriptor, left=left):
            left[0] -= 1
            if left[0] < 0 and stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                usl.train(folder, method="nearest_mean", source=POINTS, use=True)
            except DataError as error:
                assert "disk is full" in str(error)  # noqa: PT017
            else:
                break
        now = state(folder)
        if now != before:
            after = after or now
            assert now == after
        usl.train(folder, method="nearest_mean", source=POINTS, use=True)
        after = after or state(folder)
        assert state(folder) == after
        assert len(list((folder / "models").iterdir())) == 2
    assert number > 8


def test_a_table_that_a_person_changed_is_left_alone(tmp_path):
    run = usl.train(older_run(tmp_path, "trained"), method="label_spreading", source=POINTS)
    text = (run.path / "predictions.csv").read_text()
    (run.path / "predictions.csv").write_text(text.replace("ant", "bee"))
    Run.open(run.path)
    assert (run.path / "predictions.csv").read_text() == text.replace("ant", "bee")
    usl.train(run.path, method="label_spreading", source=POINTS)
    assert (run.path / "predictions.csv").read_text() == text


@pytest.mark.parametrize("file", ["model.npz", "predictions.parquet", "evaluation.json"])
@pytest.mark.parametrize("method", ["nearest_mean", "label_spreading"])
def test_files_of_two_trainings_are_never_mixed(tmp_path, file, method):
    run = usl.train(older_run(tmp_path, "trained"), method="label_spreading", source=POINTS)
    usl.evaluate(run, source=POINTS)
    other = usl.train(
        older_run(tmp_path / "other", "trained"), method=method, seed=1, source=POINTS
    )
    usl.evaluate(other, source=POINTS)
    shutil.copy(other.models()[0].path / file, run.models()[0].path / file)
    with pytest.raises(DataError, match=rf"{file} is of another training .* Train again"):
        usl.predict(run, POINTS) if file == "model.npz" else usl.write_report(run, source=POINTS)


def test_class_names_of_an_older_version_are_compared(tmp_path):
    run = older_run(tmp_path, "trained")
    info = read_json(run.path / "run.json")
    info["training"]["classes"] = ["ant", "bee", "dog"]
    write_json(run.path / "run.json", info)
    for act in (usl.predict, lambda run, _: usl.evaluate(run, source=POINTS)):
        with pytest.raises(DataError, match=r"model\.npz is of another training"):
            act(Run.open(run.path), POINTS)
    with pytest.raises(DataError, match=r"predictions\.parquet is of another training"):
        usl.write_report(run, source=POINTS)


@pytest.mark.parametrize("place", ["../other", "models/../..", "/etc", "models/", 3, "models/.x"])
def test_a_model_lies_in_the_run(tmp_path, place):
    run = usl.train(older_run(tmp_path, "trained"), method="label_spreading", source=POINTS)
    run.update(training={**run.info["training"], "folder": place})
    with pytest.raises(DataError, match=r"run\.json.*is not a place of a model"):
        usl.predict(run.path, POINTS)


def test_a_training_that_fails_leaves_the_model_and_no_rest(tmp_path):
    run = usl.train(older_run(tmp_path, "trained"), method="label_spreading", source=POINTS)
    before, there = state(run.path), all_names(run.path)
    with pytest.raises(ValueError, match="must"):
        usl.train(run, method="logistic", source=POINTS, c=np.nan)
    assert state(run.path) == before
    assert all_names(run.path) == there
