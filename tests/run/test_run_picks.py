"""Picks and predictions of a run folder: one reader, one writer, one message each."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from older_runs import POINTS, older_run

import usl
from usl.core.errors import DataError
from usl.run.picks import picked_ids, read_picks
from usl.run.predictions import (
    machine_labelled,
    prediction_table,
    read_predictions,
    write_predictions,
)
from usl.run.split import Split
from usl.run.tables import read_table


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def folder(tmp_path):
    """Five images: a person named the first, the model is less and less sure of the others."""
    ids = np.array(["a", "e", "c", "d", "b"])
    subsets = np.array(["train", "train", "test", "train", "train"])
    classes, sure = np.array([1, 0, 1, 0, 1]), np.array([1.0, 0.6, 0.8, 0.5, 0.9])
    human = ids == "a"
    write_predictions(tmp_path, prediction_table(ids, subsets, classes, sure, ["x", "y"], human))
    return tmp_path


def test_picks_are_written_and_read(tmp_path):
    features = np.random.default_rng(0).normal(size=(30, 4))
    ids = np.array([f"{number}.png" for number in range(30)])
    picks = usl.select(features, 5, method="usl_t", propagate=2, steps=5)
    picks.save(tmp_path, ids)
    assert read_picks(tmp_path).equals(picks.table(ids))
    assert picked_ids(tmp_path) == ids[picks.indices].tolist()
    assert read_picks(tmp_path, "rank", "no such").column_names == ["image_id", "rank"]
    flat = rows_of(tmp_path / "selection.csv")
    assert [row["image_id"] for row in flat] == picked_ids(tmp_path)
    lists = {"represented", "propagated_to"}
    assert set(picks.table(ids).column_names) - set(flat[0]) == lists


def test_predictions_put_people_first_then_the_surest(folder):
    expected = [
        ("a", "train", "y", 1.0, True),
        ("b", "train", "y", 0.9, False),
        ("c", "test", "y", 0.8, False),
        ("e", "train", "x", 0.6, False),
        ("d", "train", "x", 0.5, False),
    ]
    found = read_predictions(folder)
    assert [row["image_id"] for row in rows_of(folder / "predictions.csv")] == list("abced")
    assert len(found) == 5
    columns = (found.ids, found.subsets, found.labels, found.confidence, ~found.own)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert found.by_id()["e"] == ("x", 0.6)


def test_predictions_in_the_order_of_a_collection(folder):
    found = read_predictions(folder).aligned({"b": 0, "new": 1, "a": 3}, 4)
    assert found.labels.tolist() == ["y", None, None, "y"]
    np.testing.assert_array_equal(found.confidence, [0.9, np.nan, np.nan, 1])
    assert found.own.tolist() == [True, False, False, False]


def test_what_a_machine_has_labelled(folder):
    split = Split.start(list("abcde"), ["train"] * 5).with_labels([4], ["x"])
    found = machine_labelled(folder, split)
    assert found.ids.tolist() == ["b", "d"], "train images that nobody labelled, by id"
    assert found.labels.tolist() == ["y", "x"]
    assert machine_labelled(folder / "none", split) is None


def test_no_picks_are_an_error_no_predictions_are_none(tmp_path):
    with pytest.raises(DataError, match=r"selection\.parquet cannot be read.*usl select"):
        read_picks(tmp_path)
    assert read_predictions(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"PAR1PAR1", b"image_id,rank\n"])
def test_damaged_files_are_named_with_the_fix(tmp_path, content):
    (tmp_path / "selection.parquet").write_bytes(content)
    (tmp_path / "predictions.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"selection\.parquet cannot be read.*usl select\.$"):
        picked_ids(tmp_path)
    with pytest.raises(DataError, match=r"predictions\.parquet cannot be read.*usl train\.$"):
        read_predictions(tmp_path)


def test_a_column_that_is_needed_is_named(tmp_path):
    pq.write_table(pa.table({"image_id": ["a"], "label": ["x"]}), tmp_path / "predictions.parquet")
    with pytest.raises(DataError, match=r"no column 'subset'.*Train again"):
        read_predictions(tmp_path)
    with pytest.raises(DataError, match=r"no column 'rank'\)\. Mend it\.$"):
        read_table(tmp_path / "predictions.parquet", ["rank"], fix="Mend it.")


def test_damaged_picks_stop_a_training_plainly(tmp_path):
    run = older_run(tmp_path, "propagated")
    (run.path / "selection.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"selection\.parquet cannot be read"):
        usl.train(run, source=POINTS)
