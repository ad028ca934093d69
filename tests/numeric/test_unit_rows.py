from __future__ import annotations

import numpy as np
import pytest

import usl.numeric.blocks as blocks
from usl.core.errors import DataError, UslWarning
from usl.numeric import unit_rows as units
from usl.numeric.lazy_table import Joined, is_mapped
from usl.numeric.unit_rows import unit_rows
from usl.numeric.workspace import Workspace


def by_definition(table):
    rows = table.astype(np.float32).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def rows_like(dtype, n=700, d=37):
    return (np.random.default_rng(0).normal(size=(n, d)) * 20).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16])
def test_blocks_change_no_bit_and_leave_the_input_alone(tmp_path, monkeypatch, dtype):
    table = rows_like(dtype)
    found = [unit_rows(table)]
    np.testing.assert_allclose(found[0], by_definition(table), atol=1e-6)
    np.save(tmp_path / "x.npy", table)
    monkeypatch.setattr(units, "rows_per_block", lambda size: 16)
    for threads in (1, 3):
        monkeypatch.setattr(blocks, "thread_count", lambda threads=threads: threads)
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        found += [unit_rows(table), unit_rows(mapped), unit_rows(np.asfortranarray(table))]
        found.append(unit_rows(Joined([mapped[:100], mapped[100:]], ["a", "b"])))
    assert len({rows.tobytes() for rows in found}) == 1
    np.testing.assert_array_equal(table, rows_like(dtype))


def test_no_second_table_is_made_on_the_way(monkeypatch):
    import tracemalloc

    monkeypatch.setattr(units, "rows_per_block", lambda size: 64)
    table = rows_like(np.float16, 20_000, 100)  # wide: a few bytes a row are no table
    unit_rows(table[:100])  # what is imported on first use is not of the table
    tracemalloc.start()
    rows = unit_rows(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * rows.nbytes


def test_a_table_of_the_workspace_is_scaled_in_place_and_once(tmp_path):
    space = Workspace(0, tmp_path)
    table = space.empty((50, 4), np.float32)
    table[:] = rows_like(np.float32, 50, 4)
    expected = unit_rows(table.copy())
    assert is_mapped(table)
    rows = unit_rows(table, space)
    assert rows is table
    np.testing.assert_array_equal(rows, expected)
    assert unit_rows(rows, space) is table
    np.testing.assert_array_equal(rows, expected)
    assert space.spilled == table.nbytes


def test_the_first_of_all_bad_rows_is_named(monkeypatch):
    monkeypatch.setattr(units, "rows_per_block", lambda size: 16)
    table = rows_like(np.float64, 100, 4)
    table[[40, 41, 90], 1] = [np.nan, np.inf, 1e300]
    with pytest.raises(DataError, match=r"row 40 holds NaN or infinity in float32 \(3 such rows\)"):
        unit_rows(table)
    shards = Joined([table[:35], table[35:]], ["a.npy", "b.npy"])
    with pytest.raises(DataError, match=r"b\.npy, row 5 holds NaN"):
        unit_rows(shards)


def test_zeros_of_all_blocks_are_counted(monkeypatch):
    monkeypatch.setattr(units, "rows_per_block", lambda size: 16)
    table = rows_like(np.float32, 100, 4)
    table[[17, 80]] = 0
    with pytest.warns(UslWarning, match="2 rows are all zeros .*first is row 17"):
        rows = unit_rows(table)
    assert not rows[[17, 80]].any()
