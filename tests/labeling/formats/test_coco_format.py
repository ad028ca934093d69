"""COCO's form for classification: written as its page says, and any file of it read."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from exchange_runs import STRANGE, builtin_run, files_in, labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file


def load(file):
    """File names and labels, read as pycocotools indexes a file: by the ids of its three lists."""
    content = json.loads(file.read_text("utf-8"))
    images = {one["id"]: one for one in content["images"]}
    categories = {one["id"]: one["name"] for one in content["categories"]}
    assert len(images) == len(content["images"])
    assert len({one["id"] for one in content["annotations"]}) == len(content["annotations"])
    labels = dict.fromkeys(images)
    for one in content["annotations"]:
        assert labels[one["image_id"]] is None, "one category for each image"
        labels[one["image_id"]] = categories[one["category_id"]]
    return {images[number]["file_name"]: label for number, label in labels.items()}


def test_layout_and_back(tmp_path):
    labels = {word: f"class {i % 3}/" for i, word in enumerate(STRANGE) if i > 2}
    run = make_run(tmp_path, STRANGE, labels=labels)
    done = export_run(run, "coco", what="all")
    found = load(done.out / "annotations" / "train.json")
    assert len(found) == len(STRANGE)
    assert sorted(filter(None, found.values())) == sorted(labels.values())
    content = json.loads((done.out / "annotations" / "train.json").read_text("utf-8"))
    for one in content["images"]:
        with Image.open(done.out / "images" / one["file_name"]) as image:
            assert image.size == (one["width"], one["height"])
    assert guess_format(done.out) == "coco"
    assert guess_format(done.out / "annotations" / "train.json") == "coco"
    (tmp_path / "fresh").mkdir()
    fresh = make_run(tmp_path / "fresh", STRANGE)
    assert import_file(fresh, done.out).skipped == {"no label": 3}
    assert labels_of(fresh) == labels


def test_a_file_for_each_subset_with_the_same_categories(tmp_path):
    ids = ["a.jpg", "b.jpg", "c.jpg"]
    run = make_run(
        tmp_path, ids, labels={"a.jpg": "x", "c.jpg": "y"}, subsets=["train", "val", "test"]
    )
    done = export_run(run, "coco", what="all", link=True)
    assert files_in(done.out / "annotations") == ["test.json", "train.json", "val.json"]
    assert load(done.out / "annotations" / "val.json") == {"b.png": None}
    assert load(done.out / "annotations" / "test.json") == {"c.png": "y"}
    kinds = [json.loads(p.read_text())["categories"] for p in sorted(done.out.rglob("*.json"))[-3:]]
    assert kinds[0] == kinds[1] == kinds[2] == [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}]
    assert (done.out / "images" / "a.png").is_symlink()


def test_a_models_label_is_an_answer_where_it_was_corrected(tmp_path):
    guesses = {"a.jpg": ("x", 0.9), "b.jpg": ("y", 0.8)}
    run = make_run(tmp_path, ["a.jpg", "b.jpg"], predictions=guesses)
    done = export_run(run, "coco", what="predicted")
    file = done.out / "annotations" / "train.json"
    assert import_file(run, done.out).skipped == {"the model's label, unchanged": 2}
    content = json.loads(file.read_text())
    assert [one["score"] for one in content["annotations"]] == [0.9, 0.8]
    content["annotations"][1]["category_id"] = content["annotations"][0]["category_id"]
    file.write_text(json.dumps(content))
    import_file(run, done.out)
    assert labels_of(run) == {"b.jpg": "x"}


def test_boxes_of_one_category_are_its_label(tmp_path):
    run = make_run(tmp_path, [f"{letter}.jpg" for letter in "abcde"])
    file = tmp_path / "instances.json"
    boxes = [(7, 1), (7, 1), (8, 1), (8, 2), (9, 2)]
    content = {
        "images": [
            {"id": n, "file_name": f"{c}.jpg"} for n, c in zip((7, 8, 9, 10), "abcd", strict=True)
        ],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "bbox": [0, 0, 1, 1]}
            for i, (image, category) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    content["annotations"].append({"id": 9, "image_id": 10, "category_id": 2, "score": 0.4})
    file.write_text(json.dumps(content))
    found = import_file(run, file)
    assert found.format == "coco"
    assert found.skipped == {"2 labels": 1, "the model's label, unchanged": 1}
    assert labels_of(run) == {"a.jpg": "cat", "c.jpg": "dog"}


def test_pictures_that_are_no_files(tmp_path):
    done = export_run(builtin_run(tmp_path), "coco")
    assert load(done.out / "annotations" / "train.json") == dict.fromkeys(
        ["train_00004.png", "train_00000.png", "train_00002.png"]
    )


IMAGE, KIND = {"id": 1, "file_name": "a.jpg"}, {"id": 1, "name": "x"}


@pytest.mark.parametrize(
    ("images", "annotations", "categories", "message"),
    [
        ([{"file_name": "a.jpg"}], [], [KIND], "image 1: it has no id"),
        ([{"id": 1}], [], [KIND], "image 1: it has no file_name"),
        ([IMAGE], [{"image_id": 1}], [KIND], "annotation 1: it has no category_id"),
        ([IMAGE], [{"image_id": 1, "category_id": 5}], [KIND], "no category has the id 5"),
        ([IMAGE], [{"image_id": 3, "category_id": 1}], [KIND], "no image has the id 3"),
        ([IMAGE], [], ["x"], "category 1: it has no id"),
        ([7], [], [KIND], "image 1: it has no id"),
        ([IMAGE], [{"image_id": [], "category_id": 1}], [KIND], "annotation 1: it has no image_id"),
    ],
)
def test_broken_files(tmp_path, images, annotations, categories, message):
    run = make_run(tmp_path, ["a.jpg"])
    file = tmp_path / "x.json"
    file.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    with pytest.raises(DataError, match=message):
        import_file(run, file)


def test_what_is_no_coco(tmp_path):
    run = make_run(tmp_path, ["a.jpg"])
    (tmp_path / "x.json").write_text('{"images": 3, "annotations": [], "categories": []}')
    with pytest.raises(DataError, match="expected lists of images, annotations, categories"):
        import_file(run, tmp_path / "x.json", format="coco")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no JSON file with images, annotations, categories"):
        import_file(run, tmp_path / "empty", format="coco")
