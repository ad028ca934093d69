"""idx, CIFAR and MedMNIST layouts, small and made here."""

import gzip
import pickle
import struct

import numpy as np
import pytest

from usl.core.errors import DataError
from usl.data import open_collection

RNG = np.random.default_rng(0)


def idx_bytes(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("folder", ["", "raw"])
def test_idx(tmp_path, zipped, folder):
    train, test = pixels(3, 4, 5), pixels(2, 4, 5)
    files = {
        "train-images-idx3-ubyte": train,
        "train-labels-idx1-ubyte": np.array([7, 0, 7], dtype=np.uint8),
        "t10k-images-idx3-ubyte": test,
        "t10k-labels-idx1-ubyte": np.array([1, 2], dtype=np.uint8),
    }
    (tmp_path / folder).mkdir(exist_ok=True)
    for name, array in files.items():
        content = idx_bytes(array)
        path = tmp_path / folder / (name + ".gz" * zipped)
        path.write_bytes(gzip.compress(content) if zipped else content)
    collection = open_collection(tmp_path)
    assert collection.kind == "idx"
    assert collection.ids.tolist() == [f"train/0000{i}" for i in range(3)] + [
        "test/00000",
        "test/00001",
    ]
    assert collection.labels.tolist() == ["7", "0", "7", "1", "2"]
    np.testing.assert_array_equal(np.asarray(collection.images.read(4)), test[1])


def test_idx_without_labels(tmp_path):
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx_bytes(pixels(3, 4, 5)))
    assert open_collection(tmp_path).labels is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"\0\0\x0d\x03" + b"\0" * 12, "not an idx file of uint8"),
        (idx_bytes(pixels(3, 4, 5))[:-1], "59 bytes where the header promises 3 x 4 x 5"),
        (gzip.compress(idx_bytes(pixels(3, 4, 5)), mtime=0)[:-9], "cannot be read"),
    ],
    ids=["empty", "another type", "cut short", "zipped, cut short"],
)
def test_broken_idx(tmp_path, content, message):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_collection(tmp_path)


