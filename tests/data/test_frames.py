"""Lists of files and tables in memory, as collections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import usl
from usl.core.errors import DataError, UsageError
from usl.data import open_collection

pandas = pytest.importorskip("pandas")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Five pictures of different greys, seen from the folder above."""
    (tmp_path / "photos").mkdir()
    for number in range(5):
        Image.new("L", (4, 4), 40 * number).save(tmp_path / "photos" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return [f"photos/{number}.png" for number in range(5)]


@pytest.mark.parametrize("kind", [list, tuple, np.array, pandas.Series, lambda x: map_paths(x)])
def test_a_list_of_files_opens(photos, kind):
    found = open_collection(kind(photos))
    assert found.ids.tolist() == photos
    assert (found.kind, found.source) == ("list", "list of files")
    assert found.images.read(3).getpixel((0, 0)) == 120
    assert found.labels is None


def map_paths(names):
    return [Path(name).absolute() for name in names]


@pytest.mark.filterwarnings("ignore:features. 1 row is all zeros")
def test_a_run_on_a_list_finds_its_files_again(photos, tmp_path):
    table = pandas.DataFrame({"path": photos, "label": [*list("abab"), None]}, index=list("vwxyz"))
    run = usl.start_run(table, 2, tmp_path / "run", model="pixels", pca=2, method="coreset")
    run.path.rename(tmp_path / "moved")
    found = usl.Run.open(tmp_path / "moved").collection()
    assert found.ids.tolist() == list("vwxyz")
    assert found.labels.tolist() == ["a", "b", "a", "b", None]
    assert found.images.read(3).getpixel((0, 0)) == 120
    run = usl.start_run(
        table, 2, tmp_path / "moved", model="pixels", pca=2, method="random", overwrite=True
    )
    assert not list(tmp_path.glob("moved.labeled-*")), "nothing of it was a person's work"


def test_a_file_of_the_list_that_is_not_there_is_named(photos):
    with pytest.raises(DataError, match=r"list, row 1: no file 'photos/9\.png'"):
        open_collection([photos[0], "photos/9.png"])
    with pytest.raises(DataError, match=r"list, row 1: the id 'photos/0\.png' is taken"):
        open_collection([photos[0], photos[0]])


def test_a_table_of_paths_opens_with_what_stands_beside(photos):
    table = pandas.DataFrame(
        {
            "Image Path": photos,
            "label": ["cat", None, "dog", "", "cat"],
            "split": ["train"] * 4 + ["test"],
            "taken": pandas.Timestamp("2020-01-01"),
        }
    )
    found = open_collection(table)
    assert found.ids.tolist() == photos
    assert found.labels.tolist() == ["cat", None, "dog", None, "cat"]
    assert found.subsets.tolist() == ["train"] * 4 + ["test"]
    assert open_collection(table.set_index(pandas.Index(list("vwxyz")))).ids.tolist() == list(
        "vwxyz"
    )
    assert open_collection(table.assign(image_id=list("abcde"))).ids.tolist() == list("abcde")


def test_an_index_gives_the_ids_of_features():
    numbers = np.arange(8.0).reshape(4, 2) + 1
    plain = open_collection(pandas.DataFrame(numbers))
    assert plain.ids.tolist() == [f"train/0000{number}" for number in range(4)]
    named = pandas.DataFrame(numbers, index=["a", "b", "c", "d"])
    assert open_collection(named).ids.tolist() == ["a", "b", "c", "d"]
    assert open_collection(named[named[0] > 2]).ids.tolist() == ["b", "c", "d"]
    filtered = pandas.DataFrame(numbers)[[False, True, True, True]]
    assert open_collection(filtered).ids.tolist() == ["1", "2", "3"]
    pairs = pandas.MultiIndex.from_product([["x", "y"], [1, 2]])
    assert open_collection(pandas.DataFrame(numbers, index=pairs)).ids.tolist() == [
        "x/1",
        "x/2",
        "y/1",
        "y/2",
    ]
    with pytest.raises(DataError, match=r"DataFrame, row 2: the id 'a' is taken"):
        open_collection(pandas.DataFrame(numbers, index=list("abac")))


def test_features_with_ids_labels_and_subsets():
    table = pandas.DataFrame({"image_id": ["p", "q", "r"], "f0": [1, 2, 3], "f1": [0.5, 1, 2]})
    table["label"], table["subset"] = ["a", "b", None], ["train", "train", "test"]
    found = open_collection(table)
    assert found.ids.tolist() == ["p", "q", "r"]
    assert found.features.tolist() == [[1, 0.5], [2, 1], [3, 2]]
    assert found.labels.tolist() == ["a", "b", None]
    assert found.subsets.tolist() == ["train", "train", "test"]


@pytest.mark.parametrize("act", ["open", "select", "fit"])
def test_the_column_that_is_no_number_is_named(act):
    table = pandas.DataFrame({"f0": [1.0, 2, 3], "city": ["Oslo", "Rome", "Nice"], "f1": [1, 2, 4]})
    table["when"] = pandas.Timestamp("2020-01-01")
    does = {
        "open": lambda: open_collection(table),
        "select": lambda: usl.select(table, 1),
        "fit": lambda: usl.Selector(1).fit(table),
    }[act]
    with pytest.raises(
        (DataError, UsageError), match=r"'city' \(.*\), 'when' \(datetime64"
    ) as caught:
        does()
    assert "'f0'" not in str(caught.value)


def test_tables_that_cannot_be_used():
    with pytest.raises(UsageError, match="two columns are called 'f'"):
        open_collection(pandas.DataFrame(np.ones((2, 2)), columns=["f", "f"]))
    with pytest.raises(DataError, match="DataFrame: has no rows"):
        open_collection(pandas.DataFrame({"f": []}))
    with pytest.raises(UsageError, match="these columns are none: there are only label"):
        open_collection(pandas.DataFrame({"label": ["a", "b"]}))
    with pytest.raises(DataError, match=r"DataFrame, row 1: the features of 'train/00001' are NaN"):
        open_collection(pandas.DataFrame({"f0": [1.0, np.nan], "f1": [1.0, 2.0]}))


def test_tables_of_polars():
    polars = pytest.importorskip("polars")
    found = open_collection(polars.DataFrame({"id": ["a", "b"], "f0": [1.0, 2.0], "f1": [3, 4]}))
    assert (found.ids.tolist(), found.features.tolist()) == (["a", "b"], [[1, 3], [2, 4]])
