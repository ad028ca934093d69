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


def test_one_name_composed_and_decomposed_names_both_files(make_images):
    root = make_images("Zürich/ä.jpg")
    other = root / unicodedata.normalize("NFD", "Zürich/ä.jpg")
    if other.exists():
        pytest.skip("one name for this file system")
    other.parent.mkdir()
    other.write_bytes(b"")
    with pytest.raises(DataError, match=r"two files are called .*u\\u0308.* and .*\\xfc"):
        open_collection(root)


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
    (tmp_path / "1.cr2").write_bytes(b"")
    (tmp_path / "2.CR2").write_bytes(b"")
    with pytest.raises(DataError, match=r"Looked for files ending in \.jpg.*\(2 x \.cr2\)"):
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


@pytest.mark.parametrize("wrap", ["", "sorted/", "download/sorted/"])
def test_a_folder_that_wraps_all_others_is_looked_through(make_images, wrap):
    files = ["cat/1.png", "dog/2.png", "unlabeled/3.png"]
    collection = open_collection(make_images(*(wrap + file for file in files)))
    assert names(collection) == [wrap + file for file in files], "ids are paths all the same"
    assert collection.labels.tolist() == ["cat", "dog", None]
    assert set(collection.subsets) == {"train"}


@pytest.mark.parametrize("wrap", ["", "set/"])
def test_subsets_and_unlabeled_mean_what_they_say(make_images, wrap):
    files = ["test/cat/4.png", "test/dog/5.png", "train/cat/1.png", "train/dog/2.png"]
    files += ["unlabeled/3.png"]
    collection = open_collection(make_images(*(wrap + file for file in files)))
    assert collection.subsets.tolist() == ["test", "test", "train", "train", "train"]
    assert collection.labels.tolist() == ["cat", "dog", "cat", "dog", None]


def test_one_class_of_train_alone_in_another_subset(make_images):
    files = ["train/cat/1.png", "train/dog/2.png", "val/dog/3.png", "test/owl/4.png"]
    collection = open_collection(make_images(*files))
    assert dict(zip(names(collection), collection.labels, strict=True)) == {
        "train/cat/1.png": "cat",
        "train/dog/2.png": "dog",
        "val/dog/3.png": "dog",
        "test/owl/4.png": None,
    }


def test_unlabelled_below_a_subset(make_images):
    collection = open_collection(make_images("train/cat/1.png", "train/Unlabelled/a/2.png"))
    assert collection.labels.tolist() == [None, "cat"]


@pytest.mark.parametrize(
    "folder",
    [
        "@eaDir",
        "#recycle",
        "@Recycle",
        "$RECYCLE.BIN",
        "RECYCLER",
        "System Volume Information",
        "lost+found",
        ".Trash-1000",
        ".thumbnails",
        ".@__thumb",
        "__MACOSX",
    ],
)
def test_recycle_bins_and_thumbnails_are_no_images(make_images, folder):
    root = make_images("a.jpg", f"{folder}/b.jpg", f"deep/{folder}/x/c.jpg", "deep/d.jpg")
    assert names(open_collection(root)) == ["a.jpg", "deep/d.jpg"]
    assert names(open_collection(f"{root}/**/*.jpg")) == ["a.jpg", "deep/d.jpg"]
    if not folder.startswith("."):
        assert open_collection(root).passed_over == {f"{folder}/": 2}


def test_runs_and_exports_inside_the_source_are_no_images(make_images):
    root = make_images(
        "red/a.jpg", "green/b.jpg", "run/x/c.jpg", "run/exports/folders/red/d.jpg", "out/e.jpg"
    )
    (root / "run/run.json").write_text('{"format": 1, "source": {}}')
    (root / "out/.usl-export.json").write_text("{}")
    for source in (root, f"{root}/**/*.jpg"):
        assert names(open_collection(source)) == ["green/b.jpg", "red/a.jpg"]
    assert open_collection(root).labels.tolist() == ["green", "red"]
    assert open_collection(root).passed_over == {"run and export folders of usl": 2}
    assert names(open_collection(root / "out")) == ["e.jpg"], "named itself, it is a source"


def test_a_file_called_run_json_alone_makes_no_run(make_images):
    root = make_images("a.jpg", "b/c.jpg")
    (root / "b/run.json").write_text('{"camera": "x"}')
    assert len(open_collection(root)) == 2


def test_files_passed_over_are_counted_and_pictures_among_them_said(make_images, monkeypatch):
    from usl.data import endings, listing

    readable = (*endings.USUAL, *endings.JPEG_2000)
    monkeypatch.setattr(listing, "readable_endings", lambda: readable)
    root = make_images("a.jpg")
    for number in range(3):
        for ending in ("HEIC", "dng", "txt"):
            (root / f"{number}.{ending}").write_bytes(b"")
    collection = open_collection(root)
    assert names(collection) == ["a.jpg"]
    assert collection.passed_over == {".heic": 3, ".dng": 3, ".txt": 3}
    (note,) = collection.notes
    assert "6 files were passed over: " in note
    assert "3 x .heic" in note
    assert "3 x .dng" in note
    assert note.endswith("To read them: pip install 'usl[photos]'.")


