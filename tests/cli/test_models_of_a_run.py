"""Several models of one run on the command line, and command lines with something left out."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

from support import clumps
from usl.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A run in a folder whose name has to be quoted, labelled by the direction of each point."""
    monkeypatch.chdir(tmp_path)
    features = clumps(3, 8, 0.3, n=90)
    labels = np.array(["a class", "b", "c"])[features[:, :3].argmax(axis=1)]
    np.savez(tmp_path / "points.npz", features=features, labels=labels)
    command = [
        "select",
        "points.npz",
        "--budget",
        "2",
        "--out",
        "it's a run",
        "--method",
        "coreset",
    ]
    known = [f"train/{row:05d},{label}" for row, label in enumerate(labels[:12].tolist())]
    (tmp_path / "known.csv").write_text("image_id,label\n" + "\n".join(known) + "\n")
    assert main([*command, "--labels", "known.csv"]) == 0
    capsys.readouterr()
    return "it's a run"


def active(run):
    with open(f"{run}/run.json") as handle:
        return json.load(handle)["training"]["name"]


def test_another_method_leaves_the_active_model_until_it_is_chosen(run, capsys):
    assert main(["train", run]) == 0
    out = capsys.readouterr().out
    assert "Trained accord on 12 labels of 3 classes and 90 images." in out
    rows = [line.rsplit(maxsplit=1) for line in out.splitlines() if line.startswith("  ")]
    assert rows[0] == ["  label", "images"]
    assert sum(int(count) for _, count in rows[1:]) == 90
    assert f"Next: usl report {shlex.quote(run)} " in out
    assert main(["train", run, "--method", "nearest_mean"]) == 0
    out = capsys.readouterr().out
    assert "Kept as it's a run/models/nearest_mean; the active model stays accord" in out
    assert f"Next: usl train {shlex.quote(run)} --use nearest_mean" in out
    assert active(run) == "accord"
    assert main(["train", run, "--use", "nearest_mean"]) == 0
    out = capsys.readouterr().out
    assert "Active now: nearest_mean, 12 labels of 3 classes." in out
    assert active(run) == "nearest_mean"
    assert main(["evaluate", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "nearest_mean"


def test_it_may_be_trained_and_chosen_at_once(run, capsys):
    assert main(["train", run]) == 0
    assert main(["train", run, "--method", "logistic", "--use", "logistic", "--json"]) == 0
    capsys.readouterr()
    assert active(run) == "logistic"
    assert main(["train", run, "--method", "logistic", "--c", "0.1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["active"]) == ("logistic-2", "logistic")
    assert main(["train", run, "--method", "tim", "--use", "logistic"]) == 2
    assert "this training makes the model 'tim', not 'logistic'" in capsys.readouterr().err


def test_what_cannot_be_chosen_is_one_line(run, capsys):
    assert main(["train", run, "--use", "accord"]) == 2
    assert "none; train it first" in capsys.readouterr().err
    assert main(["train", run]) == 0
    assert main(["train", run, "--use", "acord"]) == 2
    assert "Did you mean 'accord'?" in capsys.readouterr().err
    assert main(["train", run, "--use", "../.."]) == 2
    assert main(["train", "nowhere", "--use", "x"]) == 1


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["select", "my photos"], "usl select 'my photos' --budget 40 --out run"),
        (["select", "x", "--out", "r"], "usl select x --out r --budget 40"),
        (["select", "x", "--budget"], "usl select x --budget 40 --out run"),
        (["select"], "usl select photos --budget 40 --out run"),
        (["select", "x", "--budget", "3"], "usl select x --budget 3 --out run"),
        (["predict", "run"], "usl predict run photos --out predictions.csv"),
        (["import", "run"], "usl import run labels.csv"),
        (["train"], "usl train run"),
    ],
)
def test_what_is_missing_is_said_with_an_example(given, shown, capsys):
    assert main(given) == 2
    assert capsys.readouterr().err.strip().endswith(f"For example: {shown}")


def test_the_budget_is_explained(capsys):
    assert main(["select", "photos", "--out", "run"]) == 2
    assert "--budget is how many images you are willing to label." in capsys.readouterr().err
