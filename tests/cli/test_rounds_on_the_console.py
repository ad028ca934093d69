"""usl next and usl add on the console."""

from __future__ import annotations

import json
import shutil

import pytest

from round_run import fill_in, make_run, requested, write_points
from usl.cli import main


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(folder / "cache"))
        return fill_in(make_run(folder))


def test_ask_undo_add_and_ask_again(made, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(made.path, run)
    assert main(["next", str(run), "--budget", "3", "--dry-run", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Nothing is done; this is the plan.\nWould ask for 3 images more, by ")
    assert main(["next", str(run), "--budget", "3", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "Round 1: asks for 3 images more, by " in said
    assert "after 6 labels of 3 classes" in said
    assert f"Next: usl label {run}   (take it back: usl next {run} --undo)" in said
    assert main(["next", str(run), "--undo"]) == 0
    assert "Round 1 is taken back; its 3 images" in capsys.readouterr().out
    new = write_points(tmp_path / "more.csv", ["a900", "b900"], 1)
    assert main(["add", str(run), str(new)]) == 0
    assert f"Added 2 images to {run}." in capsys.readouterr().out
    assert main(["add", str(run), str(new)]) == 0
    assert "Nothing is new" in capsys.readouterr().out
    assert main(["next", str(run), "--budget", "2", "--class", "bee", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["round"] == 1
    assert found["class"] == "bee"
    assert [one["image_id"] for one in found["images"]] == requested(made.__class__.open(run))
    assert {one["reason"] for one in found["images"]} == {"likely bee"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "say how many images more"),
        (["--undo"], "has no round after the first selection"),
        (["--undo", "--budget", "3"], "leave all other options out"),
        (["--budget", "3", "--class", "bees"], "Did you mean 'bee'?"),
    ],
)
def test_wrong_usage_is_one_line(made, capsys, options, words):
    assert main(["next", str(made.path), *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("Error:") == 1
