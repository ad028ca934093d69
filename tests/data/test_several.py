"""Several data sets in one folder are refused by name."""

import gzip
import struct

import numpy as np
import pytest

from usl.core.errors import DataError
from usl.data import open_collection


def idx(folder, prefix="", zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    content = struct.pack(">HBBIII", 0, 8, 3, 2, 3, 3) + bytes(18)
    if zipped:
        (folder / f"{prefix}train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    else:
        (folder / f"{prefix}train-images-idx3-ubyte").write_bytes(content)


def medmnist(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, train_images=np.zeros((2, 4, 4), np.uint8), train_labels=np.zeros((2, 1)))


def test_two_sets_of_idx_files(tmp_path):
    idx(tmp_path, "emnist-letters-")
    idx(tmp_path, "emnist-letters-", zipped=True)
    assert len(open_collection(tmp_path)) == 2, "one set, twice"
    idx(tmp_path, "emnist-digits-")
    with pytest.raises(DataError, match="2 data sets, emnist-digits, emnist-letters"):
        open_collection(tmp_path)


def test_idx_files_and_archives_of_medmnist(tmp_path):
    idx(tmp_path)
    medmnist(tmp_path / "pathmnist.npz")
    with pytest.raises(DataError, match=r"2 data sets, idx, pathmnist\.npz"):
        open_collection(tmp_path)


def test_archives_of_medmnist(tmp_path):
    for name in ("bloodmnist.npz", "pathmnist.npz"):
        medmnist(tmp_path / name)
    with pytest.raises(DataError, match=r"2 data sets, bloodmnist\.npz, pathmnist\.npz. Name one"):
        open_collection(tmp_path)


def test_sets_in_folders_are_named(tmp_path):
    idx(tmp_path / "MNIST" / "raw")
    idx(tmp_path / "FashionMNIST" / "raw")
    with pytest.raises(DataError, match=r"in its folders, FashionMNIST/idx, MNIST/idx. Name one"):
        open_collection(tmp_path)
    assert len(open_collection(tmp_path / "MNIST")) == 2


def test_a_folder_of_images_with_archives_in_it_stays_one(make_images):
    root = make_images("a.jpg", "b.jpg")
    for name in ("bloodmnist.npz", "pathmnist.npz"):
        medmnist(root / name)
    collection = open_collection(root)
    assert len(collection) == 2
    assert collection.passed_over == {".npz": 2}
