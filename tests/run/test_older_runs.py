"""Run folders of version 0.1.0 go on working: one round, at most one model, no columns."""

from __future__ import annotations

import csv
import json

import pytest
from older_runs import NAMES, POINTS, older_run

import usl
from usl.core.errors import DataError
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import import_file

CLASSES = {"a": "ant", "b": "bee", "c": "cat"}


def rows_of(path):
    with open(path, newline="", encoding="utf-8-sig") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(params=NAMES)
def run(request, tmp_path):
    return older_run(tmp_path, request.param)


def label_all(run):
    """Label every requested image by an import, as its folder says."""
    asked = [row for row in rows_of(run.path / "split.csv") if not row["label"]]
    answers = run.path.parent / "answers.csv"
    lines = [f"{row['image_id']},{CLASSES[row['image_id'][0]]}\n" for row in asked[:8]]
    answers.write_text("image_id,label\n" + "".join(lines), encoding="utf-8")
    assert import_file(run, answers).added == len(lines)


def test_it_is_one_round_with_at_most_one_model(run):
    (only,) = run.rounds()
    assert (only.number, only.path, only.info) == (0, run.path, run.info["selection"])
    assert only.ids() == [row["image_id"] for row in rows_of(run.path / "selection.csv")]
    trained = "training" in run.info
    assert [(one.name, one.path, one.active) for one in run.models()] == (
        [(run.info["training"]["method"], run.path, True)] if trained else []
    )
    if trained:
        assert run.models()[0].info["classes"] == run.info["training"]["classes"]
    assert run.columns().ids == []
    assert run.columns().of(["a"]) == {}


def test_every_verb_still_works_on_it(run, tmp_path):
    label_all(run)
    before = rows_of(run.path / "split.csv")
    trained = usl.train(run, method="label_spreading", source=POINTS, use=True)
    assert len(rows_of(run.path / "predictions.csv")) == 60
    figures = usl.evaluate(trained, source=POINTS)
    assert figures["train"]["protocol"] == "transductive"
    found = usl.predict(trained, POINTS)
    assert len(found.labels) == 60
    page = usl.write_report(trained, source=POINTS)
    assert page.stat().st_size > 10_000
    done = export_run(trained, "jsonl", what="predicted", out=tmp_path / "out.jsonl")
    ranks = [json.loads(line).get("rank") for line in done.out.read_text().splitlines()]
    assert sorted(rank for rank in ranks if rank) == list(range(1, len(run.rounds()[0].ids()) + 1))
    after = {row["image_id"]: row for row in rows_of(run.path / "split.csv")}
    assert [row["image_id"] for row in before] == list(after)
    assert [row.get("note") for row in before] == [row.get("note") for row in after.values()]


@pytest.mark.parametrize("name", ["selection.parquet", "images.parquet", "predictions.parquet"])
def test_a_damaged_file_is_named(tmp_path, name):
    run = older_run(tmp_path, "trained")
    whole = (run.path / name).read_bytes()
    for content in (b"", b"PAR1", whole[: len(whole) // 2]):
        (run.path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} cannot be read"):
            usl.write_report(run, source=POINTS)


def test_a_damaged_model_is_named(tmp_path):
    run = older_run(tmp_path, "trained")
    (run.path / "model.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"model\.npz is not a model"):
        usl.predict(run, POINTS)
