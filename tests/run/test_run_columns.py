"""Columns of a run's own: numbers or words by image id, added and replaced by name."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from older_runs import older_run

from usl.core.errors import DataError
from usl.run.columns import add_columns, read_columns


@pytest.fixture
def run(tmp_path):
    return older_run(tmp_path, "selected")


def listed(values):
    return {
        name: [None if one != one else one for one in column.tolist()]
        for name, column in values.items()
    }


def test_numbers_and_words_by_image(run):
    add_columns(run.path, ["a", "b"], {"price": [1, 2.5], "camera": ["X", None]})
    found = run.columns()
    assert found.ids == ["a", "b"]
    assert found.values["price"].dtype == np.float64
    assert found.values["camera"].dtype == object
    assert listed(found.of(["b", "z", "a"])) == {
        "price": [2.5, None, 1],
        "camera": [None, None, "X"],
    }
    assert pq.read_schema(run.path / "columns.parquet").names == ["image_id", "price", "camera"]


def test_more_columns_and_images_join_and_the_same_name_replaces(run):
    add_columns(run.path, ["a", "b"], {"price": [1, 2], "camera": ["X", "Y"]})
    told = add_columns(
        run.path, ["c", "b"], {"price": [3, np.nan], "flag": np.array([True, False])}
    )
    assert told.ids == ["a", "b", "c"]
    assert listed(run.columns().values) == {
        "price": [None, None, 3],
        "camera": ["X", "Y", None],
        "flag": [None, 0, 1],
    }
    assert listed(told.values) == listed(read_columns(run.path).values)


def test_columns_without_any_value_keep_their_kind(run):
    add_columns(run.path, ["a"], {"words": ["x"], "none": [None]})
    add_columns(run.path, ["a", "b"], {"words": np.array([None, None], dtype=object)})
    assert listed(run.columns().values) == {"words": [None, None], "none": [None, None]}
    add_columns(run.path, [], {})
    assert run.columns().ids == ["a", "b"]


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        (["a", "b", "a"], {"x": [1, 2, 3]}, "image 'a' is given twice"),
        (["a"], {"x": [1, 2]}, "1 images but 2 values of 'x'"),
        (["a", "b"], {"x": [1, "one"]}, "column 'x': holds 'one'; .* numbers alone or words alone"),
        (["a", "b"], {"x": ["one", 1]}, "column 'x': holds 1;"),
        (["a"], {"x": [[1, 2]]}, r"column 'x': holds \[1, 2\]"),
        (["a"], {" ": [1]}, "cannot be the name"),
        (["a"], {"image_id": ["b"]}, "'image_id' cannot be the name"),
    ],
)
def test_what_is_no_column_is_refused(run, ids, values, message):
    with pytest.raises(DataError, match=rf"columns\.parquet.*{message}"):
        add_columns(run.path, ids, values)
    assert not (run.path / "columns.parquet").exists()


def test_a_damaged_file_is_named(run):
    path = run.path / "columns.parquet"
    pq.write_table(pa.table({"price": [1]}), path)
    with pytest.raises(DataError, match=r"columns\.parquet.*no column 'image_id'.*Restore it"):
        run.columns()
    pq.write_table(pa.table({"image_id": ["a"], "box": [[1, 2]]}), path)
    with pytest.raises(DataError, match=r"columns\.parquet, column 'box': holds \[1, 2\]"):
        run.columns()
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"columns\.parquet cannot be read"):
        add_columns(run.path, ["a"], {"x": [1]})
    assert path.read_bytes() == b"nonsense"
