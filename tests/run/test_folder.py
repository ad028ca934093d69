from __future__ import annotations

import json

import numpy as np
import pytest

from usl.core.errors import DataError, UsageError
from usl.run.folder import Run, check_free, new_run
from usl.run.split import Split


def make(path, label=None, **options):
    with new_run(path, **options) as folder:
        (folder / "run.json").write_text(json.dumps({"format": 1}))
        split = Split.start(["a", "b"], ["train", "train"], picks=[1])
        if label:
            split = split.with_labels([0], [label])
        split.write(folder)


def test_a_run_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_run(tmp_path / "run") as folder:  # noqa: PT012
        (folder / "run.json").write_text("{}")
        assert not (tmp_path / "run").exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_replaced_only_when_asked(tmp_path):
    make(tmp_path / "run")
    with pytest.raises(UsageError, match="--overwrite"):
        make(tmp_path / "run")
    make(tmp_path / "run", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_labels_of_a_person_survive_overwriting(tmp_path):
    make(tmp_path / "run", label="cat")
    make(tmp_path / "run", label="dog", overwrite=True)
    make(tmp_path / "run", overwrite=True)
    kept = [Split.read(tmp_path / f"run.labeled-{i}").labels[0] for i in (1, 2)]
    assert kept == ["cat", "dog"]
    assert Split.read(tmp_path / "run").labels[0] is None


def test_a_run_that_cannot_be_read_is_not_thrown_away(tmp_path):
    make(tmp_path / "run")
    (tmp_path / "run" / "split.csv").write_text("nonsense")
    make(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run.labeled-1" / "split.csv").read_text() == "nonsense"


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="not a run folder"):
            make(tmp_path / "photos", overwrite=overwrite)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UsageError, match="not a run folder"):
        check_free(tmp_path / "file", overwrite=True)


def test_an_empty_folder_will_do(tmp_path):
    (tmp_path / "run").mkdir()
    make(tmp_path / "run")
    assert (tmp_path / "run" / "split.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no run.json"),
        ("{", "not valid JSON"),
        ("[]", "not the record of a run"),
        ('{"format": 99}', "newer version"),
    ],
)
def test_what_is_no_run(tmp_path, content, message):
    folder = tmp_path / "run"
    folder.mkdir()
    if content is not None:
        (folder / "run.json").write_text(content)
    with pytest.raises(DataError, match=message):
        Run.open(folder)


def test_a_missing_run_says_how_to_make_one(tmp_path):
    with pytest.raises(DataError, match="usl select SOURCE"):
        Run.open(tmp_path / "none")


def test_update_keeps_the_other_sections(tmp_path):
    make(tmp_path / "run")
    run = Run.open(tmp_path / "run").update(training={"n": int(np.int64(3))})
    assert Run.open(tmp_path / "run").info == run.info == {"format": 1, "training": {"n": 3}}
