"""Odd values in the files of other tools: none is taken for a label or an annotator's name."""

from __future__ import annotations

import json
import zipfile

import pytest

from exchange_runs import make_run
from usl.core.errors import DataError
from usl.labeling.exchange.import_labels import import_file


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path, ["a.png", "b.png"], picks=2)


def task(choices):
    result = {"from_name": "label", "type": "choices", "value": {"choices": choices}}
    return {"data": {"image_id": "a.png"}, "annotations": [{"result": [result]}]}


@pytest.mark.parametrize(
    "choices",
    [[None], [True], [False], [{"a": 1}], None, True, {}, [], [[]], [[None]], ["\ud800"], ["a\0b"]],
)
def test_choices_that_are_no_text_are_no_label(run, tmp_path, choices):
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps([task(choices)]))
    done = import_file(run, file, format="label_studio")
    assert done.added == 0
    assert sum(done.skipped.values()) == 1
    assert set(run.split().labels.tolist()) == {None}


@pytest.mark.parametrize("held", [5, "x", {"a": 1}, None, [5], [None], [[]]])
def test_annotations_that_are_none(run, tmp_path, held):
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps([{"data": {"image_id": "a.png"}, "annotations": held}]))
    assert import_file(run, file, format="label_studio").added == 0


@pytest.mark.parametrize(
    "content",
    [
        {"classes": {"a": 1}, "labels": {"a": 0}},
        {"classes": [["x"]], "labels": {"a": 0}},
        {"classes": ["cat"], "labels": {"a": True}},
        {"classes": ["cat"], "labels": {"a": 10**30}},
        {"classes": "cat", "labels": {"a": 0}},
    ],
)
def test_odd_classes_of_fiftyone_are_refused(run, tmp_path, content):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"labels\.json"):
        import_file(run, file, format="fiftyone")


@pytest.mark.parametrize("seconds", ["1" * 5000, "1e999", "-1", "nan", True])
def test_odd_durations_are_none(run, tmp_path, seconds):
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps({"image_id": "a.png", "label": "cat", "seconds": seconds}))
    assert import_file(run, file).added == 1


def test_a_label_with_a_nul_is_none(run, tmp_path):
    file = tmp_path / "x.jsonl"
    rows = [{"image_id": "a.png", "label": "c\0at"}, {"image_id": "b.png", "label": "dog"}]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert import_file(run, file).added == 1


def test_a_list_of_images_that_unpacks_to_far_more_is_refused(run, tmp_path):
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("annotations.xml", b"<annotations>" + b'<image name="a"/>\n' * 2_000_000)
    with pytest.raises(DataError, match=r"x\.zip: .* made to fill the memory"):
        import_file(run, file, format="cvat")


@pytest.mark.parametrize("place", range(-120, -1, 7))
def test_a_damaged_archive_is_named(run, tmp_path, place):
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", b'<annotations><image name="a.png"/></annotations>')
    content = bytearray(file.read_bytes())
    content[place] ^= 0xFF
    file.write_bytes(content)
    try:
        import_file(run, file)  # a flipped time or flag does no harm
    except DataError as error:
        said = str(error)
    else:
        said = str(file)
    assert "x.zip" in said
