"""The three places that pictures come from."""

import pickle

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import DataError
from usl.core.hashing import array_digest, bytes_digest
from usl.data.images import ArrayImages, FileImages, ObjectImages


def test_files(make_images):
    root = make_images("a.png", "deep/b.png")
    images = FileImages(root, ["a.png", "deep/b.png"])
    assert len(images) == 2
    assert images.read(1).size == (8, 6)
    assert images.digest(1) == bytes_digest((root / "deep/b.png").read_bytes())
    turned = images.take([1, 0, 1])
    assert [turned.digest(row) for row in range(3)] == [images.digest(row) for row in (1, 0, 1)]
    assert pickle.loads(pickle.dumps(turned)).digest(0) == images.digest(1)


def test_missing_file_has_no_digest(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        FileImages(tmp_path, ["gone.png"]).digest(0)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 1), (4, 5, 6, 3)])
def test_arrays(shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    images = ArrayImages(array)
    picture = images.read(2)
    assert picture.mode == ("RGB" if shape[-1] == 3 and len(shape) == 4 else "L")
    np.testing.assert_array_equal(np.asarray(picture), array[2].squeeze())
    assert images.digest(2) == array_digest(array[2].squeeze())
    chosen = images.take([3, 2]).take([1])
    assert len(chosen) == 1
    assert chosen.digest(0) == images.digest(2)


def test_memory_mapped_array_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    images = ArrayImages(np.load(tmp_path / "x.npy", mmap_mode="r")).take([2, 0])
    assert isinstance(images.array, np.memmap)
    assert np.asarray(images.read(1)).tolist() == np.arange(20).reshape(4, 5).tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 4), dtype=np.float32),
        np.zeros((2, 3, 4, 4), dtype=np.uint8),
        np.zeros((2, 3), dtype=np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(DataError, match="must be uint8"):
        ArrayImages(array)


def test_objects():
    pictures = [Image.new("RGBA", (2, 2), (0, 0, 0, 0)), np.full((2, 2), 9, dtype=np.uint8)]
    images = ObjectImages(pictures, list.__getitem__)
    assert np.asarray(images.read(0)).tolist() == [[[255] * 3] * 2] * 2
    assert images.take([1]).digest(0) == array_digest(pictures[1])


def test_object_faults_are_named():
    images = ObjectImages([1.5], list.__getitem__, name="Fake")
    with pytest.raises(DataError, match=r"Fake\[0\]: expected a PIL image, got float.*transform"):
        images.read(0)
    broken = ObjectImages([1], lambda dataset, index: dataset[index + 1], name="Fake")
    with pytest.raises(DataError, match=r"Fake\[0\]: the data set cannot give"):
        broken.read(0)
