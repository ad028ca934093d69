"""The one door: who reads what, and what is said when nobody can."""

import numpy as np
import pytest

from usl.core.errors import DataError, UsageError
from usl.data import Collection, open_collection
from usl.data.open import all_readers


def test_readers_are_discovered_in_the_documented_order():
    readers = all_readers()
    assert [reader.__name__.rpartition(".")[2] for reader in readers] == [
        "builtin",
        "cifar",
        "idx",
        "medmnist",
        "webdataset",
        "hub",
        "embeddings",
        "shards",
        "manifest",
        "folder",
    ]
    for reader in readers:
        assert len(reader.__doc__) > 200, "the docstring is the format's documentation"


@pytest.mark.parametrize("reader", all_readers(), ids=lambda reader: reader.__name__)
def test_readers_look_without_stumbling(reader, tmp_path):
    for name in ("x", "x.npz", "x.csv", "x.jsonl", "x.parquet", "x.npy", "x.jpg"):
        (tmp_path / name).write_bytes(b"\0\xff\xfe nonsense")
        assert reader.matches(tmp_path / name) in (True, False)
    assert reader.matches(tmp_path / "missing") is False


def test_a_collection_is_returned_as_it_is():
    collection = Collection(np.array(["a"]), np.array(["train"]), features=np.ones((1, 2)))
    assert open_collection(collection) is collection


def test_missing_path_suggests_the_nearest_name(make_images):
    root = make_images("a.jpg", folder="holiday")
    with pytest.raises(DataError, match=r"no such file or folder.*Did you mean '.*/holiday'"):
        open_collection(root.with_name("holidya"))
    with pytest.raises(DataError, match=r"Did you mean '.*/holiday'"):
        open_collection(root.with_name("holidya") / "deep" / "er")
    with pytest.raises(DataError, match=r"no such file or folder\.$"):
        open_collection(root / "quite different")


def test_an_extension_in_common_is_no_near_miss(tmp_path):
    (tmp_path / "tiny_imagenet.npz").touch()
    with pytest.raises(DataError, match=r"no such file or folder\.$"):
        open_collection(tmp_path / "nothere.npz")
    with pytest.raises(DataError, match=r"Did you mean '.*/tiny_imagenet.npz'"):
        open_collection(tmp_path / "imagenet.npz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photos.zip", "archives are not opened. Unpack it"),
        ("cifar-10-python.tar.gz", "archives are not opened"),
        ("notes.md", "unknown format. Understood are: "),
        ("a.jpg", "one image is no collection. Name its folder"),
        ("table.csv", r"no column of paths or numbers.*it has: camera"),
        ("empty.csv", "no column of paths or numbers"),
    ],
)
def test_files_of_no_known_kind(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"" if name == "empty.csv" else b"camera\nx\n")
    with pytest.raises(DataError, match=message):
        open_collection(tmp_path / name)


def test_empty_source():
    with pytest.raises(UsageError, match="source is empty"):
        open_collection(" ")


def test_home_folder_is_understood(make_images, monkeypatch):
    root = make_images("a.jpg")
    monkeypatch.setenv("HOME", str(root.parent))
    assert open_collection("~/photos").ids.tolist() == ["a.jpg"]


def test_unknown_option_names_the_options(make_images):
    with pytest.raises(UsageError, match=r"'folder' has no option 'lables'.*Did you mean 'labels'"):
        open_collection(make_images("a.jpg"), lables="none")


def test_duplicate_ids_are_refused(make_images):
    root = make_images("a.jpg", "b.jpg")
    (root / "list.csv").write_text("path,id\na.jpg,1\nb.jpg,1\n")
    with pytest.raises(DataError, match="the id '1' is taken"):
        open_collection(root / "list.csv")
