"""The memo saves reading, is never wrong, and never in the way."""

import errno
import os
import pickle
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from usl.core.errors import UslWarning
from usl.core.files import cache_dir
from usl.core.hashing import bytes_digest
from usl.data import digests
from usl.data.digests import DigestMemo

HOUR_AGO = time.time_ns() - 3_600_000_000_000


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """Files that were really read."""
    log: list[Path] = []

    def counting(path: Path) -> str:
        log.append(path)
        return bytes_digest(path.read_bytes())

    monkeypatch.setattr(digests, "file_digest", counting)
    return log


def settle(path: Path, at: int = HOUR_AGO) -> None:
    os.utime(path, ns=(at, at))


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"first")
    settle(path)
    return path


def test_unchanged_file_is_read_once_even_across_runs(photo, tmp_path, reads):
    memo = DigestMemo.for_folder(tmp_path)
    first = memo.digest(photo, "a.jpg")
    assert memo.digest(photo, "a.jpg") == first == bytes_digest(b"first")
    memo.flush()
    assert DigestMemo.for_folder(tmp_path).digest(photo, "a.jpg") == first
    assert reads == [photo]


def test_other_size_or_time_means_reading_again(photo, tmp_path, reads):
    memo = DigestMemo.for_folder(tmp_path)
    memo.digest(photo, "a.jpg")
    photo.write_bytes(b"other size")
    settle(photo)
    assert memo.digest(photo, "a.jpg") == bytes_digest(b"other size")
    photo.write_bytes(b"other tide")
    settle(photo, HOUR_AGO + 1)
    assert memo.digest(photo, "a.jpg") == bytes_digest(b"other tide")
    assert len(reads) == 3


def test_recently_modified_file_is_not_trusted(photo, tmp_path, reads):
    memo = DigestMemo.for_folder(tmp_path)
    settle(photo, time.time_ns())
    memo.digest(photo, "a.jpg")
    memo.digest(photo, "a.jpg")
    memo.flush()
    assert len(reads) == 2
    assert not memo.path.exists()


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really PAR1", b"\0" * 100])
def test_corrupt_memo_is_rebuilt(photo, tmp_path, content):
    memo = DigestMemo.for_folder(tmp_path)
    memo.path.parent.mkdir(parents=True)
    memo.path.write_bytes(content)
    with pytest.warns(UslWarning, match="cannot be used"):
        assert memo.digest(photo, "a.jpg") == bytes_digest(b"first")
    memo.flush()
    assert digests._read(memo.path)["a.jpg"][2] == bytes_digest(b"first")


def test_no_flipped_bit_gives_another_digest(photo, tmp_path):
    """A damaged memo is told and made anew; what it says is never held against the image."""
    memo = DigestMemo.for_folder(tmp_path)
    memo.digest(photo, "a.jpg")
    memo.flush()
    whole, told = memo.path.read_bytes(), 0
    for place in range(4, len(whole), 7):
        other = bytearray(whole)
        other[place] ^= 1 << (place % 8)
        memo.path.write_bytes(other)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert DigestMemo.for_folder(tmp_path).digest(photo, "a.jpg") == bytes_digest(b"first")
        told += any("cannot be used" in str(one.message) for one in caught)
    assert told > 20


def test_memo_with_other_columns_is_rebuilt(photo, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    memo = DigestMemo.for_folder(tmp_path)
    memo.path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"name": ["a.jpg"]}), memo.path)
    with pytest.warns(UslWarning, match="cannot be used"):
        assert memo.digest(photo, "a.jpg") == bytes_digest(b"first")


def test_unwritable_cache_is_no_error(photo, tmp_path, monkeypatch):
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    monkeypatch.setenv("USL_CACHE", str(blocked))
    memo = DigestMemo.for_folder(tmp_path)
    assert memo.digest(photo, "a.jpg") == bytes_digest(b"first")
    memo.flush()
    assert memo.digest(photo, "a.jpg") == bytes_digest(b"first")


def test_a_full_disk_is_no_error(photo, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("usl.core.files.os.fsync", full)
    memo = DigestMemo.for_folder(tmp_path)
    assert memo.digest(photo, "a.jpg") == bytes_digest(b"first")
    memo.flush()
    assert memo.digest(photo, "a.jpg") == bytes_digest(b"first")


def test_two_processes_merge(photo, tmp_path):
    other = tmp_path / "b.jpg"
    other.write_bytes(b"second")
    settle(other)
    mine, theirs = DigestMemo.for_folder(tmp_path), DigestMemo.for_folder(tmp_path)
    mine.digest(photo, "a.jpg")
    theirs.digest(other, "b.jpg")
    mine.flush()
    theirs.flush()
    assert set(digests._read(mine.path)) == {"a.jpg", "b.jpg"}


def test_saved_every_so_often(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "SAVE_AFTER", 1)
    memo = DigestMemo.for_folder(tmp_path)
    memo.digest(photo, "a.jpg")
    assert set(digests._read(memo.path)) == {"a.jpg"}


def test_saved_when_forgotten(photo, tmp_path):
    memo = DigestMemo.for_folder(tmp_path)
    path = memo.path
    memo.digest(photo, "a.jpg")
    assert not path.exists()
    del memo
    assert set(digests._read(path)) == {"a.jpg"}


def test_saved_at_exit(photo, tmp_path, own_cache):
    script = (
        "import sys; from pathlib import Path; from usl.data.digests import DigestMemo\n"
        "keep = DigestMemo.for_folder(Path(sys.argv[1]))\n"
        "print(keep.digest(Path(sys.argv[1]) / 'a.jpg', 'a.jpg'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == bytes_digest(b"first")
    assert done.stderr == ""
    assert set(digests._read(DigestMemo.for_folder(tmp_path).path)) == {"a.jpg"}


def test_pickles_as_the_same_file(tmp_path):
    memo = DigestMemo.for_folder(tmp_path)
    assert pickle.loads(pickle.dumps(memo)).path == memo.path


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("USL_CACHE", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine"
    monkeypatch.delenv("USL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "usl"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "usl"
