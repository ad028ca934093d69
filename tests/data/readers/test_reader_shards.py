"""Features in several files, and in Parquet: read in pieces, faults named by file and row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import usl
from usl.core.errors import DataError, UsageError
from usl.data import open_collection, parquet_features
from usl.data.open import open_features
from usl.numeric.lazy_table import LazyTable, is_mapped

X = np.random.default_rng(0).normal(size=(11, 4)).astype(np.float32)


def write_npy(folder, parts, dtype=np.float32, names=None):
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(parts):
        name = names[number] if names else f"part-{number}.npy"
        np.save(folder / name, part.astype(dtype))
    return folder


def fixed(rows, width=None, kind=None):
    kind = kind or pa.float32()
    flat = pa.array(np.asarray(rows).ravel(), kind)
    return pa.FixedSizeListArray.from_arrays(flat, width or np.asarray(rows).shape[1])


def write_parquet(folder, parts, name="clip"):
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(parts):
        pq.write_table(pa.table({name: fixed(part)}), folder / f"part-{number}.parquet")
    return folder


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_folder_of_arrays_is_one_table_that_stays_in_its_files(tmp_path, dtype):
    folder = write_npy(tmp_path / "f", [X[:3], X[3:3], X[3:4], X[4:]], dtype)
    (folder / "README.md").write_text("features")
    found = open_collection(folder)
    assert isinstance(found.features, LazyTable)
    assert all(is_mapped(part) for part in found.features.parts)
    assert found.features.dtype == dtype
    np.testing.assert_array_equal(found.features, X.astype(dtype))
    assert found.ids.tolist() == [f"train/{row:05d}" for row in range(11)]
    np.save(tmp_path / "one.npy", X.astype(dtype))
    whole = open_collection(tmp_path / "one.npy")
    assert found.digests().tolist() == whole.digests().tolist()
    part = found.take([9, 2, 3])
    assert isinstance(part.features, LazyTable)
    np.testing.assert_array_equal(part.features, X.astype(dtype)[[9, 2, 3]])
    assert found.take(np.arange(11)).features is found.features


def test_a_glob_and_numbers_in_names(tmp_path):
    names = ["part-10.npy", "part-9.npy", "other.npy"]
    folder = write_npy(tmp_path / "f", [X[4:], X[:4], X], names=names)
    np.testing.assert_array_equal(open_collection(folder / "part-*.npy").features, X)
    with pytest.raises(DataError, match="no file is called like that"):
        open_collection(folder / "shard-*.npy")


def test_whole_numbers_are_floats(tmp_path):
    folder = write_npy(tmp_path / "f", [10 * X[:3], 10 * X[3:]], np.int8)
    features = open_collection(folder).features
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, np.trunc(10 * X))


def test_images_beside_arrays_are_images(tmp_path, make_images):
    root = make_images("a.jpg")
    np.save(root / "features.npy", X)
    assert open_collection(root).kind == "folder"


@pytest.mark.parametrize("write", [write_npy, write_parquet])
def test_widths_that_differ_name_both_shards(tmp_path, write):
    folder = write(tmp_path / "f", [X[:3], X[3:, :2]])
    message = r"part-1\.\w+: 2 numbers to a row, but .*part-0\.\w+ has 4"
    with pytest.raises(DataError, match=message):
        open_collection(folder)


@pytest.mark.parametrize("alone", [True, False])
def test_a_truncated_array_tells_its_bytes(tmp_path, alone):
    folder = write_npy(tmp_path / "f", [X[:3], X[3:]])
    file = folder / "part-1.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    message = rf"part-1\.npy: cut short.* {len(whole)} bytes, but it has {len(whole) - 5}\."
    with pytest.raises(DataError, match=message):
        open_collection(file if alone else folder)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("part", [0, 1])
def test_a_truncated_parquet_file_is_named(tmp_path, alone, part):
    folder = write_parquet(tmp_path / "f", [X[:3], X[3:]])
    file = folder / f"part-{part}.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    size = file.stat().st_size
    with pytest.raises(DataError, match=rf"part-{part}\.parquet .*cut short: {size:,} bytes"):
        open_collection(file if alone else folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_name_the_shard_and_the_row(tmp_path, value):
    broken = X.copy()
    broken[6, 1] = value
    with pytest.raises(DataError, match=r"part-1\.npy, row 2: the features of 'train/00006'"):
        open_collection(write_npy(tmp_path / "a", [broken[:4], broken[4:]]))
    with pytest.raises(DataError, match=r"part-1\.parquet, row 3: the features of"):
        open_collection(write_parquet(tmp_path / "b", [broken[:4], broken[4:]]))


def test_shards_that_are_no_tables_or_of_two_kinds(tmp_path):
    folder = write_npy(tmp_path / "f", [X])
    np.save(folder / "part-9.npy", X[0])
    with pytest.raises(DataError, match=r"part-9\.npy: a shard must be numbers \[n, d\]"):
        open_collection(folder)
    (folder / "part-9.npy").unlink()
    write_parquet(folder, [X])
    with pytest.raises(DataError, match=r"holds \.npy and \.parquet files"):
        open_collection(folder)
    empty = write_npy(tmp_path / "e", [X[:0]])
    with pytest.raises(DataError, match=r"\[0, 4\]"):
        open_collection(empty)


def test_parquet_shards_with_ids_labels_and_subsets(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_features, "BATCH_VALUES", 8)  # two rows at a time
    ids = [f"img/{row}" for row in range(11)]
    subsets = ["train"] * 9 + ["test"] * 2
    for number, rows in enumerate((slice(0, 5), slice(5, 11))):
        columns = {"image_id": ids[rows], "split": subsets[rows], "vector": fixed(X[rows])}
        if number:
            columns = dict(reversed(columns.items()))  # the order of the columns may differ
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    found = open_collection(tmp_path)
    np.testing.assert_array_equal(found.features, X)
    assert found.ids.tolist() == ids
    assert found.subsets.tolist() == subsets
    np.testing.assert_array_equal(found.take(found.rows_in("train")).features, X[:9])
    columns = {"image_id": [ids[0], *ids[6:]], "vector": fixed(X[5:])}
    pq.write_table(pa.table(columns), tmp_path / "1.parquet")
    with pytest.raises(DataError, match=r"1\.parquet, row 1: the id 'img/0' is taken .*0\.parquet"):
        open_collection(tmp_path)


def test_parquet_columns_and_types(tmp_path):
    wide = {f"f{column}": X[:, column].astype(np.float64) for column in (1, 0, 3, 2)}
    pq.write_table(pa.table(wide), tmp_path / "wide.parquet")
    np.testing.assert_array_equal(open_collection(tmp_path / "wide.parquet").features, X)
    halves = fixed(X.astype(np.float16), kind=pa.float16())
    pq.write_table(pa.table({"id": range(11), "x": halves}), tmp_path / "half.parquet")
    found = open_collection(tmp_path / "half.parquet")
    np.testing.assert_array_equal(found.features, X.astype(np.float16).astype(np.float32))
    assert found.ids[3] == "3"


def test_a_parquet_row_that_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_features, "BATCH_VALUES", 8)
    lists = [*X[:6].tolist(), [1.0, 2.0]]
    pq.write_table(pa.table({"emb": pa.array(lists)}), tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"f\.parquet, row 7: emb holds 2 numbers, the first row 4"):
        open_collection(tmp_path / "f.parquet")
    lists[6] = None
    pq.write_table(pa.table({"emb": pa.array(lists)}), tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"f\.parquet, row 7: emb is empty"):
        open_collection(tmp_path / "f.parquet")


def test_large_parquet_is_unpacked_into_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_features, "IN_MEMORY", 100)
    found = open_collection(write_parquet(tmp_path / "f", [X[:3], X[3:]]))
    assert is_mapped(found.features)
    np.testing.assert_array_equal(found.features, X)


def test_a_list_of_images_in_parquet_is_no_table_of_features(tmp_path, make_images):
    root = make_images("a.jpg", "b.jpg")
    table = {"path": ["photos/a.jpg", "photos/b.jpg"], "width": [3, 4], "box": [[1, 2], [3, 4]]}
    pq.write_table(pa.table(table), root.parent / "list.parquet")
    assert open_collection(root.parent / "list.parquet").kind == "manifest"


def test_features_by_path_are_selected_from(tmp_path):
    write_npy(tmp_path / "f", [X[:3], X[3:]])
    write_parquet(tmp_path / "p", [X[:3], X[3:]])
    expected = usl.select(X, 3, k=4)
    for source in (tmp_path / "f", str(tmp_path / "f" / "*.npy"), tmp_path / "p"):
        found = usl.select(source, 3, k=4)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(found.representative, expected.representative)


def test_what_cannot_be_selected_from_by_path(tmp_path, make_images):
    with pytest.raises(UsageError, match="holds images, no features"):
        open_features(make_images("a.jpg"))
    np.savez(tmp_path / "f.npz", features=X, subset=np.array(["train"] * 10 + ["test"]))
    with pytest.raises(UsageError, match="a val or test subset beside train"):
        open_features(tmp_path / "f.npz")
