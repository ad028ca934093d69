from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usl.core.errors import UslWarning
from usl.core.hashing import bytes_digest
from usl.features.cache import ENDING, FeatureCache


def names(*numbers):
    return np.array([bytes_digest(str(number).encode()) for number in numbers])


def rows_of(*numbers, dim=4, dtype=np.float32):
    return np.array([np.arange(dim) + 10 * number for number in numbers], dtype=dtype).reshape(
        -1, dim
    )


def fetch(cache, digests, dim=4, dtype=np.float32):
    out = np.full((len(digests), dim), 99, dtype=dtype)
    return cache.fetch(digests, out, np.arange(len(digests))), out


@pytest.fixture
def cache(tmp_path):
    return FeatureCache.open("some-encoder-v1", tmp_path)


def test_rows_come_back_under_their_digests(cache):
    cache.add(names(3, 1, 2), rows_of(3, 1, 2))
    cache.add(names(5), rows_of(5))
    found, out = fetch(cache, names(1, 9, 5, 3))
    assert found.tolist() == [True, False, True, True]
    assert np.array_equal(out[found], rows_of(1, 5, 3))
    assert np.all(out[1] == 99)  # what was not found is left alone
    assert cache.contains(names(2, 8)).tolist() == [True, False]


def test_rows_go_where_they_are_wanted(cache):
    cache.add(names(1, 2), rows_of(1, 2))
    out = np.zeros((5, 4), dtype=np.float32)
    cache.fetch(names(2, 1), out, np.array([4, 0]))
    assert np.array_equal(out[[4, 0]], rows_of(2, 1))
    assert np.all(out[1:4] == 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_bits_are_kept(cache, dtype):
    rows = np.random.default_rng(0).normal(size=(20, 7)) * 50
    rows = rows.astype(dtype)
    cache.add(names(*range(20)), rows)
    assert np.array_equal(fetch(cache, names(*range(20)), 7, dtype)[1], rows)


def test_where_it_lies(cache, tmp_path, monkeypatch):
    cache.add(names(1), rows_of(1))
    (shard,) = (tmp_path / "features" / "some-encoder-v1-d2").glob("*")
    assert shard.suffix == ENDING
    assert shard.stem == bytes_digest(shard.read_bytes())
    monkeypatch.setenv("USL_CACHE", str(tmp_path))
    assert FeatureCache.open("some-encoder-v1").contains(names(1)).all()
    assert not FeatureCache.open("another-encoder-v1").contains(names(1)).any()


def test_an_empty_cache_has_nothing_and_makes_no_folder(cache):
    assert not fetch(cache, names(1, 2))[0].any()
    assert not cache.contains(names(1)).any()
    assert len(cache.contains(np.empty(0, dtype="S32"))) == 0
    assert not cache.folder.exists()


def test_the_same_rows_are_one_shard_whatever_their_order(cache):
    cache.add(names(1, 2), rows_of(1, 2))
    cache.add(names(2, 1), rows_of(2, 1))
    assert len(list(cache.folder.iterdir())) == 1


def damage_end(content):
    return content[:-7]


def damage_start(content):
    return b"\x00" * 16 + content[16:]


def damage_row(content):
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


def damage_all(content):
    return b""


def damage_shape(content):
    return content.replace(b"'shape': (2,)", b"'shape': (9, ")


@pytest.mark.parametrize("damage", [damage_end, damage_start, damage_row, damage_all, damage_shape])
def test_a_damaged_shard_is_dropped_and_made_again(cache, damage):
    cache.add(names(1, 2), rows_of(1, 2))
    (first,) = cache.folder.iterdir()
    cache.add(names(3), rows_of(3))
    content = first.read_bytes()
    assert damage(content) != content
    first.write_bytes(damage(content))
    with pytest.warns(UslWarning, match=f"{first.name} cannot be used"):
        found, out = fetch(cache, names(1, 3, 2))
    assert found.tolist() == [False, True, False]
    assert np.array_equal(out[1], rows_of(3)[0])
    cache.add(names(1, 2), rows_of(1, 2))  # no warning, from here on
    found, out = fetch(cache, names(1, 3, 2))
    assert found.all()
    assert np.array_equal(out, rows_of(1, 3, 2))


def test_a_damaged_shard_does_not_hide_a_good_one(cache):
    cache.add(names(1, 2), rows_of(1, 2))
    (first,) = cache.folder.iterdir()
    for number in range(3, 99):  # until a second shard sorts after the first
        cache.add(names(1, 2, number), rows_of(1, 2, number))
        (second,) = set(cache.folder.iterdir()) - {first}
        if second > first:
            break
        second.unlink()
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.warns(UslWarning):
        found, out = fetch(cache, names(2, 1))
    assert found.all()
    assert np.array_equal(out, rows_of(2, 1))


def test_rows_of_another_width_are_not_used(cache):
    cache.add(names(1), rows_of(1, dim=5))
    with pytest.warns(UslWarning, match=r"rows are float32 \[1, 5\]"):
        assert not fetch(cache, names(1), dim=4)[0].any()


def test_files_that_are_no_shards_are_left_alone(cache):
    cache.add(names(1), rows_of(1))
    (cache.folder / "notes.txt").write_text("mine")
    (cache.folder / ".abc.shard.123.tmp").write_bytes(b"half a shard")
    assert fetch(cache, names(1))[0].all()
    assert (cache.folder / "notes.txt").exists()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), unique=True, min_size=1), max_size=5), st.data())
def test_it_is_a_dictionary(tmp_path_factory, shards, data):
    cache = FeatureCache(tmp_path_factory.mktemp("dictionary"))
    for numbers in shards:
        cache.add(names(*numbers), rows_of(*numbers))
    known = {number for numbers in shards for number in numbers}
    asked = data.draw(st.lists(st.integers(0, 50), min_size=1))
    found, out = fetch(cache, names(*asked))
    assert found.tolist() == [number in known for number in asked]
    assert np.array_equal(out[found], rows_of(*(n for n in asked if n in known)))
