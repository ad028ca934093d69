"""CVAT: XML and ImageNet archives."""

from __future__ import annotations

import json
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from exchange_runs import STRANGE, builtin_run, files_in, labels_of, make_run
from usl.core.errors import DataError, UsageError
from usl.data.open import open_collection
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file
from usl.labeling.exchange.pictures import RunPictures

LABELS = ['a"b', "<i>&amp;</i>", "x\ty", "日本", "T-shirt/top", "cat", "Cat", "]]>"]


def tagged(out, label_of):
    """The annotations with one manual tag an image, as CVAT exports them."""
    tree = ElementTree.parse(out / "annotations.xml")
    for number, image in enumerate(tree.iter("image")):
        for tag in list(image):
            image.remove(tag)
        ElementTree.SubElement(image, "box", {"label": "no", "source": "manual", "xtl": "1"})
        label = label_of(number)
        if label is not None:
            ElementTree.SubElement(image, "tag", {"label": label, "source": "manual"})
    return ElementTree.tostring(tree.getroot())


def test_xml_says_what_there_is(tmp_path):
    run = make_run(
        tmp_path,
        ["a.jpg", "b.jpg", "c.jpg"],
        labels={"c.jpg": LABELS[1]},
        predictions={"a.jpg": ("dog", 0.9)},
    )
    done = export_run(run, "cvat", what="all", classes="cat", predictions=True)
    root = ElementTree.parse(done.out / "annotations.xml").getroot()
    assert root.tag == "annotations"
    assert root.findtext("version") == "1.1"
    names = [label.findtext("name") for label in root.iter("label")]
    assert names == [one["name"] for one in json.loads((done.out / "labels.json").read_text())]
    assert set(names) == {"cat", "dog", LABELS[1]}
    images = [(image.attrib, [tag.attrib for tag in image]) for image in root.iter("image")]
    assert images == [
        (
            {"id": "0", "name": "a.png", "width": "3", "height": "4"},
            [{"label": "dog", "source": "auto"}],
        ),
        ({"id": "1", "name": "b.png", "width": "4", "height": "4"}, []),
        (
            {"id": "2", "name": "c.png", "width": "5", "height": "4"},
            [{"label": LABELS[1], "source": "manual"}],
        ),
    ]
    assert files_in(done.out / "images") == ["a.png", "b.png", "c.png"]
    found = import_file(run, done.out / "annotations.xml")
    assert (found.added, found.unchanged) == (0, 1)
    assert found.skipped == {"a machine's tag": 1, "no tag": 1}


@pytest.mark.parametrize("zipped", [False, True])
def test_xml_back(tmp_path, zipped):
    run = make_run(tmp_path, STRANGE)
    done = export_run(run, "cvat", classes="x")
    content = tagged(done.out, lambda number: LABELS[number % 8] if number else None)
    path = tmp_path / "task.xml"
    if zipped:
        path = tmp_path / "task.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("annotations.xml", content)
            archive.writestr("images/x.jpg", b"")
    else:
        path.write_bytes(content)
    assert guess_format(path) == "cvat"
    found = import_file(run, path, annotator="ann")
    assert found.skipped == {"no tag": 1}
    assert labels_of(run) == {word: LABELS[i % 8] for i, word in enumerate(STRANGE) if i}


def test_imagenet_archive_there_and_back(tmp_path):
    labels = {word: LABELS[i % 8] for i, word in enumerate(STRANGE) if i}
    run = make_run(tmp_path, STRANGE, labels=labels)
    done = export_run(run, "cvat", what="all", form="folders")
    assert done.next[0] == "1 image without a label is left out."
    path = done.out / "imagenet.zip"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert len({name.lower() for name in names}) == len(STRANGE) - 1
        for name in names:
            folder, file = name.split("/")
            assert folder not in ("", ".", "..")
            assert file not in ("", ".", "..")
    assert guess_format(path) == "cvat"
    (tmp_path / "fresh").mkdir()
    fresh = make_run(tmp_path / "fresh", STRANGE)
    assert import_file(fresh, path).added == len(labels)
    assert labels_of(fresh) == labels
    again = export_run(run, "cvat", what="all", form="folders", out=tmp_path / "again")
    assert (again.out / "imagenet.zip").read_bytes() == path.read_bytes()


