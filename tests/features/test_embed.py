from __future__ import annotations

import errno
import multiprocessing
import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import DataError, UsageError, UslWarning
from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.features import pipeline
from usl.features.embed import embed
from usl.features.pipeline import ahead


@pytest.fixture
def pictures(make_picture):
    return [
        make_picture(row, (5 + row % 4, 6), "L" if row % 3 == 0 else "RGB") for row in range(23)
    ]


def truth(pictures):
    return np.array([[np.asarray(p).mean(), *p.size] for p in pictures], dtype=np.float32)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(("batch_size", "workers"), [(None, None), (1, 1), (4, 3), (100, 2)])
def test_rows_follow_the_collection(
    pictures, make_collection, brightness, cache, batch_size, workers
):
    found = embed(
        make_collection(pictures),
        brightness(),
        cache=cache,
        batch_size=batch_size,
        workers=workers,
    )
    assert np.array_equal(found.rows, truth(pictures))
    assert found.rows.dtype == np.float32
    assert found.kept.tolist() == list(range(23))
    assert found.kept.dtype == np.int64
    assert (found.computed, found.reused, found.skipped) == (23, 0, ())
    assert found.encoder.name == "brightness"
    assert found.images_per_second > 0
    assert found.seconds > 0


def test_new_images_cost_only_themselves(pictures, make_collection, brightness):
    embed(make_collection(pictures[:15]), brightness())
    collection = make_collection(pictures[::-1])
    encoder = brightness()
    found = embed(collection, encoder)
    assert (found.computed, found.reused) == (8, 15)
    assert encoder.seen == 8
    assert sorted(collection.images.read_rows) == list(range(8))
    assert np.array_equal(found.rows, truth(pictures[::-1]))
    again = embed(make_collection(pictures), brightness(stop_after=0))
    assert (again.computed, again.reused, again.images_per_second) == (0, 23, 0)
    assert np.array_equal(again.rows, truth(pictures))


def test_a_cache_of_ones_own_and_none(pictures, make_collection, brightness, tmp_path):
    collection = make_collection(pictures)
    assert embed(collection, brightness(), cache=tmp_path / "mine").computed == 23
    assert list((tmp_path / "mine" / "features" / "brightness-v1-d2").glob("*.shard"))
    assert embed(collection, brightness(), cache=None).computed == 23
    assert embed(collection, brightness(), cache=str(tmp_path / "mine")).computed == 0
    assert embed(collection, brightness()).computed == 23  # the user's cache was not touched


@pytest.mark.parametrize("cache", [True, False])
def test_identical_images_are_encoded_once(pictures, make_collection, brightness, cache):
    twins = [pictures[i] for i in (3, 1, 3, 2, 1, 3)]
    found = embed(make_collection(twins), brightness(), cache=cache)
    assert (found.computed, found.reused) == (3, 3)
    assert np.array_equal(found.rows, truth(twins))


def test_corrupt_images_are_named_and_left_out(pictures, make_collection, brightness):
    pictures[4] = pictures[22] = None
    found = embed(make_collection(pictures), brightness(), batch_size=5)
    assert found.kept.tolist() == [row for row in range(23) if row not in (4, 22)]
    assert np.array_equal(found.rows, truth([p for p in pictures if p is not None]))
    assert found.skipped == (
        ("train/00004", "picture-4.jpg: damaged image."),
        ("train/00022", "picture-22.jpg: damaged image."),
    )
    assert (found.computed, found.reused) == (21, 0)


def test_corrupt_images_can_be_fatal(pictures, make_collection, brightness):
    pictures[12] = None
    collection = make_collection(pictures)
    with pytest.raises(DataError, match=r"picture-12\.jpg"):
        embed(collection, brightness(), on_corrupt="fail", batch_size=4)
    # what was finished before is kept
    assert embed(collection, brightness()).reused == 12


def test_images_that_cannot_even_be_hashed(pictures, make_collection, brightness, monkeypatch):
    collection = make_collection(pictures)
    hashed = collection.images.digest

    def digest(row):
        if row in (2, 9):
            raise DataError(f"file-{row}: the file is gone.")
        return hashed(row)

    monkeypatch.setattr(collection.images, "digest", digest)
    found = embed(collection, brightness())
    assert found.skipped == (
        ("train/00002", "file-2: the file is gone."),
        ("train/00009", "file-9: the file is gone."),
    )
    assert len(found.rows) == 21
    with pytest.raises(DataError, match="file-2"):
        embed(collection, brightness(), on_corrupt="fail")


