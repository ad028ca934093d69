"""A run that is made or replaced, and killed: the next command finishes it, or undoes it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

import usl
from killed import all_names, kill_everywhere, quick_folder
from usl.cli import main
from usl.core.errors import UslWarning
from usl.core.files import beside, read_json, release, take
from usl.labeling.exchange.export_images import export_run
from usl.run.folder import Run
from usl.run.split import Split
from usl.run.split_csv import rewrite

FEATURES = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)


@pytest.fixture
def quick(tmp_path):
    with quick_folder(tmp_path) as found:
        yield found


def make(path, seed, **options):
    return usl.start_run(FEATURES, 3, path, method="random", seed=seed, **options)


def label(run):
    split = run.split()
    rewrite(split.with_labels([0], ["cat"]))


def seed_of(folder):
    return read_json(folder / "run.json")["selection"]["seed"]


@pytest.mark.parametrize("labelled", [False, True])
def test_replacing_a_run(quick, monkeypatch, labelled):
    """Whole old or whole new run under the name, and nothing of a person's is lost."""

    def prepare(number):
        folder = quick / str(number)
        run = make(folder / "run", 1)
        if labelled:
            label(run)
        return folder

    def act(folder):
        make(folder / "run", 2, overwrite=True)

    def check(number):
        folder = quick / str(number)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = Run.open(folder / "run")
        assert found.info["selection"]["seed"] in (1, 2)
        assert sorted(found.split().ids.tolist()) == sorted(found.recorded_digests())
        assert all("is there again as it was" in str(one.message) for one in said)
        act(folder)
        assert seed_of(folder / "run") == 2
        kept = sorted(path.name for path in folder.iterdir())
        expected = ["run", "run.labeled-1"] if labelled else ["run"]
        assert kept == expected
        if labelled:
            assert Split.read(folder / "run.labeled-1").labels[0] == "cat"
            assert seed_of(folder / "run.labeled-1") == 1
        shutil.rmtree(folder)

    assert kill_everywhere(monkeypatch, prepare, act, check) > 20


def test_a_new_run(quick, monkeypatch):
    def prepare(number):
        (quick / str(number)).mkdir()
        return quick / str(number)

    def act(folder):
        make(folder / "run", 1)

    def check(number):
        folder = quick / str(number)
        if (folder / "run").exists():
            assert Run.open(folder / "run").split().ids.tolist()
            make(folder / "run", 1, overwrite=True)
        else:
            act(folder)
        assert [path.name for path in folder.iterdir()] == ["run"]
        assert not [name for name in all_names(folder) if "/." in name and ".tmp" in name]
        shutil.rmtree(folder)

    assert kill_everywhere(monkeypatch, prepare, act, check, every=2) > 10


def test_the_verbs_find_a_run_that_was_moved_aside(tmp_path, capsys):
    make(tmp_path / "run", 1)
    aside = beside(tmp_path / "run", "old")
    os.rename(tmp_path / "run", aside)
    (tmp_path / ".run.0123456789ab.tmp").mkdir()  # and the new one, unfinished
    assert main(["export", str(tmp_path / "run"), "--to", "csv"]) == 0
    said = capsys.readouterr().err
    assert said.count("is there again as it was") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_another_process_works_on_is_left_alone(tmp_path):
    run = make(tmp_path / "run", 1)
    held = [beside(tmp_path / "run"), beside(run.path / "split.csv"), run.path / "models"]
    held[0].mkdir()
    held[1].write_text("half")
    (held[2] / ".0123456789ab").mkdir(parents=True)
    held[2] = held[2] / ".0123456789ab"
    locks = [take(path) for path in held]
    assert None not in locks
    Run.open(run.path)
    assert all(path.exists() for path in held)
    for lock in locks:
        release(lock)
    Run.open(run.path)
    assert not any(path.exists() for path in held)


def test_files_of_others_are_left_alone(tmp_path):
    run = make(tmp_path / "run", 1)
    mine = [run.path / ".notes.tmp", run.path / ".a.xyz.tmp", tmp_path / ".runs.0123456789ab.tmp"]
    for path in mine:
        path.write_text("mine")
    Run.open(run.path)
    assert all(path.read_text() == "mine" for path in mine)


def test_a_killed_process_holds_nothing(tmp_path):
    """A real process, killed while it makes a run: its folder is known to be a rest."""
    code = (
        "import sys, time\nfrom usl.run.folder import new_run\n"
        "with new_run(sys.argv[1], overwrite=True) as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    print('there', flush=True)\n    time.sleep(600)\n"
    )
    run = make(tmp_path / "run", 1)
    command = [sys.executable, "-c", code, str(run.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        Run.open(run.path)
        assert len(list(tmp_path.iterdir())) == 2, "of a living process"
        process.send_signal(signal.SIGKILL)
        process.wait()
    Run.open(run.path)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_export_that_is_replaced(quick, monkeypatch):
    photos = quick / "photos"
    photos.mkdir()
    from PIL import Image

    for number in range(4):
        Image.new("RGB", (4, 4), (60 * number, 0, 0)).save(photos / f"{number}.png")
    origin = usl.start_run(photos, 3, quick / "origin" / "run", method="random", pca=2)
    export_run(origin, "folders")

    def prepare(number):
        shutil.copytree(origin.path, quick / str(number) / "run", copy_function=shutil.copy2)
        return quick / str(number) / "run"

    def act(folder):
        export_run(folder, "folders", overwrite=True)

    def check(number):
        folder = quick / str(number) / "run"
        home = folder / "exports" / "folders-requested"
        Run.open(folder)
        assert sorted(path.name for path in home.rglob("*.png"))
        act(folder)
        assert all_names(folder) == expected
        shutil.rmtree(folder.parent)

    whole = prepare("whole")
    act(whole)
    expected = all_names(whole)
    assert kill_everywhere(monkeypatch, prepare, act, check) > 5


def test_a_note_is_a_warning(tmp_path):
    make(tmp_path / "run", 1)
    os.rename(tmp_path / "run", beside(tmp_path / "run", "old"))
    with pytest.warns(UslWarning, match="run is there again as it was"):
        Run.open(tmp_path / "run")
