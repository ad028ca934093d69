"""Features from any encoder, in any of the usual files."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from usl.core.errors import DataError
from usl.data import open_collection

X = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_npy_is_memory_mapped(tmp_path):
    np.save(tmp_path / "f.npy", X)
    collection = open_collection(tmp_path / "f.npy")
    assert collection.ids.tolist() == [f"train/{index:05d}" for index in range(4)]
    assert isinstance(collection.features, np.memmap)
    np.testing.assert_array_equal(collection.features, X)
    assert collection.images is None
    assert collection.kind == "embeddings"
    assert len(set(collection.digests().tolist())) == 4


def test_whole_numbers_become_float(tmp_path):
    np.save(tmp_path / "f.npy", X.astype(np.int16))
    assert open_collection(tmp_path / "f.npy").features.dtype == np.float32


def test_npy_of_images(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((2, 4, 5, 3), dtype=np.uint8))
    collection = open_collection(tmp_path / "f.npy")
    assert collection.kind == "arrays"
    assert collection.images.read(1).size == (5, 4)


@pytest.mark.parametrize(
    "keys",
    [
        ("features", "ids", "labels", "subset"),
        ("embeddings", "image_id", "y", "split"),
        ("X", "id", "targets", "Subset"),
    ],
)
def test_npz(tmp_path, keys):
    columns = dict(
        zip(keys, (X, ["a", "b", "c", "d"], [0, 1, -1, 1], ["train"] * 3 + ["test"]), strict=True)
    )
    np.savez(tmp_path / "f.npz", **columns)
    collection = open_collection(tmp_path / "f.npz")
    np.testing.assert_array_equal(collection.features, X)
    assert collection.ids.tolist() == ["a", "b", "c", "d"]
    assert collection.labels.tolist() == ["0", "1", None, "1"]
    assert collection.subsets.tolist() == ["train", "train", "train", "test"]


def test_npz_with_one_matrix_of_any_name(tmp_path):
    np.savez(tmp_path / "f.npz", clip=X, subset=np.array(["test", "train", "test", "train"]))
    ids = ["test/00000", "train/00000", "test/00001", "train/00001"]
    assert open_collection(tmp_path / "f.npz").ids.tolist() == ids


IDS = ["x/a", "x/b", "y/c", "y/d"]


def test_csv_with_numbered_columns(tmp_path):
    lines = ["f3,id,f2,label,f1,width"]
    lines += [f"{r[2]},{i},{r[1]},l,{r[0]},99" for i, r in zip(IDS, X, strict=True)]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    collection = open_collection(tmp_path / "f.csv")
    np.testing.assert_array_equal(collection.features, X)
    assert collection.ids.tolist() == IDS
    assert collection.labels.tolist() == ["l"] * 4


def test_csv_with_named_columns(tmp_path):
    lines = [
        "image_id,red,green,blue",
        *(f"{i},{r[0]}, {r[1]},{r[2]}" for i, r in zip(IDS, X, strict=True)),
    ]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    np.testing.assert_array_equal(open_collection(tmp_path / "f.csv").features, X)


def test_columns_called_x_and_y_are_numbers(tmp_path):
    (tmp_path / "f.csv").write_text("id,x,y\na,1,2\nb,3,4\n")
    assert open_collection(tmp_path / "f.csv").features.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("form", ["[{},{},{}]", "({}, {}, {})", "{} {} {}", "array([{}; {}; {}])"])
def test_csv_with_a_list_column(tmp_path, form):
    if form.startswith("array"):
        form = form.removeprefix("array")
    lines = [
        "filename,embedding",
        *(f'{i},"{form.format(*r)}"' for i, r in zip(IDS, X, strict=True)),
    ]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    collection = open_collection(tmp_path / "f.csv")
    np.testing.assert_array_equal(collection.features, X)
    assert collection.ids.tolist() == IDS


@pytest.mark.parametrize("fixed", [True, False])
def test_parquet_with_a_list_column(tmp_path, fixed):
    kind = pa.list_(pa.float32(), 3) if fixed else pa.list_(pa.float32())
    table = pa.table({"id": IDS, "features": pa.array(X.tolist(), kind), "split": ["val"] * 4})
    pq.write_table(table, tmp_path / "f.parquet")
    collection = open_collection(tmp_path / "f.parquet")
    np.testing.assert_array_equal(collection.features, X)
    assert collection.subsets.tolist() == ["val"] * 4


def test_parquet_with_columns(tmp_path):
    columns = {"id": IDS, **{str(number): X[:, number] for number in range(3)}}
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    np.testing.assert_array_equal(open_collection(tmp_path / "f.parquet").features, X)


def test_jsonl_with_a_list_column(tmp_path):
    (tmp_path / "f.jsonl").write_text('{"id": "a", "x": [1, 2]}\n{"id": "b", "x": [3, 4]}\n')
    assert open_collection(tmp_path / "f.jsonl").features.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_features_name_the_row(tmp_path, value, monkeypatch):
    from usl.data.readers import embeddings

    monkeypatch.setattr(embeddings, "BLOCK_VALUES", 6)  # two rows at a time
    broken = X.copy()
    broken[3, 1] = value
    np.save(tmp_path / "f.npy", broken)
    with pytest.raises(DataError, match="row 3: the features of 'train/00003' are NaN or inf"):
        open_collection(tmp_path / "f.npy")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(5), r"must be numbers \[n, d\], this is int64 \[5\]. Were ids or labels given"),
        (np.zeros((2, 3, 4)), r"this is float64 \[2, 3, 4\]"),
        (np.array([["a", "b"]]), "this is <U1"),
        (np.zeros((0, 3)), r"\[0, 3\]"),
        (np.zeros((2, 2), dtype=complex), "complex"),
        (np.zeros((2, 3, 8, 8), dtype=np.uint8), r"images must be uint8 \[n, h, w\]"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, message):
    np.save(tmp_path / "f.npy", array)
    with pytest.raises(DataError, match=message):
        open_collection(tmp_path / "f.npy")


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "f.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(DataError, match=r"f\.npy: not a readable \.npy file of numbers"):
        open_collection(tmp_path / "f.npy")
    np.savez(tmp_path / "f.npz", features=X, ids=np.array([None] * 4))
    with pytest.raises(DataError, match=r"f\.npz: not a readable \.npz file"):
        open_collection(tmp_path / "f.npz")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04 nothing"])
@pytest.mark.parametrize("name", ["f.npy", "f.npz"])
def test_broken_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        open_collection(tmp_path / name)


def test_npz_faults(tmp_path):
    np.savez(tmp_path / "f.npz", a=X, b=X)
    with pytest.raises(DataError, match=r"no array called features.*a \[4, 3\], b \[4, 3\]"):
        open_collection(tmp_path / "f.npz")
    np.savez(tmp_path / "f.npz", features=X, ids=np.array(["a"]))
    with pytest.raises(DataError, match=r"ids is \[1\], but features has 4 rows"):
        open_collection(tmp_path / "f.npz")
    np.savez(tmp_path / "f.npz", features=X, ids=np.array(["a", "b", "a", "c"]))
    with pytest.raises(DataError, match=r"row 2: the id 'a' is taken"):
        open_collection(tmp_path / "f.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,f1,f2\na,1,2\nb,1,x\n", "row 3: f2 is 'x', not a number"),
        ("id,f1,f2\na,1,2\nb,1,\n", "row 3: f2 is '', not a number"),
        ("id,f1,f2\na,1,2\n,1,2\n", "row 3: no id"),
        ("id,f1,f2\na,1,2\na,1,2\n", "row 3: the id 'a' is taken"),
        ("id,f1,f2\na,1,2\nb,1,nan\n", "row 3: the features of 'b' are NaN"),
        ("id,x\na,[1 2]\nb,[1]\n", "row 3: x holds 1 numbers, the first row 2"),
        ("id,x\na,[1 2]\nb,[1 no]\n", "row 3: x is not a list of numbers"),
        ("id,f1,f2,split\na,1,2,later\n", "row 2: unknown subset 'later'"),
        ("id,f1,f2\n", "features must be numbers"),
    ],
)
def test_table_faults_name_the_row(tmp_path, text, message):
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        open_collection(tmp_path / "f.csv")
