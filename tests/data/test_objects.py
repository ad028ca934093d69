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
        ([], {}, "A list cannot be opened.* a list of image files"),
        ([1, 2], {}, "A list cannot be opened.* a list of image files"),
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


class Items:
    """A data set of anything."""

    def __init__(self, *items) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int):
        return self.items[index]


@pytest.mark.parametrize(
    ("item", "label"),
    [
        (picture(7), None),
        ((picture(7),), None),
        ((picture(7), "cat"), "cat"),
        ((picture(7), -1), None),
        ((5, picture(7), "cat"), "cat"),
        (("cat", picture(7)), "cat"),
        ({"image": picture(7), "label": 1}, "1"),
        ({"pixels": picture(7), "target": [3]}, "3"),
        ({"image": picture(7)}, None),
        (np.full((3, 4), 7, np.uint8), None),
    ],
)
def test_any_kind_of_item(item, label):
    collection = open_collection(Items(item, item))
    assert collection.images.read(1).getpixel((0, 0)) == 7
    found = None if collection.labels is None else collection.labels[1]
    assert found == label


def test_items_without_an_image_and_items_that_fail():
    with pytest.raises(UsageError, match="mappings of text, label, and none of these is an image"):
        open_collection(Items({"text": "x", "label": 1}))

    class Broken(Items):
        def __getitem__(self, index: int):
            raise KeyError(index)

    with pytest.raises(DataError, match=r"Broken\[0\]: the data set cannot give this item"):
        open_collection(Broken(1))


def test_several_labels_are_counted():
    collection = open_collection(Items((picture(0), [1, 2]), (picture(1), [2]), (picture(2), [])))
    assert collection.labels.tolist() == [None, "2", None]
    assert "1 row has several labels" in collection.notes[0]


def test_medmnist_objects():
    class Med(Items):
        labels = np.array([[0], [2]])

    assert open_collection(Med(picture(0), picture(1))).labels.tolist() == ["0", "2"]


def test_arrays_by_subset():
    found = open_collection(
        {"train": np.zeros((2, 4, 4), np.uint8), "test": np.ones((1, 4, 4), np.uint8)}
    )
    assert found.ids.tolist() == ["train/00000", "train/00001", "test/00000"]
    found = open_collection({"val": np.ones((1, 3)), "train": np.zeros((2, 3))})
    assert found.subsets.tolist() == ["train", "train", "val"]
    assert found.features.shape == (3, 3)
    with pytest.raises(UsageError, match=r"must be features .* of one width"):
        open_collection({"val": np.ones((1, 3)), "train": np.zeros((2, 4))})


def test_tables_in_memory():
    pandas = pytest.importorskip("pandas")
    numbers = pandas.DataFrame(np.arange(6.0).reshape(3, 2)).convert_dtypes()
    assert open_collection(numbers).features.tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("gradient", [True, False])
def test_tensors(kind, gradient):
    torch = pytest.importorskip("torch")
    from usl import select

    values = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    tensor = torch.tensor(values).to(getattr(torch, kind)).requires_grad_(gradient)
    np.testing.assert_allclose(open_collection(tensor).features[:], values, rtol=2e-2)
    assert len(select(tensor, 2).indices) == 2


def test_hugging_face_data_sets_in_a_format_of_tensors():
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("torch")
    names = datasets.ClassLabel(names=["cat", "dog"])
    kinds = {"image": datasets.Image(), "label": names, "labels": datasets.Sequence(names)}
    made = datasets.Dataset.from_dict(
        {"image": [picture(5)] * 3, "label": [0, -1, 1], "labels": [[1], [0, 1], []]},
        features=datasets.Features(kinds),
    ).with_format("torch")
    found = open_collection(made)
    assert found.labels.tolist() == ["cat", None, "dog"]
    assert found.images.read(0).getpixel((0, 0)) == 5
    assert open_collection(made, label_column="labels").labels.tolist() == ["dog", None, None]


def test_sparse_matrices_and_arrays_of_other_libraries():
    sparse = pytest.importorskip("scipy.sparse")
    assert open_collection(sparse.eye_array(3, format="csr")).features.shape == (3, 3)

    class Foreign:
        shape = (2, 2)

        def __array__(self, dtype=None, copy=None):
            return np.ones((2, 2))

        def __getitem__(self, index):
            raise IndexError(index)

    assert open_collection(Foreign()).features.tolist() == [[1, 1], [1, 1]]


def test_deep_greys_of_objects_are_counted():
    deep = Image.fromarray(np.full((3, 4), 4000, np.uint16))
    collection = open_collection(Items(deep, picture(1)))
    assert collection.take([0]).images.read(0).getpixel((0, 0)) == 249
    assert collection.images.scaled == {"12 bits in 16 or more": 1}
