"""Class folders: copies or links, moved about with a file manager."""

from __future__ import annotations

import os
import shutil

import pytest

from exchange_runs import STRANGE, builtin_run, files_in, labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file

LABELS = ["cat", "T-shirt/top", "unlabeled", "..", "Cat", "con", "50%", ".x", "日本"]


@pytest.mark.parametrize("link", [False, True])
def test_there_and_back(tmp_path, link):
    labels = {word: LABELS[i % 9] for i, word in enumerate(STRANGE) if i > 1}
    run = make_run(tmp_path, STRANGE, labels=labels)
    before = files_in(tmp_path)
    done = export_run(run, "folders", what="all", link=link, out=tmp_path / "out")
    assert [name for name in files_in(tmp_path) if not name.startswith("out/")] == before
    assert len(files_in(done.out)) == len(STRANGE)
    assert len(list((done.out / "unlabeled").iterdir())) == 2
    for path in done.out.rglob("*.png"):
        assert path.is_symlink() == link
    assert guess_format(done.out) == "folders"
    (tmp_path / "fresh").mkdir()
    fresh = make_run(tmp_path / "fresh", STRANGE)
    found = import_file(fresh, done.out)
    assert found.skipped == {"in unlabeled": 2}
    assert labels_of(fresh) == labels


def test_labelled_with_a_file_manager(tmp_path):
    run = make_run(tmp_path, ["a.jpg", "x/b.jpg", "c.jpg", "d.jpg"], labels={"d.jpg": "cat"})
    done = export_run(run, "folders")
    assert files_in(done.out) == ["unlabeled/a.png", "unlabeled/c.png", "unlabeled/x_b.png"]
    assert (done.out / "cat").is_dir()
    (done.out / "dog" / "brown").mkdir(parents=True)
    shutil.move(done.out / "unlabeled" / "a.png", done.out / "cat")
    shutil.move(done.out / "unlabeled" / "x_b.png", done.out / "dog" / "brown")
    (done.out / "dog" / ".DS_Store").write_bytes(b"")
    (done.out / "dog" / "notes.txt").write_bytes(b"")
    (done.out / "loose.png").write_bytes(b"")
    os.symlink(tmp_path / "photos", done.out / "linked")
    found = import_file(run, done.out)
    assert (found.format, found.added, found.unknown) == ("folders", 2, [])
    assert labels_of(run) == {"a.jpg": "cat", "x/b.jpg": "dog", "d.jpg": "cat"}


def test_a_models_labels_are_no_answers_where_they_lie(tmp_path):
    guesses = {"a.jpg": ("x", 0.9), "b.jpg": ("x", 0.8)}
    run = make_run(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], predictions=guesses)
    done = export_run(run, "folders", what="predicted")
    assert files_in(done.out) == ["unlabeled/c.png", "x/a.png", "x/b.png"]
    (done.out / "y").mkdir()
    shutil.move(done.out / "x" / "b.png", done.out / "y")
    found = import_file(run, done.out)
    assert found.skipped == {"the model's label, unchanged": 1, "in unlabeled": 1}
    assert labels_of(run) == {"b.jpg": "y"}


def test_pictures_that_are_no_files(tmp_path):
    done = export_run(builtin_run(tmp_path), "folders", link=True)
    assert files_in(done.out) == [f"unlabeled/train_0000{n}.png" for n in (0, 2, 4)]


def test_a_folder_without_classes(tmp_path):
    run = make_run(tmp_path, ["a"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no labels in a form that is known"):
        import_file(run, tmp_path / "empty")
    with pytest.raises(DataError, match="no class folders with images"):
        import_file(run, tmp_path / "empty", format="folders")
