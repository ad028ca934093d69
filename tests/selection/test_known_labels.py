"""Runs that start from labels that somebody has already."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import usl
from support import clumps
from usl.cli import main
from usl.core.errors import DataError, UsageError, UslWarning
from usl.selection.known_labels import read_known

pytestmark = pytest.mark.filterwarnings("ignore:k = 400 neighbours", "ignore:pca. 8 dim")
COLOURS = {"blue": (40, 40, 210), "green": (40, 210, 40), "red": (210, 40, 40)}


@pytest.fixture
def photos(tmp_path):
    """30 flat pictures of three colours, and one file that is none."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(30):
        colour = np.array(list(COLOURS.values())[number % 3]) + rng.normal(0, 9, (8, 8, 3))
        Image.fromarray(colour.clip(0, 255).astype(np.uint8)).save(folder / f"{number:02d}.png")
    (folder / "bad.png").write_bytes(b"no")
    return folder


def table(path, rows, names=("image_id", "label")):
    with open(path, "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([names, *rows])
    return path


def start(photos, budget=3, **given):
    return usl.start_run(
        photos, budget, photos.parent / "run", model="pixels", pca=8, method="coreset", **given
    )


def labels_in(run):
    split = run.split()
    return {
        str(split.ids[row]): (split.labels[row], str(split.sources[row])) for row in split.labeled()
    }


def test_known_labels_count_and_what_they_cover_is_not_asked_for(photos, tmp_path):
    known = [(f"{number:02d}.png", "blue") for number in range(0, 30, 3)]
    run = start(photos, 4, labels=table(tmp_path / "l.csv", known))
    assert labels_in(run) == {name: ("blue", "human") for name, _ in known}
    split = run.split()
    asked = split.ids[split.requested()].tolist()
    assert len(asked) == 4
    assert [int(name[:2]) % 3 for name in asked[:2]] in ([1, 2], [2, 1]), "the colours not covered"
    assert run.info["selection"]["budget"] == 4
    assert run.info["selection"]["known"] == {
        "given": str(tmp_path / "l.csv"),
        "labels": 10,
        "classes": {"blue": 10},
    }


@pytest.mark.parametrize("method", ["quorum", "usl", "typiclust", "random", "kmeans", "probcover"])
def test_every_method_goes_on_from_them(tmp_path, method):
    np.save(tmp_path / "points.npy", clumps(6, 16, 0.3, n=120))
    ids = usl.open_collection(tmp_path / "points.npy").ids[:20].tolist()
    run = usl.start_run(
        tmp_path / "points.npy", 5, tmp_path / "run", method=method, labels=dict.fromkeys(ids, "a")
    )
    split = run.split()
    assert len(split.requested()) == 5
    assert not set(split.ids[split.requested()].tolist()) & set(ids)
    assert sorted(labels_in(run)) == sorted(ids)
    usl.write_report(run)


def test_they_train_at_once(photos, tmp_path):
    known = [(f"{number:02d}.png", list(COLOURS)[number % 3]) for number in range(9)]
    run = start(photos, labels=table(tmp_path / "l.csv", known))
    with pytest.warns(UslWarning, match="3 requested images have no label yet; training on 9"):
        done = usl.train(run)
    assert done.info["training"]["labels"] == 9


def test_tables_of_all_kinds_name_the_images(photos, tmp_path):
    """Ids, paths from the table's folder, absolute ones, backslashes, an empty label."""
    rows = [
        ("00.png", "blue"),
        ("./my photos/01.png", "green"),
        (str(photos / "02.png"), "red"),
        (".\\my photos\\03.png", "blue"),
        ("04.png", ""),
        ("05.png", "red"),
        ("05.png", "red"),
    ]
    expected = {"00.png": "blue", "01.png": "green", "02.png": "red", "03.png": "blue"}
    expected["05.png"] = "red"
    lines = [json.dumps({"path": name, "class": label}) for name, label in rows]
    (tmp_path / "l.jsonl").write_text("\n".join(lines))
    for file in (table(tmp_path / "l.csv", rows), tmp_path / "l.jsonl"):
        run = start(photos, labels=file, overwrite=True)
        assert {name: label for name, (label, _) in labels_in(run).items()} == expected
    run = usl.start_run(
        photos, 2, tmp_path / "next", model="pixels", pca=8, labels=run.path / "split.csv"
    )
    assert {name: label for name, (label, _) in labels_in(run).items()} == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("00.png", "a"), ("99.png", "a")], r"l\.csv, row 3: no item '99\.png' in the collection"),
        ([("00.png", "a"), ("00.png", "b")], r"row 3: '00\.png' is 'b', but 'a' before .*row 2\)"),
        ([("00.png", ""), ("01.png", "")], r"l\.csv: holds no label"),
        ([("", "a")], r"l\.csv, row 2: no image_id"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(photos, tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        start(photos, labels=table(tmp_path / "l.csv", rows))
    assert not (tmp_path / "run").exists()


def test_files_and_options_that_cannot_be_used(photos, tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: no such file of labels"):
        start(photos, labels=tmp_path / "none.csv")
    wrong = table(tmp_path / "l.csv", [("00.png", "a")], names=("image_id", "colour"))
    with pytest.raises(DataError, match=r"no column label; it has image_id, colour"):
        start(photos, labels=wrong)
    wrong = table(tmp_path / "l.csv", [("00.png", "a")], names=("what", "label"))
    with pytest.raises(DataError, match=r"no column image_id \(or path\)"):
        start(photos, labels=wrong)
    with pytest.raises(DataError, match=r"usl import RUN FILE"):
        start(photos, labels=photos)
    with pytest.raises(UsageError, match=r"use_known: .* carries no labels"):
        start(photos, use_known=True)
    with pytest.raises(UsageError, match="both asked for"):
        start(photos, use_known=True, labels={"00.png": "a"})
    with pytest.raises(UsageError, match=r"31 images .*nothing is left to pick"):
        start(photos, labels=dict.fromkeys(usl.open_collection(photos).ids.tolist(), "a"))
    with pytest.raises(UsageError, match=r"29 images without a label; 2 have a label already"):
        start(photos, 30, labels={"00.png": "a", "01.png": "b"})
    with pytest.raises(UsageError, match=r"include: '00\.png' has a label already"):
        start(photos, labels={"00.png": "a"}, constraints=usl.Constraints(include=["00.png"]))


def test_a_label_of_an_image_that_cannot_be_read_is_left_out_and_named(photos, tmp_path):
    file = table(tmp_path / "l.csv", [("00.png", "blue"), ("bad.png", "red")])
    with pytest.warns(UslWarning, match=r"l\.csv, row 3: 'bad\.png' has a label, but the image"):
        run = start(photos, labels=file)
    assert sorted(labels_in(run)) == ["00.png"]
    shutil.rmtree(run.path)
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    file = table(tmp_path / "l.csv", [("gone.png", "blue"), ("01.png", "red")])
    with pytest.warns(UslWarning, match=r"l\.csv, row 2: 'gone\.png' has a label, but the image"):
        run = start(photos, labels=file)
    assert sorted(labels_in(run)) == ["01.png"]


def test_classes_that_are_nearly_alike_are_told(photos):
    with pytest.warns(UslWarning, match="the classes 'Cat', 'cat' differ in case"):
        run = start(photos, labels={"00.png": "Cat", "01.png": "cat"})
    assert run.info["selection"]["known"]["classes"] == {"Cat": 1, "cat": 1}


def test_constraints_hold_beside_them(photos, tmp_path):
    run = start(
        photos,
        labels={"00.png": "blue", "03.png": "blue"},
        constraints=usl.Constraints(exclude=["01.png"], include=["02.png"]),
    )
    asked = run.split().ids[run.split().requested()].tolist()
    assert asked[0] == "02.png"
    assert not {"00.png", "03.png", "01.png"} & set(asked)


def test_the_labels_of_the_source(tmp_path, photos):
    home = tmp_path / "classes"
    for number in range(12):
        place = home / ("unlabeled" if number >= 6 else ("a", "b")[number % 2])
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / f"{number:02d}.png", place)
    run = usl.start_run(home, 2, tmp_path / "run", model="pixels", pca=8, use_known=True)
    assert len(labels_in(run)) == 6
    assert {label for label, _ in labels_in(run).values()} == {"a", "b"}
    asked = run.split().ids[run.split().requested()].tolist()
    assert all(name.startswith("unlabeled/") for name in asked)
    known = read_known(None, True, usl.open_collection(home))
    assert known.given == "the source"
    plain = usl.start_run(home, 2, tmp_path / "plain", model="pixels", pca=8)
    assert labels_in(plain) == {}, "nothing of the source counts unless it is asked for"


def test_the_command_line_says_what_it_started_from(photos, tmp_path, capsys):
    file = table(tmp_path / "l.csv", [("00.png", "blue"), ("01.png", "dark green")])
    command = ["select", str(photos), "--budget", "3", "--out", str(tmp_path / "a run")]
    command += ["--model", "pixels", "--pca", "8", "--labels", str(file)]
    assert main([*command, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels_already"] == 2
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "Picked 3 of 30 images" in out, "the file that is no image is none"
    assert "Started from 2 labels of 2 classes: blue 1, dark green 1." in out
    assert f"usl label '{tmp_path / 'a run'}' --classes 'blue,dark green'" in out
