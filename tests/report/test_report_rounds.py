"""Later rounds on the report, in evaluate and in exports."""

from __future__ import annotations

import csv
import json
import warnings

import pytest
from report_page import Page

import usl
from round_run import CLASSES, fill_in, make_run, truth
from usl.cli import main
from usl.core.errors import UslWarning
from usl.labeling.answers.audit import wilson
from usl.labeling.answers.entries import LABEL
from usl.labeling.answers.rounds import draw_audit
from usl.labeling.answers.store import Answer, Store
from usl.labeling.answers.sync import sync
from usl.report.report import write_report
from usl.run.before import Called, changes, read_before
from usl.run.folder import Run
from usl.run.predictions import read_predictions


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two rounds, the second half labelled with one label corrected, an audit and a measurement."""
    folder = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("USL_CACHE", str(folder / "cache"))
        warnings.simplefilter("ignore", UslWarning)
        made = make_run(folder)
        path = folder / "points.csv"  # now with answers, which only evaluate reads
        lines = path.read_text().splitlines()
        told = [f"{line},{truth(line.split(',')[0])}" for line in lines[1:]]
        path.write_text("\n".join([f"{lines[0]},label", *told]) + "\n")
        fill_in(made, label=lambda name: CLASSES[CLASSES.index(truth(name)) - 1])
        usl.next_round(made, 4, method="margin")
        fill_in(made)
        fill_in(made, made.rounds()[0].ids())  # all six were wrong
        asked = usl.next_round(made, 4, method="margin")
        fill_in(made, asked.ids[:2])
        made = usl.train(made)
        with Store.open(made.path) as store:
            drawn = draw_audit(made, store, 12)
            store.add([Answer(name, LABEL, truth(name), round=drawn.name) for name in drawn.images])
            sync(made, store)
        usl.evaluate(made)
        write_report(made)
    return Run.open(made.path)


def test_the_table_and_the_curve_tell_what_each_round_changed(run):
    page = Page.of(run.path / "report.html")
    text = page.text("rounds")
    before = [read_before(one.path) for one in run.rounds()[1:]]
    first = changes(before[0], before[1])
    assert first["changed"] > 0
    assert f"{first['changed']} of {first['predicted']}" in text
    assert "1 margin 4 of 4 6" in text
    assert "2 margin 2 of 4 10" in text
    assert "labels corrected" in text
    assert [one["now"] for one in first["relabeled"]] == [
        truth(one["image_id"]) for one in first["relabeled"]
    ]
    assert len(first["relabeled"]) == 6
    assert "Accuracy by the number of labels" in text
    assert "12 labels" in text
    with Store.open(run.path) as store:
        audited = store.rounds()[0].images
    said = read_predictions(run.path).by_id()
    right = sum(said[name][0] == truth(name) for name in audited)
    low, high = wilson(right, 12)
    assert f"95% interval is {100 * low:.1f}% to {100 * high:.1f}%" in text
    assert f"by audit {100 * right / 12:.1f}%" in text
    assert "no label yet" in text
    assert "between" in text, "the reasons of the last round"


def test_evaluate_measures_every_round_on_the_same_images(run):
    figures = json.loads((run.path / "evaluation.json").read_text())["rounds"]
    left = [name for name, by in zip(run.split().ids, run.split().sources, strict=True) if not by]
    for one, found in zip(run.rounds()[1:], figures, strict=True):
        said = read_before(one.path).machine
        assert found["round"] == one.number
        assert found["labels"] == one.info["labels"]
        assert found["n"] == len(left)
        assert found["accuracy"] == pytest.approx(
            sum(said[name] == truth(name) for name in left) / len(left)
        )
    assert figures[0]["accuracy"] < figures[1]["accuracy"], "corrected labels"


def test_ranks_of_an_export_go_on_counting(run):
    usl_export = run.path / "exports" / "requested.csv"
    assert main(["export", str(run.path)]) == 0
    rows = list(csv.DictReader(usl_export.open()))
    assert [row["image_id"] for row in rows] == run.rounds()[2].ids()[2:]
    assert [row["rank"] for row in rows] == ["13", "14"]


def test_changes_between_two_states():
    before = Called({"a": "ant", "b": "bee", "c": "cow"}, {"x": "ant", "y": "bee", "z": "bee"})
    now = Called({"a": "ant", "b": "cow", "y": "bee"}, {"x": "bee", "z": "cow", "c": "ant"})
    assert changes(before, now) == {
        "labels": 1,
        "removed": ["c"],
        "relabeled": [{"image_id": "b", "before": "bee", "now": "cow"}],
        "predicted": 2,
        "changed": 2,
        "gained": {"bee": 1, "cow": 1},
        "lost": {"ant": 1, "bee": 1},
    }
    assert set(CLASSES) >= {*now.machine.values()}
