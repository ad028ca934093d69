"""What a person has changed in a run folder is never thrown away."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from usl.core.errors import UsageError
from usl.labeling.exchange.export_images import export_run
from usl.run.by_hand import changed_by_hand
from usl.run.folder import Run, new_run
from usl.selection.start_run import start_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of ten pictures with three exports, as no person has touched it."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("made")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(10):
        pixels = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    settings = {"method": "kmeans", "model": "pixels", "pca": 4}
    run = start_run(folder / "photos", 4, folder / "run", **settings)
    for tool in ("folders", "csv", "jsonl"):
        export_run(run, tool)
    return run.path


@pytest.fixture
def run(made, tmp_path):
    # with times of change, by which an export knows whether it is as it was written
    return Path(shutil.copytree(made, tmp_path / "run", copy_function=shutil.copy2))


def sort_a_picture(run):
    folder = run / "exports" / "folders-requested"
    (folder / "cat").mkdir()
    picture = next((folder / "unlabeled").iterdir())
    picture.rename(folder / "cat" / picture.name)


def edit(name, old, new):
    def change(run):
        path = run / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


CHANGES = {
    "a picture sorted in an export": sort_a_picture,
    "a picture removed from an export": lambda run: next(
        (run / "exports" / "folders-requested" / "unlabeled").iterdir()
    ).unlink(),
    "a table filled in": edit("exports/requested.csv", "png,,", "png,cat,"),
    "a column in a table": edit("exports/requested.csv", "image_id,", "note,image_id,"),
    "a line filled in": edit("exports/requested.jsonl", '"label": null', '"label": "cat"'),
    "a folder in exports": lambda run: (run / "exports" / "mine").mkdir(),
    "a label in the split file": edit("split.csv", "requested,,", "requested,cat,"),
    "a state in the split file": edit("split.csv", "requested", "unlabeled"),
    "a weight": edit("split.csv", "requested,,1", "requested,,2"),
    "a column in the split file": edit("split.csv", "image_id,", "note,image_id,"),
    "a table of picks": edit("selection.csv", "1", "one"),
    "a note": lambda run: (run / "notes.txt").write_text("blurred ones are of May"),
    "answers": lambda run: (run / "labels.sqlite").write_bytes(b""),
    "nonsense": lambda run: (run / "split.csv").write_text("nonsense"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_it_is_kept_beside(run, what):
    CHANGES[what](run)
    wanted = {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert changed_by_hand(run)
    with new_run(run, overwrite=True) as folder:
        (folder / "run.json").write_text('{"format": 1}')
    kept = run.with_name("run.labeled-1")
    assert {p.relative_to(kept): p.read_bytes() for p in kept.rglob("*") if p.is_file()} == wanted


def test_what_can_be_made_again_is_not_kept(run):
    (run / ".DS_Store").write_bytes(b"")
    (run / "exports" / "folders-requested" / "Thumbs.db").write_bytes(b"")
    (run / "report.html").write_text("made by usl report")
    assert not changed_by_hand(run)
    with new_run(run, overwrite=True) as folder:
        (folder / "run.json").write_text('{"format": 1}')
    assert [path.name for path in run.parent.iterdir()] == ["run"]


# Two commands for one place


def make(folder, word):
    (folder / "run.json").write_text(f'{{"format": 1, "word": "{word}"}}')


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "a run"])
def test_one_of_two_wins_and_the_other_says_so(tmp_path, there):
    target = tmp_path / "run"
    if there != "nothing":
        target.mkdir()
    if there == "a run":
        make(target, "old")
    overwrite = there == "a run"

    def both():
        with new_run(target, overwrite=overwrite) as later:
            with new_run(target, overwrite=overwrite) as first:
                make(first, "first")
            make(later, "later")

    with pytest.raises(UsageError, match="has been made by another command meanwhile"):
        both()
    assert Run.open(target).info["word"] == "first"
    assert not list(tmp_path.glob(".*")), "nothing is left over"


def test_of_many_at_once_one_wins(tmp_path):
    barrier, done = threading.Barrier(8), []

    def one(number):
        try:
            with new_run(tmp_path / "run") as folder:
                make(folder, number)
                barrier.wait()
            done.append(number)
        except UsageError:
            pass

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert Run.open(tmp_path / "run").info["word"] == str(done[0])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_file_put_into_an_empty_place_meanwhile_stays(tmp_path):
    (tmp_path / "run").mkdir()

    def busy():
        with new_run(tmp_path / "run") as folder:
            make(folder, "x")
            (tmp_path / "run" / "mine.txt").write_text("precious")

    with pytest.raises(UsageError, match="by another command meanwhile"):
        busy()
    assert (tmp_path / "run" / "mine.txt").read_text() == "precious"


def test_the_command_says_what_it_keeps(run):
    sort_a_picture(run)
    photos = Run.open(run).info["source"]["path"]
    command = ["select", photos, "--budget", "3", "--model", "pixels", "--method", "random"]
    done = subprocess.run(
        [sys.executable, "-m", "usl", *command, "--out", str(run), "--overwrite"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"is kept as {run}.labeled-1" in done.stderr