def test_texts_passed_over_are_counted_in_silence(make_images):
    root = make_images("a.jpg")
    (root / "notes.txt").write_text("x")
    collection = open_collection(root)
    assert (collection.passed_over, collection.notes) == ({".txt": 1}, ())


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPE", "pjpeg", "jif"])
def test_other_endings_of_jpeg(make_images, ending):
    root = make_images("a.jpg")
    (root / "a.jpg").rename(root / f"b.{ending}")
    collection = open_collection(root)
    assert names(collection) == [f"b.{ending}"]
    assert collection.images.read(0).size == (8, 6)


@pytest.mark.parametrize("ending", ["heic", "avif", "jp2"])
def test_formats_of_phones_and_scanners(make_images, ending):
    from PIL import Image

    from usl.data.endings import formats, readable_endings

    if f".{ending}" not in readable_endings():
        pytest.skip("no decoder")
    formats()  # registers them
    root = make_images("a.png")
    with Image.open(root / "a.png") as image:
        image.resize((64, 48)).save(root / f"b.{ending}")
    collection = open_collection(root)
    assert names(collection) == ["a.png", f"b.{ending}"]
    assert collection.images.read(1).size == (64, 48)


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_links_that_lead_nowhere_are_named(make_images):
    root = make_images("a.jpg")
    (root / "loop").symlink_to("loop")
    (root / "one.jpg").symlink_to("two.jpg")
    (root / "two.jpg").symlink_to("one.jpg")
    (root / "long.jpg").symlink_to("x" * 300)
    (root / "gone.jpg").symlink_to("nowhere.jpg")
    for source in (root, f"{root}/*"):
        collection = open_collection(source)
        assert names(collection) == ["a.jpg"]
        why = dict(collection.skipped)
        assert why["gone.jpg"] == "a broken link, or no regular file"
        assert "too long" in why["long.jpg"]
        assert "a link to itself, or one of a circle" in why["one.jpg"]
    assert "a link to itself" in dict(open_collection(root).skipped)["loop"]


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_linked_folders_count_once(make_images):
    root = make_images("z/a.jpg", "z/deep/b.jpg")
    elsewhere = make_images("c.jpg", folder="elsewhere")
    for name in ("link to z", "z/deep/up"):
        (root / name).symlink_to(root / "z")
    for name in ("first", "second"):
        (root / name).symlink_to(elsewhere)
    collection = open_collection(root)
    assert names(collection) == ["first/c.jpg", "z/a.jpg", "z/deep/b.jpg"]
    (note,) = collection.notes
    assert note.endswith(
        "3 links to folders that are listed already: link to z, second, z/deep/up."
    )


@pytest.mark.skipif(os.name != "posix", reason="bytes as file names")
def test_a_folder_whose_name_is_no_utf8_is_refused_before_any_work(make_images, monkeypatch):
    root = make_images("a.jpg")
    strange = os.fsencode(root.parent) + b"/caf\xe9"
    try:
        os.rename(root, strange)
    except OSError:
        pytest.skip("this file system wants UTF-8")
    for source in (os.fsdecode(strange), os.fsdecode(strange) + "/*.jpg"):
        with pytest.raises(DataError, match=r"caf\\udce9.*not valid UTF-8.*Rename the folder"):
            open_collection(source)
    monkeypatch.chdir(strange)
    with pytest.raises(DataError, match="not valid UTF-8"):
        open_collection(".")


def test_linked_folders_and_circles_count_once_in_a_folder_and_in_a_glob(make_images, tmp_path):
    make_images("a/1.png", "a/deep/2.png")
    make_images("3.png", folder="other")
    photos = tmp_path / "photos"
    (photos / "b").mkdir()
    for name, target in (
        ("b/a", "../a"),
        ("b/other", "../../other"),
        ("b/same", "../../other"),
        ("a/up", ".."),
        ("self", "."),
        ("b/again", "../../photos"),
    ):
        (photos / name).symlink_to(target)
    for source in (photos, photos / "**" / "*.png", photos / "**"):
        found = open_collection(source)
        assert len(found) == 3, source
        assert {name.rpartition("/")[2] for name in found.ids.tolist()} == {
            "1.png",
            "2.png",
            "3.png",
        }
    assert open_collection(photos / "b" / "a" / "*.png").ids.tolist() == ["1.png"]
    assert open_collection(photos / "*" / "*.png").ids.tolist() == ["a/1.png"]
