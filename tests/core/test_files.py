from __future__ import annotations

import errno
import os

import pytest

from usl.core.errors import DataError
from usl.core.files import atomic_write, new_folder, read_json, read_record, write_json


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(target, "w") as handle:  # noqa: PT012
        handle.write("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_target_appears_only_when_whole(tmp_path):
    target = tmp_path / "deep" / "a.bin"
    with atomic_write(target) as handle:
        handle.write(b"1")
        assert not target.exists()
    assert target.read_bytes() == b"1"


def test_json_round_trip_and_a_broken_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": "é"})
    assert read_json(path) == {"b": 1, "a": "é"}
    path.write_text('{"a": ')
    with pytest.raises(DataError, match=r"a\.json is not valid JSON"):
        read_json(path)


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")]
)
def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_old_one(
    tmp_path, monkeypatch, number, words
):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=rf"a\.txt cannot be written: .*{words}"):
        write_json(target, {"a": 1})
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_of_another_file_is_not_taken_for_one_of_the_target(tmp_path):
    with pytest.raises(PermissionError), atomic_write(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "no", "/elsewhere")


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "deep/made") as folder:  # noqa: PT012
        (folder / "a").write_text("half")
        assert not (tmp_path / "deep" / "made").exists()
        raise KeyboardInterrupt
    assert list((tmp_path / "deep").iterdir()) == []
    with new_folder(tmp_path / "made") as folder:
        (folder / "a").write_text("whole")
    assert (tmp_path / "made" / "a").read_text() == "whole"
    with pytest.raises(OSError, match="made"), new_folder(tmp_path / "made") as folder:
        (folder / "a").write_text("another")
    assert (tmp_path / "made" / "a").read_text() == "whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "made"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"x\.json cannot be read \(No such file"),
        (b"{", r"x\.json is not valid JSON"),
        (b"\xff", r"x\.json is not valid JSON"),
        (b"[1]", r"x\.json: not a record of this program. Delete it"),
    ],
)
def test_a_record_is_one_json_object(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_record(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"a": 1}')
    assert read_record(tmp_path / "x.json") == {"a": 1}
