"""Swept labels leave a run and come back as what they are."""

from __future__ import annotations

import pytest

from exchange_runs import make_run
from usl.labeling.answers.store import Store
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import import_file
from usl.run.split_csv import rewrite

IDS = ["a.jpg", "b.jpg", "c.jpg"]


def swept_run(folder):
    """A run with a label of each kind: ``a`` is a person's, ``b`` swept."""
    run = make_run(folder, IDS, picks=1, labels={"a.jpg": "cat"})
    rewrite(run.split().with_labels([1], ["dog"], source="swept"))
    return run


def told(run):
    split = run.split()
    return dict(zip(split.ids.tolist(), zip(split.labels, split.sources, strict=True), strict=True))


@pytest.mark.parametrize("tool", ["csv", "jsonl", "parquet", "huggingface", "cvat", "coco"])
def test_swept_labels_stay_swept_on_the_way_to_another_run(tmp_path, tool):
    run, other = swept_run(tmp_path / "one"), make_run(tmp_path / "other", IDS)
    out = export_run(run, tool, what="labeled").out
    before = (run.path / "split.csv").read_bytes()
    assert import_file(run, out).unchanged == 2
    assert (run.path / "split.csv").read_bytes() == before
    import_file(other, out)
    assert told(other) == told(run)


def test_with_a_store_they_stay_swept_too(tmp_path):
    run, other = swept_run(tmp_path / "one"), make_run(tmp_path / "other", IDS)
    out = export_run(run, "csv", what="labeled").out
    for one in (run, other):
        Store.open(one.path).close()
        import_file(one, out)
        import_file(one, out)
        found = told(one)
        assert (found["a.jpg"], found["b.jpg"]) == (("cat", "human"), ("dog", "swept"))


@pytest.mark.parametrize("with_store", [False, True])
def test_a_label_of_another_tool_overrules_a_swept_one_and_no_other(tmp_path, with_store):
    run = swept_run(tmp_path)
    if with_store:
        Store.open(run.path).close()
    file = tmp_path / "labels.csv"
    file.write_text("image_id,label,source\na.jpg,dog,swept\nb.jpg,cat,\n")
    done = import_file(run, file)
    assert (done.changed, len(done.conflicts)) == (1, 1)
    assert told(run)["a.jpg"] == ("cat", "human")
    assert told(run)["b.jpg"] == ("cat", "human")


def test_a_swept_label_that_was_corrected_in_the_table_is_a_persons(tmp_path):
    run = swept_run(tmp_path)
    out = export_run(run, "csv", what="labeled").out
    out.write_text(out.read_text().replace("b.jpg,dog", "b.jpg,bird"))
    import_file(run, out)
    assert told(run)["b.jpg"] == ("bird", "human")


def test_tools_get_swept_labels_as_answers(tmp_path):
    run = swept_run(tmp_path)
    tasks = (export_run(run, "label_studio", what="labeled").out / "tasks.json").read_text()
    assert tasks.count('"annotations"') == 2
    xml = (export_run(run, "cvat", what="labeled").out / "annotations.xml").read_text()
    assert '<tag label="dog" source="semi-auto">' in xml