def test_idx_with_other_labels(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(pixels(3, 4, 5)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(pixels(2)))
    with pytest.raises(DataError, match="3 images but 2 labels"):
        open_collection(tmp_path)


def python2_pickle(content: dict) -> bytes:
    """The kind of pickle the CIFAR files are: protocol 2, NumPy's old module, text as bytes."""
    text = pickle.dumps(content, protocol=2).replace(b"numpy._core.", b"numpy.core.")
    # Python 2 stores str as SHORT_BINSTRING (U) where Python 3 stores BINUNICODE (X).
    out, at = b"", 0
    while (start := text.find(b"X", at)) >= 0:
        length = int.from_bytes(text[start + 1 : start + 5], "little")
        word = text[start + 5 : start + 5 + length]
        if 0 < length < 30 and word.isascii() and word.replace(b"_", b"").isalnum():
            out += text[at:start] + b"U" + bytes([length]) + word
            at = start + 5 + length
        else:
            out += text[at : start + 1]
            at = start + 1
    return out + text[at:]


@pytest.fixture
def cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    data = pixels(12, 3072)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for number, name in enumerate(names):
        rows = slice(2 * number, 2 * number + 2)
        batch = {"data": data[rows], "labels": [number, 9 - number], "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {"label_names": [f"class{number}" for number in range(10)]}
    (folder / "batches.meta").write_bytes(python2_pickle(meta))
    return folder, data


@pytest.mark.parametrize("parent", [True, False])
def test_cifar10(cifar10, parent):
    folder, data = cifar10
    collection = open_collection(folder.parent if parent else folder)
    assert collection.kind == "cifar"
    assert collection.ids.tolist() == [f"train/{i:05d}" for i in range(10)] + [
        "test/00000",
        "test/00001",
    ]
    assert collection.labels[:4].tolist() == ["class0", "class9", "class1", "class8"]
    expected = data[3].reshape(3, 32, 32).transpose(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(collection.images.read(3)), expected)


def test_cifar10_as_torchvision_reads_it(cifar10, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    folder, _ = cifar10
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    reference = datasets.CIFAR10(folder.parent, train=True)
    collection = open_collection(folder)
    for row, (image, target) in enumerate(reference):
        assert collection.images.read(row).tobytes() == image.tobytes()
        assert collection.labels[row] == reference.classes[target]


def test_cifar100(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, n in (("train", 3), ("test", 2)):
        batch = {b"data": pixels(n, 3072), b"fine_labels": [1] * n, b"coarse_labels": [0] * n}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["apple", "bear"]}))
    assert open_collection(tmp_path).labels.tolist() == ["bear"] * 5


def test_both_cifars_in_one_folder_are_ambiguous(cifar10):
    other = cifar10[0].parent / "cifar-100-python"
    other.mkdir()
    for name in ("train", "test", "meta"):
        (other / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"holds two data sets.*Name one of them"):
        open_collection(other.parent)


class Hostile:
    def __reduce__(self):
        return print, ("this must not be printed",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"data": Hostile(), "labels": []}),
        pickle.dumps({"data": np.array([None]), "labels": [0]}, protocol=2),
        pickle.dumps({"data": np.zeros((1, 3072)), "labels": [0]}, protocol=2),
        b"cposix\nsystem\n(S'echo no'\ntR.",
        b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        pickle.dumps({"labels": [0]})[:-4],
        pickle.dumps([1, 2]),
        b"",
    ],
)
def test_pickles_that_are_more_than_data_are_refused(cifar10, capsys, content):
    folder, _ = cifar10
    (folder / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_2: (not read|expected a pickled dict)"):
        open_collection(folder)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"labels": [0]}, "no uint8 array 'data'"),
        ({"data": pixels(1, 10), "labels": [0]}, "no uint8 array 'data'"),
        ({"data": pixels(1, 3072), "labels": [0, 1]}, "no list 'labels' of 1 labels"),
        ({"data": pixels(1, 3072), "labels": [10]}, "label 10 has no name"),
    ],
)
def test_broken_batches(cifar10, batch, message):
    folder, _ = cifar10
    (folder / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(DataError, match=message):
        open_collection(folder)


def test_missing_batch_is_named(cifar10):
    (cifar10[0] / "data_batch_4").unlink()
    with pytest.raises(DataError, match="data_batch_4"):
        open_collection(cifar10[0])


@pytest.mark.parametrize("channels", [(), (3,)])
def test_medmnist(tmp_path, channels):
    arrays = {}
    for subset, n in (("train", 4), ("val", 2), ("test", 3)):
        arrays[f"{subset}_images"] = pixels(n, 28, 28, *channels)
        arrays[f"{subset}_labels"] = np.full((n, 1), n, dtype=np.uint8)
    np.savez_compressed(tmp_path / "bloodmnist.npz", **arrays)
    collection = open_collection(tmp_path / "bloodmnist.npz")
    assert collection.kind == "medmnist"
    assert collection.ids[[0, 4, 6]].tolist() == ["train/00000", "val/00000", "test/00000"]
    assert collection.labels.tolist() == ["4"] * 4 + ["2"] * 2 + ["3"] * 3
    np.testing.assert_array_equal(np.asarray(collection.images.read(5)), arrays["val_images"][1])


def test_multi_label_medmnist_has_no_labels(tmp_path):
    labels = np.ones((2, 14), dtype=np.uint8)
    np.savez(tmp_path / "m.npz", train_images=pixels(2, 28, 28), train_labels=labels)
    assert open_collection(tmp_path / "m.npz").labels is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_images": pixels(2, 28, 28, 28)}, "images must be uint8"),
        ({"train_images": pixels(0, 28, 28)}, "holds no images"),
        ({"train_images": pixels(2, 9, 9), "test_images": pixels(2, 8, 8)}, "differ in size"),
        ({"train_images": pixels(2, 9, 9), "train_labels": pixels(3, 1)}, "2 train_images but 3"),
    ],
)
def test_broken_medmnist(tmp_path, arrays, message):
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(DataError, match=message):
        open_collection(tmp_path / "m.npz")
