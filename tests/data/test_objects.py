"""Data set objects: fakes that behave like torchvision's and Hugging Face's, and the real ones."""

import io

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import DataError, UsageError
from usl.data import open_collection
from usl.data.objects import from_huggingface, from_torchvision


def picture(shade: int) -> Image.Image:
    return Image.new("L", (4, 3), shade)


class FakeVision:
    """Like torchvision.datasets.CIFAR10."""

    classes = ("cat", "dog")

    def __init__(self, *targets: int) -> None:
        self.targets = list(targets)
        self.opened = 0

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        self.opened += 1
        return picture(index), self.targets[index]


class Subset:
    """Like torch.utils.data.Subset."""

    def __init__(self, dataset, indices) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int):
        return self.dataset[self.indices[index]]


def test_torchvision():
    dataset = FakeVision(0, 1, 1)
    collection = open_collection(dataset, subset="val")
    assert collection.ids.tolist() == ["val/00000", "val/00001", "val/00002"]
    assert collection.labels.tolist() == ["cat", "dog", "dog"]
    assert dataset.opened == 0, "labels are known without decoding an image"
    assert collection.images.read(2).getpixel((0, 0)) == 2
    assert len(set(collection.digests().tolist())) == 3
    assert (collection.kind, collection.source) == ("torchvision", "FakeVision")


def test_torchvision_subsets_by_name():
    collection = from_torchvision({"test": FakeVision(1), "train": FakeVision(0, 1)})
    assert collection.ids.tolist() == ["train/00000", "train/00001", "test/00000"]
    assert collection.labels.tolist() == ["cat", "dog", "dog"]
    assert [collection.images.read(row).getpixel((0, 0)) for row in range(3)] == [0, 1, 0]


def test_torch_subset():
    collection = from_torchvision(Subset(FakeVision(0, 1, 1), [2, 0]))
    assert collection.labels.tolist() == ["dog", "cat"]
    assert collection.images.read(0).getpixel((0, 0)) == 2


def test_items_are_asked_for_labels_if_nothing_else_tells():
    class Items:
        items = ((picture(0), 4), (picture(1), np.int64(5)))

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int):
            return self.items[index]

    collection = from_torchvision(Items())
    assert collection.labels.tolist() == ["4", "5"]


def test_real_torchvision():
    datasets = pytest.importorskip("torchvision.datasets")
    collection = open_collection(datasets.FakeData(5, image_size=(3, 8, 8), num_classes=3))
    assert len(collection) == 5
    assert set(collection.labels) <= {"0", "1", "2"}
    assert collection.images.read(0).size == (8, 8)
    transforms = pytest.importorskip("torchvision.transforms")
    tensors = open_collection(datasets.FakeData(2, (3, 8, 8), 3, transforms.ToTensor()))
    with pytest.raises(DataError, match=r"expected a PIL image, got Tensor.*without a transform"):
        tensors.images.read(0)


class ClassLabel:
    names = ("cat", "dog")


class FakeHub:
    """Like datasets.Dataset."""

    def __init__(self, *labels: int, image: str = "picture", typed: bool = True) -> None:
        self.columns = {image: list(range(len(labels))), "kind": list(labels), "width": [1] * 9}
        kinds = {image: type("Image", (), {})(), "kind": ClassLabel(), "width": object()}
        self.features = kinds if typed else {name: object() for name in kinds}
        self.column_names = list(kinds)

    def __len__(self) -> int:
        return len(self.columns["kind"])

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: picture(column[key]) for name, column in self.columns.items()}


def test_huggingface():
    collection = open_collection(FakeHub(0, 1, -1))
    assert collection.ids.tolist() == ["train/00000", "train/00001", "train/00002"]
    assert collection.labels.tolist() == ["cat", "dog", None]
    assert collection.images.read(1).getpixel((0, 0)) == 1
    assert collection.kind == "huggingface"


def test_huggingface_dict():
    collection = from_huggingface({"validation": FakeHub(1), "train": FakeHub(0)})
    assert collection.ids.tolist() == ["train/00000", "val/00000"]
    assert collection.labels.tolist() == ["cat", "dog"]


def test_huggingface_columns_by_name():
    unusual = FakeHub(0, image="Bild", typed=False)
    with pytest.raises(UsageError, match=r"Which column holds the images.*Bild, kind, width"):
        from_huggingface(unusual)
    untyped = FakeHub(0, 1, typed=False)
    assert from_huggingface(untyped).labels is None
    collection = from_huggingface(untyped, image_column="picture", label_column="kind")
    assert collection.labels.tolist() == ["0", "1"]
    with pytest.raises(UsageError, match=r"No column 'kid'.*Did you mean 'kind'"):
        from_huggingface(untyped, label_column="kid")


def test_huggingface_undecoded_images():
    class Raw(FakeHub):
        def __getitem__(self, key):
            if isinstance(key, str):
                return super().__getitem__(key)
            content = io.BytesIO()
            picture(200).save(content, "PNG")
            return {"picture": {"bytes": content.getvalue(), "path": None}}

    assert from_huggingface(Raw(0)).images.read(0).getpixel((0, 0)) == 200


def test_arrays():
    features = open_collection(np.ones((3, 2)))
    assert features.ids.tolist() == ["train/00000", "train/00001", "train/00002"]
    assert open_collection(np.zeros((3, 4, 4), dtype=np.uint8)).images.read(0).size == (4, 4)
    torch = pytest.importorskip("torch")
    assert open_collection(torch.ones(3, 2)).features.shape == (3, 2)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (["a.jpg", "b.jpg"], {}, "A list cannot be opened.*table with a path column"),
        (5, {}, "A int cannot be opened"),
        (np.ones((2, 2)), {"subset": "val"}, "kind 'memory' has no option 'subset'; it has none"),
        (FakeVision(0), {"subste": "val"}, "no option 'subste'.*Did you mean 'subset'"),
        (FakeVision(0), {"subset": "dev"}, "Unknown subset 'dev'"),
    ],
)
def test_misuse(source, options, message):
    with pytest.raises(UsageError, match=message):
        open_collection(source, **options)


def test_streams_and_empty_sets():
    class Stream:
        column_names = ("image",)
        features = None

    with pytest.raises(UsageError, match="streaming=False"):
        open_collection(Stream())
    with pytest.raises(DataError, match="torchvision data set is empty"):
        open_collection(FakeVision())
