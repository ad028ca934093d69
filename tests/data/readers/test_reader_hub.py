"""Parquet as the Hugging Face hub writes it."""

import io
import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from usl.core.errors import DataError
from usl.data import open_collection
from usl.data.parquet_images import ParquetImages

CLASSES = {"names": ["cat", "dog"], "_type": "ClassLabel"}


def png(shade):
    content = io.BytesIO()
    Image.new("L", (5, 4), shade).save(content, "PNG")
    return content.getvalue()


def write(path, shades, labels=None, *, names=None, groups=2, kind=CLASSES, **columns):
    """A file as ``datasets.Dataset.to_parquet`` writes it, by the format's description."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = names or [None] * len(shades)
    structs = [
        {"bytes": png(shade), "path": name} for shade, name in zip(shades, names, strict=True)
    ]
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    held = {"image": pa.array(structs, struct)}
    features = {"image": {"_type": "Image"}}
    if labels is not None:
        held["label"], features["label"] = pa.array(labels), kind
    told = json.dumps({"info": {"features": features}})
    table = pa.table({**held, **columns}).replace_schema_metadata({"huggingface": told})
    pq.write_table(table, path, row_group_size=groups)
    return path


def shades(collection):
    return [collection.images.read(row).getpixel((0, 0)) for row in range(len(collection))]


def test_one_file(tmp_path):
    path = write(tmp_path / "x.parquet", [10, 20, 30, 40, 50], [0, 1, -1, None, 1])
    found = open_collection(path)
    assert found.kind == "hub"
    assert found.labels.tolist() == ["cat", "dog", None, None, "dog"]
    assert found.ids.tolist() == [f"train/{number:05d}" for number in range(5)]
    assert shades(found) == [10, 20, 30, 40, 50]
    assert shades(found.take([4, 1])) == [50, 20]
    assert pickle.loads(pickle.dumps(found.images)).read(2).getpixel((0, 0)) == 30


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "x.parquet", range(20), groups=2)
    read = []
    whole = pq.ParquetFile.read_row_group

    def counted(self, group, **options):
        read.append((group, options["columns"]))
        return whole(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    found = open_collection(path)
    assert found.labels is None
    assert read == []
    assert found.images.read(13).getpixel((0, 0)) == 13
    assert found.images.read(12).getpixel((0, 0)) == 12
    assert read == [(6, ["image"])]


def test_a_snapshot_of_a_repository(tmp_path):
    (tmp_path / "README.md").write_text("about")
    data = tmp_path / "data"
    write(data / "train-00000-of-00002.parquet", [1, 2], [0, 1])
    write(data / "train-00001-of-00002.parquet", [3], [1])
    write(data / "validation-00000-of-00001.parquet", [4], [0])
    write(data / "test-00000-of-00001.parquet", [5], [0])
    found = open_collection(tmp_path)
    assert found.subsets.tolist() == ["train"] * 3 + ["val", "test"]
    assert found.ids.tolist()[2:] == ["train/00002", "val/00000", "test/00000"]
    assert shades(found) == [1, 2, 3, 4, 5]
    assert found.labels.tolist() == ["cat", "dog", "dog", "cat", "cat"]
    assert found.passed_over == {".md": 1}
    assert len(open_collection(f"{data}/train-*.parquet")) == 3
    assert len(open_collection(data / "train-00001-of-00002.parquet")) == 1
    (data / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"1 of the 2 files.*first is train-00000-of-00002"):
        open_collection(tmp_path)


def test_folders_may_tell_the_subset(tmp_path):
    write(tmp_path / "default" / "train" / "0000.parquet", [1])
    write(tmp_path / "default" / "test" / "0000.parquet", [2])
    assert open_collection(tmp_path).subsets.tolist() == ["train", "test"]


def test_ids(tmp_path):
    path = tmp_path / "x.parquet"
    found = open_collection(write(path, [1, 2], names=["a.png", "b.png"]))
    assert found.ids.tolist() == ["a.png", "b.png"]
    found = open_collection(write(path, [1, 2], names=["a.png", "a.png"]))
    assert found.ids.tolist() == ["train/00000", "train/00001"]
    found = open_collection(
        write(path, [1, 2], names=["a.png", "b.png"], image_id=pa.array([7, 8]))
    )
    assert found.ids.tolist() == ["7", "8"]


def test_several_labels_are_none_and_counted(tmp_path):
    kind = {"feature": CLASSES, "_type": "Sequence"}
    path = write(tmp_path / "x.parquet", [1, 2, 3], [[0], [0, 1], []], kind=kind)
    found = open_collection(path)
    assert found.labels.tolist() == ["cat", None, None]
    assert "1 row has several labels" in found.notes[0]


def test_bare_bytes_called_image(tmp_path):
    table = pa.table({"img": pa.array([png(7)], pa.binary()), "label": ["x"]})
    pq.write_table(table, tmp_path / "x.parquet")
    found = open_collection(tmp_path / "x.parquet")
    assert (shades(found), found.labels.tolist()) == ([7], ["x"])


def test_broken_rows_are_named(tmp_path):
    path = tmp_path / "x.parquet"
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": b"nonsense", "path": None}, None, {"bytes": None, "path": "beside.png"}]
    pq.write_table(pa.table({"image": pa.array(rows, struct)}), path)
    (tmp_path / "beside.png").write_bytes(png(9))
    images = open_collection(path).images
    assert isinstance(images, ParquetImages)
    with pytest.raises(DataError, match=r"x\.parquet, row 1: not an image"):
        images.read(0)
    with pytest.raises(DataError, match=r"x\.parquet, row 2: image is empty"):
        images.read(1)
    assert images.read(2).getpixel((0, 0)) == 9
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        open_collection(path)


def test_as_the_library_itself_writes_it(tmp_path):
    datasets = pytest.importorskip("datasets")
    pictures = [Image.fromarray(np.full((4, 4, 3), shade, np.uint8)) for shade in (10, 20, 30)]
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    made = datasets.Dataset.from_dict(
        {"image": pictures, "label": [1, 0, -1]}, features=datasets.Features(kinds)
    )
    made.to_parquet(tmp_path / "x.parquet")
    found = open_collection(tmp_path / "x.parquet")
    assert found.labels.tolist() == ["dog", "cat", None]
    np.testing.assert_array_equal(np.asarray(found.images.read(1)), np.asarray(pictures[1]))
    assert open_collection(made).labels.tolist() == ["dog", "cat", None]


def test_the_size_of_a_picture_is_told_by_its_head(tmp_path, monkeypatch):
    content = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    Image.new("RGB", (50, 40)).save(content, "JPEG", exif=turned)
    pq.write_table(pa.table({"image": [content.getvalue(), b"no image"]}), tmp_path / "x.parquet")
    images = open_collection(tmp_path / "x.parquet").images
    monkeypatch.setattr(Image.Image, "load", None)  # no pixel is read
    assert images.size(0) == (40, 50)
    with pytest.raises(DataError, match=r"x.parquet, row 2: damaged or unreadable"):
        images.size(1)
