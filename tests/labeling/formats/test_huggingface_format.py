"""Hugging Face imagefolders, loaded with ``datasets``."""

from __future__ import annotations

import csv
import io

import pytest
from PIL import Image

from exchange_runs import STRANGE, builtin_run, files_in, labels_of, make_run
from usl.data.open import open_collection
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file

NAMES = [name for name in STRANGE if name != "+1+2"]  # which needs Parquet


@pytest.fixture
def load(tmp_path, monkeypatch):
    """``load(folder)`` gives the splits as ``datasets`` reads them, offline."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()

    def read(folder):
        return datasets.load_dataset(
            "imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "hf")
        )

    return read


def rows(split):
    return {row["image_id"]: row["label"] for row in split.remove_columns("image")}


def test_every_image_is_listed_and_loaded(tmp_path, load):
    labels = {word: f"class {i % 3}" for i, word in enumerate(NAMES) if i > 2}
    run = make_run(tmp_path, NAMES, labels=labels)
    done = export_run(run, "huggingface", what="all")
    text = (done.out / "train" / "metadata.csv").read_bytes().decode()
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["image_id"] for row in table] == NAMES
    assert [row["label"] for row in table[:4]] == ["", "", "", "class 0"]
    found = load(done.out)
    assert list(found) == ["train"]
    assert rows(found["train"]) == {word: labels.get(word) for word in NAMES}
    for row, source in zip(found["train"], range(len(NAMES)), strict=True):
        with Image.open(tmp_path / "photos" / f"{source}.png") as image:
            assert row["image"].tobytes() == image.tobytes()
    assert guess_format(done.out) == "huggingface"
    assert guess_format(done.out / "train" / "metadata.csv") == "huggingface"
    (tmp_path / "fresh").mkdir()
    fresh = make_run(tmp_path / "fresh", NAMES)
    assert import_file(fresh, done.out).added == len(labels)
    assert labels_of(fresh) == labels
    assert open_collection(done.out).ids.tolist() == NAMES


@pytest.mark.parametrize(
    "labels", [["007", "1e5", "NA"], ["None", "null", "cat"], ["true", "False", "true"], ["-1"] * 3]
)
def test_labels_that_csv_would_change_stay_text(tmp_path, load, labels):
    ids = ["a.jpg", "b.jpg", "00042"]
    run = make_run(tmp_path, ids, labels=dict(zip(ids, labels, strict=True)))
    done = export_run(run, "huggingface", what="all")
    assert "metadata.parquet instead of .csv: the" in done.next[0]
    assert rows(load(done.out)["train"]) == dict(zip(ids, labels, strict=True))
    assert import_file(run, done.out).unchanged == 3


def test_subsets(tmp_path, load):
    ids = ["train/1.jpg", "test_2.jpg", "3.jpg", "validation.jpg"]
    run = make_run(
        tmp_path, ids, labels={"train/1.jpg": "x"}, subsets=["test", "train", "val", "train"]
    )
    done = export_run(run, "huggingface", what="all", link=True)
    assert files_in(done.out) == [
        "README.md",
        "test/metadata.parquet",
        "test/train_1.png",
        "train/metadata.parquet",
        "train/test_2.png",
        "train/validation.png",
        "validation/3.png",
        "validation/metadata.parquet",
    ]
    found = load(done.out)
    assert {name: rows(found[name]) for name in found} == {
        "train": {"test_2.jpg": None, "validation.jpg": None},
        "validation": {"3.jpg": None},
        "test": {"train/1.jpg": "x"},
    }


def test_only_requested_images_without_any_label(tmp_path, load):
    done = export_run(builtin_run(tmp_path), "huggingface")
    found = load(done.out)["train"]
    assert rows(found) == dict.fromkeys(["train/00004", "train/00000", "train/00002"])
    assert found[0]["image"].size == (28, 28)
    assert (done.out / "train" / "metadata.csv").is_file()


def test_a_folder_somebody_else_made(tmp_path):
    run = make_run(tmp_path, ["a.jpg", "sub/b.jpg"])
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "a.jpg", "label": "x"}\n{"file_name": "sub/b.jpg", "label": "y"}\n'
    )
    assert guess_format(folder) == "huggingface"
    assert import_file(run, folder).added == 2
    assert labels_of(run) == {"a.jpg": "x", "sub/b.jpg": "y"}


def test_a_corrected_label_is_an_answer(tmp_path):
    guesses = {"a.jpg": ("x", 0.9), "b.jpg": ("x", 0.8)}
    run = make_run(tmp_path, ["a.jpg", "b.jpg"], predictions=guesses)
    done = export_run(run, "huggingface", what="predicted")
    table = done.out / "train" / "metadata.csv"
    assert import_file(run, done.out).skipped == {"the model's label, unchanged": 2}
    table.write_text(table.read_text().replace("b.jpg,x", "b.jpg,y"))
    import_file(run, done.out)
    assert labels_of(run) == {"b.jpg": "y"}


def test_formulas_are_no_csv(tmp_path, load):
    labels = {"a.jpg": "=HYPERLINK(1)", "b.jpg": "cat"}
    run = make_run(tmp_path, ["a.jpg", "b.jpg"], labels=labels)
    done = export_run(run, "huggingface", what="all")
    assert any("would be a formula in a spreadsheet" in line for line in done.next)
    assert (done.out / "train" / "metadata.parquet").is_file()
    forced = export_run(run, "huggingface", what="all", out=tmp_path / "x", table="csv")
    assert "It is written as it is" in forced.next[0]
    assert ",=HYPERLINK(1)," in (forced.out / "train" / "metadata.csv").read_text()


@pytest.mark.parametrize("names", [["cat", "dog", "hen"], ["007", "null", "x: [y] 日本 'z\"\x7f"]])
def test_loaded_by_its_path_the_labels_are_class_labels(tmp_path, monkeypatch, names):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    ids = [f"{i}.jpg" for i in range(7)]
    labels = {word: names[i % 3] for i, word in enumerate(ids) if i != 4}
    subsets = ["train"] * 4 + ["val"] * 3
    run = make_run(tmp_path, ids, labels=labels, subsets=subsets)
    done = export_run(run, "huggingface", what="all")
    found = datasets.load_dataset(str(done.out), cache_dir=str(tmp_path / "hf"))
    assert list(found) == ["train", "validation"]
    kind = found["train"].features["label"]
    assert isinstance(kind, datasets.ClassLabel)
    assert sorted(kind.names) == sorted(names)
    assert found["validation"].features["label"] == kind
    for split in found.values():
        for row in split:
            told = None if row["label"] is None else kind.int2str(row["label"])
            assert told == labels.get(row["image_id"])
            assert row["image"].size[1] == 4


def test_without_any_class_there_is_no_card(tmp_path):
    done = export_run(make_run(tmp_path, ["a.jpg"]), "huggingface")
    assert files_in(done.out) == ["train/a.png", "train/metadata.csv"]