def test_twins_of_a_corrupt_image_are_left_out_too(pictures, make_collection, brightness):
    pictures[1] = pictures[5] = None
    collection = make_collection(pictures)
    collection.images.digest = lambda row: "ab" * 16 if row in (1, 5) else f"{row:032x}"
    found = embed(collection, brightness())
    assert [image_id for image_id, _ in found.skipped] == ["train/00001", "train/00005"]
    assert collection.images.read_rows.count(5) == 0


def test_nothing_readable_and_nothing_at_all(make_collection, brightness):
    found = embed(make_collection([None, None]), brightness())
    assert found.rows.shape == (0, 3)
    assert len(found.skipped) == 2
    found = embed(make_collection([]), brightness())
    assert (found.rows.shape, found.kept.tolist(), found.skipped) == ((0, 3), [], ())


@pytest.mark.parametrize("stop_with", [KeyboardInterrupt, RuntimeError])
def test_interrupted_work_goes_on_where_it_stopped(
    pictures, make_collection, brightness, stop_with
):
    collection = make_collection(pictures)
    threads = threading.active_count()
    with pytest.raises(stop_with):
        embed(collection, brightness(stop_after=12, stop_with=stop_with), batch_size=4)
    assert threading.active_count() == threads
    encoder = brightness()
    found = embed(collection, encoder, batch_size=4)
    assert (found.reused, found.computed, encoder.seen) == (12, 11, 11)
    assert np.array_equal(found.rows, truth(pictures))


def test_finished_rows_are_stored_on_the_way(
    pictures, make_collection, brightness, own_folder, monkeypatch
):
    """Even a killed process loses at most a shard's worth."""
    monkeypatch.setattr(pipeline, "SHARD_IMAGES", 8)
    stored = []

    def progress(done, total, label):
        if label == "images":
            stored.append((done, len(list(own_folder.glob("features/*/*.shard")))))

    embed(make_collection(pictures), brightness(), batch_size=4, progress=progress)
    assert stored == [(4, 0), (8, 1), (12, 1), (16, 2), (20, 2), (23, 2)]


def test_slow_encoders_are_stored_by_the_clock(
    pictures, make_collection, brightness, own_folder, monkeypatch
):
    monkeypatch.setattr(pipeline, "SHARD_SECONDS", 0.0)
    embed(make_collection(pictures), brightness(), batch_size=10)
    assert len(list(own_folder.glob("features/*/*.shard"))) == 3


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("USL_CACHE", str(tmp_path))
    return tmp_path


def test_a_damaged_shard_costs_its_images_only(
    pictures, make_collection, brightness, own_folder, monkeypatch
):
    monkeypatch.setattr(pipeline, "SHARD_IMAGES", 10)
    collection = make_collection(pictures)
    embed(collection, brightness(), batch_size=5)
    shard = max(own_folder.glob("features/*/*.shard"), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.warns(UslWarning, match="its images are computed again"):
        found = embed(collection, brightness())
    assert (found.computed, found.reused) == (10, 13)
    assert np.array_equal(found.rows, truth(pictures))
    assert embed(collection, brightness()).computed == 0


def test_a_cache_that_cannot_be_written_costs_time_only(
    pictures, make_collection, brightness, tmp_path
):
    (tmp_path / "features").write_text("a file where the folder should be")
    with pytest.warns(UslWarning, match="cannot be written") as caught:
        found = embed(make_collection(pictures), brightness(), cache=tmp_path, batch_size=4)
    assert len(caught) == 1
    assert np.array_equal(found.rows, truth(pictures))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_full_or_failing_disk_costs_time_only(
    pictures, make_collection, brightness, monkeypatch, number
):
    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("usl.core.files.os.fsync", full)
    with pytest.warns(UslWarning, match="computed without a cache") as caught:
        found = embed(make_collection(pictures), brightness(), batch_size=4)
    assert len(caught) == 1
    assert np.array_equal(found.rows, truth(pictures))


def test_greys_that_were_scaled_are_said(brightness, tmp_path):
    for number, kind in enumerate((np.uint8, np.uint16, np.float32)):
        picture = Image.fromarray(np.full((4, 4), 200, kind))
        picture.save(tmp_path / f"{number}.tif")
    with pytest.warns(UslWarning, match=r"greys of 2 pictures were scaled.*8 bits in 16") as caught:
        embed(open_collection(tmp_path), brightness())
    assert len(caught) == 1


def test_progress_counts_the_images_to_encode(pictures, make_collection, brightness):
    embed(make_collection(pictures[:3]), brightness())
    pictures[20] = None
    calls = []
    embed(
        make_collection(pictures),
        brightness(),
        batch_size=8,
        progress=lambda done, total, label: calls.append((done, total, label)),
    )
    assert [call for call in calls if call[2] == "images"][-1] == (20, 20, "images")
    assert all(0 < done <= total for done, total, _ in calls)
    assert [call for call in calls if call[2] == "hash"][-1] == (23, 23, "hash")


def test_features_of_ones_own_are_taken_as_they_are():
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    ids = np.array([f"{i}" for i in range(5)])
    collection = Collection(ids=ids, subsets=np.full(5, "train"), features=features, source="x.npz")
    found = embed(collection)
    assert np.array_equal(found.rows, features)
    assert found.encoder.name == "given"
    assert found.encoder.preprocessing == {"center": False, "standardize": False, "pca": None}
    assert (found.encoder.dim, found.encoder.supervision) == (3, "unknown")
    assert (found.computed, found.reused, found.kept.tolist()) == (0, 5, [0, 1, 2, 3, 4])
    with pytest.raises(UsageError, match=r"x\.npz: holds features.*'pixels'"):
        embed(collection, "pixels")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"on_corrupt": "ignore"}, "on_corrupt"),
        ({"batch_size": 0}, "batch_size"),
        ({"workers": 0}, "workers"),
    ],
)
def test_parameters_out_of_range(make_collection, brightness, options, named):
    with pytest.raises(UsageError, match=named):
        embed(make_collection([]), brightness(), **options)


