"""FiftyOne's image classification layout, read as its importer reads it."""

from __future__ import annotations

import json
import os

import pytest

from exchange_runs import STRANGE, builtin_run, files_in, labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file


def load(folder):
    """The importer: file names without ending are the keys; null and numbers of classes."""
    content = json.loads((folder / "labels.json").read_text("utf-8"))
    files = {}
    for name in os.listdir(folder / "data"):
        assert files.setdefault(os.path.splitext(name)[0], name) == name, "two files, one key"
    assert files.keys() == content["labels"].keys()
    classes = content["classes"]
    return {
        files[key]: None if target is None else classes[target]
        for key, target in content["labels"].items()
    }


def test_layout_and_back(tmp_path):
    labels = {word: f"class {i % 3}/" for i, word in enumerate(STRANGE) if i > 2}
    run = make_run(tmp_path, STRANGE, labels=labels)
    done = export_run(run, "fiftyone", what="all")
    found = load(done.out)
    assert len(found) == len(STRANGE)
    assert sorted(filter(None, found.values())) == sorted(labels.values())
    assert guess_format(done.out) == guess_format(done.out / "labels.json") == "fiftyone"
    (tmp_path / "fresh").mkdir()
    fresh = make_run(tmp_path / "fresh", STRANGE)
    assert import_file(fresh, done.out).skipped == {"no label": 3}
    assert labels_of(fresh) == labels


def test_links(tmp_path):
    run = make_run(tmp_path, ["a.png", "b/a.png"])
    done = export_run(run, "fiftyone", link=True)
    assert files_in(done.out / "data") == ["a.png", "b_a.png"]
    link = done.out / "data" / "b_a.png"
    assert link.is_symlink()
    assert os.path.samefile(link, tmp_path / "photos" / "1.png")


def test_pictures_that_are_no_files(tmp_path):
    found = load(export_run(builtin_run(tmp_path), "fiftyone").out)
    assert found == dict.fromkeys(["train_00004.png", "train_00000.png", "train_00002.png"])


def test_what_fiftyone_writes(tmp_path):
    run = make_run(tmp_path, [f"{letter}.jpg" for letter in "abcdefgh"])
    (tmp_path / "labels.json").write_text(
        json.dumps(
            {
                "classes": ["cat", "dog"],
                "labels": {
                    "a": 1,
                    "b": None,
                    "c": "bird",
                    "d": {"label": 0, "confidence": 0.5},
                    "e": {"label": "fish"},
                    "f.jpg": [0],
                    "g": [0, 1],
                    "h": [],
                },
            }
        )
    )
    found = import_file(run, tmp_path)
    assert found.skipped == {"no label": 2, "a model's label": 1, "2 labels": 1}
    assert labels_of(run) == {"a.jpg": "dog", "c.jpg": "bird", "e.jpg": "fish", "f.jpg": "cat"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", r"expected \{"),
        ('{"labels": {"a": 2}, "classes": ["x"]}', "'a': class 2 of 1"),
        ('{"labels": {"a": -1}, "classes": ["x"]}', "'a': class -1 of 1"),
        ('{"labels": {"a": {"label": {}}}}', "the label should be text"),
    ],
)
def test_broken_files(tmp_path, content, message):
    run = make_run(tmp_path, ["a"])
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(DataError, match=message):
        import_file(run, tmp_path / "labels.json", format="fiftyone")
