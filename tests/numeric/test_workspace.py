from __future__ import annotations

import os

import numpy as np
import pytest

from usl.core.errors import UsageError
from usl.numeric.lazy_table import is_mapped
from usl.numeric.workspace import Workspace, bytes_of, scratch, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [(12, 12), ("12", 12), ("4GB", 4 * 10**9), ("1.5 GiB", 3 * 2**29), ("800m", 8 * 10**8)],
)
def test_sizes(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "4 parsecs", "-1", "GB", True, "1.2.3G", "4i"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match="text like '4GB'"):
        bytes_of(text)


def test_a_size_in_words_suffices():
    for size in (1, 999, 1000, 1001, 123_456_789, 4 * 10**9 + 1):
        text = size_text(size).removesuffix(" bytes")
        assert size <= bytes_of(text.replace(",", "")) <= 1.2 * size + 100


def test_tables_go_to_files_once_they_do_not_fit(tmp_path):
    space = Workspace(10_000, tmp_path)
    space.hold(1000)
    space.reserve(4000)
    first = space.empty((100, 10), np.float32)  # 4,000 bytes
    second = space.empty((100, 3), np.float32)
    third = space.empty((100, 2), np.float32)  # 800 more fit
    assert [is_mapped(table) for table in (first, second, third)] == [False, True, False]
    assert (space.held, space.spilled) == (4800, 1200)
    second[7:9, 1] = 5
    assert second.sum() == 10
    assert all(map(space.owns, (first, second, third)))
    assert not space.owns(first.copy())


def test_a_table_that_is_gone_makes_room(tmp_path):
    space = Workspace(1000, tmp_path)
    table = space.empty((100, 2), np.float32)
    space.mark_unit(table)
    assert space.is_unit(table)
    view = table[:3]
    del table
    assert space.held == 800, "something of it is in use"
    del view
    assert space.held == 0
    again = space.empty((100, 2), np.float32)
    assert not is_mapped(again)
    assert not space.is_unit(again)


def test_a_bound_too_small_says_what_is_needed():
    space = Workspace("5 kB")
    space.hold(2000)
    with pytest.raises(UsageError, match=r"5\.0 kB given, but at least 6\.5 kB are needed"):
        space.reserve(4500)
    space.reserve(3000)


def test_without_a_bound_all_is_in_memory(tmp_path):
    space = Workspace(None, tmp_path / "none")
    space.reserve(10**18)
    assert not is_mapped(space.empty((10, 10), np.float64))
    assert not (tmp_path / "none").exists()


def test_a_scratch_file_has_no_name_and_its_place_is_taken_at_once(tmp_path):
    before = os.statvfs(tmp_path)
    table = scratch((1 << 10, 1 << 10), np.float32, tmp_path / "deep")
    assert not list((tmp_path / "deep").iterdir())
    assert isinstance(table, np.ndarray)
    assert not table.any()
    assert os.statvfs(tmp_path).f_bavail <= before.f_bavail + (1 << 20)


def test_a_full_disk_is_refused_before_the_work(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UsageError, match=r"table of 80 bytes does not fit.*--scratch"):
        scratch((5, 4), np.float32, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="name another folder"):
        scratch((5, 4), np.float32, tmp_path / "file" / "below")