def test_an_encoder_that_gives_nan_is_refused(pictures, make_collection, brightness, own_folder):
    class Broken(brightness):
        def forward(self, prepared):
            rows = super().forward(prepared)
            rows[rows[:, 1] == 8] = np.nan  # the pictures of width 8: 3, 7, 11, ...
            return rows

    with pytest.raises(DataError, match="'brightness' gave NaN or infinity for train/00003"):
        embed(make_collection(pictures), Broken(), batch_size=3)
    (_,) = own_folder.glob("features/*/*.shard")
    assert embed(make_collection(pictures), brightness()).reused == 3


def test_an_encoder_that_gives_another_width_is_refused(pictures, make_collection, brightness):
    class Narrow(brightness):
        def forward(self, prepared):
            return super().forward(prepared)[:, :2]

    with pytest.raises(DataError, match=r"gave float32 \[23, 2\] for 23 images"):
        embed(make_collection(pictures), Narrow())


def test_reading_runs_ahead_but_not_away():
    """At most ``depth`` results wait, however slow the consumer is."""
    started = []

    def work(item):
        started.append(item)
        return -item

    results = ahead(work, range(100), workers=2, depth=6)
    assert next(results) == 0
    time.sleep(0.05)
    assert len(started) <= 8
    assert [0, *results] == [-item for item in range(100)]


def _embed_some(folder, first):
    os.environ["USL_CACHE"] = folder
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (300, 8, 8), dtype=np.uint8)[first : first + 200]
    from usl.data.images import ArrayImages

    ids = np.array([f"train/{row:05d}" for row in range(200)])
    collection = Collection(ids=ids, subsets=np.full(200, "train"), images=ArrayImages(array))
    return embed(collection, "pixels", batch_size=16).rows


def test_processes_share_a_cache(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        one, two = pool.starmap(_embed_some, [(str(tmp_path), 0), (str(tmp_path), 100)])
    assert np.array_equal(one[100:], two[:100])
    assert np.array_equal(_embed_some(str(tmp_path), 50), np.concatenate([one[50:], two[100:150]]))
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"]


def test_from_files_to_pixels(tmp_path):
    """With the real reader: JPEG and PNG, grey and colour, one truncated file."""
    from usl.data.open import open_collection

    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (("a.png", (40, 30)), ("b.jpg", (50, 60, 3)), ("c.png", (32, 32, 3))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    content = (folder / "b.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(content[: len(content) // 3])
    found = embed(open_collection(str(folder)), "pixels")
    assert found.rows.shape == (3, 3072)
    assert found.rows.dtype == np.uint8
    assert [image_id for image_id, _ in found.skipped] == ["broken.jpg"]
