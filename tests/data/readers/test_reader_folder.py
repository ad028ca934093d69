"""Folders as people have them."""

import os
import unicodedata

import numpy as np
import pytest

from usl.core.errors import DataError, UsageError
from usl.data import open_collection


def names(collection) -> list[str]:
    return collection.ids.tolist()


def test_flat_folder(make_images):
    endings = ["jpg", "JPG", "jpeg", "png", "webp", "bmp", "tif", "tiff", "GIF"]
    root = make_images(*(f"{number}.{ending}" for number, ending in enumerate(endings)))
    (root / "notes.txt").write_text("no image")
    collection = open_collection(root)
    assert names(collection) == [f"{number}.{ending}" for number, ending in enumerate(endings)]
    assert collection.labels is None
    assert set(collection.subsets) == {"train"}
    assert (collection.kind, collection.source) == ("folder", str(root))
    for row in range(len(collection)):
        assert collection.images.read(row).size == (8, 6)


def test_nested_folder_has_no_labels(make_images):
    collection = open_collection(make_images("a.jpg", "2024/b.jpg", "2024/06/c.jpg"))
    assert names(collection) == ["2024/06/c.jpg", "2024/b.jpg", "a.jpg"]
    assert collection.labels is None


def test_class_folders(make_images):
    collection = open_collection(make_images("cat/1.jpg", "dog/1.jpg", "dog/2.jpg"))
    assert collection.labels.tolist() == ["cat", "dog", "dog"]


def test_one_folder_is_no_class(make_images):
    assert open_collection(make_images("holiday/1.jpg", "holiday/2.jpg")).labels is None


def test_imagenet_style(make_images):
    root = make_images("train/n1/a.JPEG", "train/n2/b.JPEG", "val/c.JPEG", "val/d.JPEG")
    collection = open_collection(root)
    assert names(collection)[0] == "train/n1/a.JPEG"
    assert collection.subsets.tolist() == ["train", "train", "val", "val"]
    assert collection.labels.tolist() == ["n1", "n2", None, None]


@pytest.mark.parametrize("word", ["val", "valid", "Validation"])
def test_subset_folders(make_images, word):
    collection = open_collection(make_images("Train/a.jpg", f"{word}/b.jpg", "test/c.jpg"))
    assert dict(zip(names(collection), collection.subsets.tolist(), strict=True)) == {
        "Train/a.jpg": "train",
        f"{word}/b.jpg": "val",
        "test/c.jpg": "test",
    }


@pytest.mark.parametrize(
    "files", [("train/1.jpg", "car/2.jpg"), ("test/1.jpg", "test/2.jpg"), ("train/1.jpg", "2.jpg")]
)
def test_chance_names_are_no_subsets(make_images, files):
    assert set(open_collection(make_images(*files)).subsets) == {"train"}


def test_label_option(make_images):
    root = make_images("cat/1.jpg", "cat/deep/2.jpg", "3.jpg")
    assert open_collection(root).labels is None
    assert open_collection(root, labels="folders").labels.tolist() == [None, "cat", "cat"]
    classes = make_images("a/1.jpg", "b/1.jpg", folder="classes")
    assert open_collection(classes, labels="none").labels is None
    with pytest.raises(UsageError, match=r"labels='folder': .*Did you mean 'folders'"):
        open_collection(root, labels="folder")


def test_order_is_by_folder_then_name_as_in_torchvision(make_images):
    root = make_images("cat/z.jpg", "cat-big/a.jpg", "Dog/a.jpg")
    assert names(open_collection(root)) == ["Dog/a.jpg", "cat/z.jpg", "cat-big/a.jpg"]
    datasets = pytest.importorskip("torchvision.datasets")
    files = [os.path.relpath(path, root) for path, _ in datasets.ImageFolder(root).samples]
    assert names(open_collection(root)) == files


def test_hidden_and_mac_files_are_ignored(make_images):
    root = make_images("a.jpg", ".b.jpg", ".thumbs/c.jpg", "__MACOSX/d.jpg")
    (root / "._a.jpg").write_bytes(b"")
    (root / ".DS_Store").write_bytes(b"")
    assert names(open_collection(root)) == ["a.jpg"]
    assert names(open_collection(f"{root}/**/*.jpg")) == ["a.jpg"]


def test_ids_are_nfc_and_the_file_is_still_found(make_images):
    decomposed = unicodedata.normalize("NFD", "Zürich/ä.jpg")
    collection = open_collection(make_images(decomposed))
    assert names(collection) == ["Zürich/ä.jpg"]
    assert collection.images.read(0).size == (8, 6)


def test_links_are_followed_but_not_in_a_circle(make_images, tmp_path):
    root = make_images("a.jpg", "deep/b.jpg")
    elsewhere = make_images("c.jpg", folder="elsewhere")
    (root / "deep/up").symlink_to(root)
    (root / "more").symlink_to(elsewhere)
    (root / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    collection = open_collection(root)
    assert names(collection) == ["a.jpg", "deep/b.jpg", "more/c.jpg"]
    assert collection.skipped == (("lost.jpg", "a broken link, or no regular file"),)


@pytest.mark.skipif(os.name != "posix", reason="bytes as file names")
def test_undecodable_names_are_skipped_and_reported(make_images):
    root = make_images("a.jpg")
    try:
        os.link(root / "a.jpg", os.fsencode(root) + b"/\xff.jpg")
    except OSError:
        pytest.skip("this file system wants UTF-8")
    collection = open_collection(root)
    assert names(collection) == ["a.jpg"]
    assert collection.skipped[0] == (
        "\\udcff.jpg",
        "the file name is not valid UTF-8; rename the file",
    )


def test_glob(make_images):
    root = make_images("x/a.jpg", "x/b.png", "y/deep/c.jpg")
    assert names(open_collection(f"{root}/**/*.jpg")) == ["x/a.jpg", "y/deep/c.jpg"]
    collection = open_collection(root / "x" / "*.??g")
    assert names(collection) == ["a.jpg", "b.png"]
    assert collection.images.read(1).size == (8, 6)


def test_folder_with_brackets_in_its_name(make_images):
    assert names(open_collection(make_images("a.jpg", folder="trip [1]"))) == ["a.jpg"]


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"no images found.*\.jpeg.*there are no files at all"):
        open_collection(tmp_path)


def test_folder_without_images(tmp_path):
    (tmp_path / "1.heic").write_bytes(b"")
    (tmp_path / "2.HEIC").write_bytes(b"")
    with pytest.raises(DataError, match=r"Looked for files ending in \.jpg.*\(2 x \.heic\)"):
        open_collection(tmp_path)


def test_folder_with_broken_links_only(tmp_path):
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"1 cannot be used, the first is 'lost\.jpg': a broken"):
        open_collection(tmp_path)


def test_glob_without_matches(make_images):
    root = make_images("a.jpg")
    with pytest.raises(DataError, match="no images found"):
        open_collection(f"{root}/*.png")
    with pytest.raises(DataError, match="there is no folder"):
        open_collection(f"{root}/no/*.png")


def test_digests_come_from_the_files(make_images, own_cache):
    root = make_images("a.jpg", "b.jpg")
    first = open_collection(root).digests()
    assert len(set(first)) == 2
    np.testing.assert_array_equal(open_collection(root).digests(), first)
    (root / "a.jpg").write_bytes((root / "b.jpg").read_bytes())
    assert open_collection(root).digests().tolist() == [first[1], first[1]]
