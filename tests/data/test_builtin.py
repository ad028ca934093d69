"""The image set in the wheel is the file that the script builds."""

import hashlib
import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest

from usl.core.errors import UsageError
from usl.data import open_collection

ROOT = Path(__file__).parents[2]
FILE = ROOT / "src/usl/data/builtin/fashion_mnist_6k.npz"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("builder", ROOT / "scripts/build_builtin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_file_is_the_recorded_one():
    content = FILE.read_bytes()
    recorded, name = (FILE.parent / f"{FILE.name}.sha256").read_text().split()
    assert (hashlib.sha256(content).hexdigest(), FILE.name) == (recorded, name)
    assert len(content) <= 4_000_000
    assert "Zalando SE" in (FILE.parent / "LICENSE.fashion-mnist").read_text()


@pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_rebuilt_byte_for_byte(script):
    assert script.build(DEBIAN) == FILE.read_bytes()


def test_draw_is_even_and_fixed(script):
    indices = script.draw("train", 60_000, 5_000)
    assert len(set(indices.tolist())) == 5_000
    assert indices.min() >= 0
    assert indices.max() < 60_000
    counts = np.histogram(indices, bins=10, range=(0, 60_000))[0]
    assert abs(counts - 500).max() < 5 * np.sqrt(500)
    with np.load(FILE) as arrays:
        np.testing.assert_array_equal(arrays["train_indices"], indices)


def test_archive_does_not_depend_on_the_clock(script, monkeypatch):
    arrays = {"x": np.arange(5)}
    first = script.stored_npz(arrays)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert script.stored_npz(arrays) == first


def test_opens_as_a_collection():
    collection = open_collection("builtin:fashion_mnist")
    assert collection.kind == "builtin"
    assert collection.source == "builtin:fashion_mnist"
    assert collection.ids[[0, 4999, 5000, 5999]].tolist() == [
        "train/00000",
        "train/04999",
        "test/00000",
        "test/00999",
    ]
    assert len(collection.rows_in("train")) == 5_000
    assert len(collection.rows_in("test")) == 1_000
    counts = {name: int((collection.labels == name).sum()) for name in set(collection.labels)}
    assert len(counts) == 10
    assert counts["Ankle boot"] > 0
    assert len(set(counts.values())) > 1, "the draw is not stratified"
    picture = collection.images.read(0)
    assert (picture.mode, picture.size) == ("L", (28, 28))
    assert len(set(collection.digests().tolist())) > 5_990


def test_loads_quickly():
    open_collection("builtin:fashion_mnist")
    start = time.perf_counter()
    open_collection("builtin:fashion_mnist")
    assert time.perf_counter() - start < 1


def test_unknown_set_suggests_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'fashion_mnist'"):
        open_collection("builtin:fashionmnist")
