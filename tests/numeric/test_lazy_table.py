from __future__ import annotations

import numpy as np
import pytest

from usl.numeric.lazy_table import Chosen, Joined, bytes_in_memory, is_mapped, place_of, taken


@pytest.fixture
def whole():
    return np.arange(33, dtype=np.float32).reshape(11, 3)


@pytest.fixture
def joined(whole):
    parts = [whole[:4], whole[4:4], whole[4:5].astype(np.float16), whole[5:]]
    return Joined(parts, ["a", "b", "c", "d"])


def chosen(whole, joined):
    rows = np.array([7, 2, 3, 4, 10])
    return whole[rows], Chosen(joined, rows)


@pytest.mark.parametrize("kind", ["joined", "chosen", "chosen twice"])
def test_it_is_indexed_like_an_array(whole, joined, kind):
    array, table = (whole, joined) if kind == "joined" else chosen(whole, joined)
    if kind == "chosen twice":
        array, table = array[[3, 3, 0]], taken(table, np.array([3, 3, 0]))
        assert table.table is joined  # one step, however often rows are taken
    n = len(array)
    assert (len(table), table.shape, table.size, table.ndim) == (n, array.shape, array.size, 2)
    assert table.dtype == array.dtype
    keys = [slice(None), slice(1, 3), slice(3, 1), slice(-2, None), slice(None, None, 2), 0, -1]
    keys += [np.array([2, 0, 2, -1]), [1, 2], np.arange(n) % 2 == 0, np.array([], dtype=int)]
    for key in keys:
        found = table[key]
        np.testing.assert_array_equal(found, array[key])
        assert found.dtype == array.dtype
    np.testing.assert_array_equal(np.asarray(table), array)
    np.testing.assert_array_equal(np.asarray(table, dtype=np.float64), array.astype(np.float64))


@pytest.mark.parametrize("key", [11, -12, [0, 11], (0, 1), [0.5], np.ones(3, dtype=bool)])
def test_what_is_no_row(joined, key):
    with pytest.raises(IndexError):
        joined[key]


def test_rows_have_a_place(joined):
    assert [joined.where(row) for row in (0, 3, 4, 5, 10)] == [
        "a, row 0",
        "a, row 3",
        "c, row 0",
        "d, row 0",
        "d, row 5",
    ]
    assert place_of(Chosen(joined, np.array([9, 4])), 1) == "c, row 0"
    assert place_of(np.zeros((2, 2)), 1) == "row 1"


def test_only_what_lies_in_files_stays_there(tmp_path, whole, joined):
    np.save(tmp_path / "x.npy", whole)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = np.array([5, 1])
    assert is_mapped(np.asarray(mapped)[2:]), "views of a mapping lie in the file, too"
    assert isinstance(taken(mapped, rows), Chosen)
    assert isinstance(taken(whole, rows), np.ndarray)
    for table in (mapped, whole, joined):
        assert taken(table, np.arange(11)) is table
        np.testing.assert_array_equal(taken(table, rows)[:], whole[rows])
    assert [bytes_in_memory(t) for t in (mapped, joined, whole)] == [0, 0, whole.nbytes]


def test_consecutive_rows_are_read_as_a_block(whole):
    class Watched(Joined):
        def gather(self, rows):
            raise AssertionError("a gather")

    table = Watched([whole], ["a"])
    np.testing.assert_array_equal(Chosen(table, np.arange(2, 9))[1:4], whole[3:6])