def test_archives_of_older_versions_put_the_class_before_the_name(tmp_path):
    run = make_run(tmp_path, ["1.jpg", "sub/2.jpg"])
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("cat/cat_1.jpg", b"")
        archive.writestr("dog/sub/2.jpg", b"")
        archive.writestr("__MACOSX/cat/._1.jpg", b"")
    assert import_file(run, tmp_path / "x.zip").added == 2
    assert labels_of(run) == {"1.jpg": "cat", "sub/2.jpg": "dog"}


@pytest.mark.parametrize("wrap", ["", "sorted/"])
def test_wrappers_and_unlabeled_in_archives_are_no_classes(tmp_path, wrap):
    run = make_run(tmp_path, ["a.png", "b.png", "c.png"])
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for place in ("cat/a.png", "dog/b.png", "unlabeled/c.png"):
            archive.writestr(wrap + place, b"")
    found = import_file(run, tmp_path / "x.zip")
    assert found.skipped == {"in unlabeled": 1}
    assert labels_of(run) == {"a.png": "cat", "b.png": "dog"}


def test_pictures_that_are_no_files(tmp_path):
    done = export_run(builtin_run(tmp_path), "cvat", classes="a")
    assert 'name="train_00004.png" width="28" height="28"' in (
        (done.out / "annotations.xml").read_text()
    )
    with Image.open(done.out / "images" / "train_00004.png") as image:
        assert image.size == (28, 28)


def test_sizes_are_those_of_the_upright_picture(tmp_path):
    (tmp_path / "photos").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    Image.new("RGB", (30, 20)).save(tmp_path / "photos" / "a.jpg", exif=exif)
    collection = open_collection(tmp_path / "photos")
    assert RunPictures(collection, np.array([0]), ["a"]).size(0) == (20, 30)
    assert collection.images.read(0).size == (20, 30)
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.jpg: damaged or unreadable"):
        RunPictures(collection, np.array([0]), ["a"]).size(0)


def test_several_tags_are_no_answer(tmp_path):
    run = make_run(tmp_path, ["a", "b"])
    (tmp_path / "x.xml").write_text(
        "<annotations><image name='a'><tag label='x'/><tag label='y'/></image>"
        "<image name='b'><tag label='x'/><tag label='x' source='file'/></image></annotations>"
    )
    assert import_file(run, tmp_path / "x.xml").skipped == {"2 tags: x, y": 1}
    assert labels_of(run) == {"b": "x"}


BOMB = '<!DOCTYPE a [<!ENTITY b "x">]><annotations><image name="a"/></annotations>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "declares a document type.*Refused"),
        ("<annotations><image></annotations>", "not valid XML"),
        ("<annotations><track/></annotations>", "lists no images. Export as 'CVAT for images 1.1'"),
    ],
)
def test_xml_that_is_refused(tmp_path, content, message):
    run = make_run(tmp_path, ["a"])
    (tmp_path / "x.xml").write_text(content)
    with pytest.raises(DataError, match=message):
        import_file(run, tmp_path / "x.xml", format="cvat")


def test_archives_that_are_refused(tmp_path):
    run = make_run(tmp_path, ["a"])
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="cannot be read"):
        import_file(run, tmp_path / "x.zip", format="cvat")
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("train.txt", "a 0")
    with pytest.raises(DataError, match=r"holds neither annotations\.xml nor class folders"):
        import_file(run, tmp_path / "y.zip", format="cvat")
    with pytest.raises(UsageError, match="form: folders holds labelled images alone"):
        export_run(run, "cvat", classes="x", form="folders")
    with pytest.raises(DataError, match="control characters, which XML cannot"):
        export_run(run, "cvat", classes="bell\a")
