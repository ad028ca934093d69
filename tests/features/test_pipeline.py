"""One read a file, in order, within bounds, and what ends the work early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import UslWarning
from usl.data import decode_apart
from usl.data.open import open_collection
from usl.features import pipeline
from usl.features.cache import FeatureCache
from usl.features.embed import embed
from usl.features.pipeline import Room, Turns


@pytest.fixture
def folder(tmp_path):
    """Nine JPEGs, three contents twice, of 640 x 480 pixels."""
    place = tmp_path / "photos"
    place.mkdir()
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((640, 480)).save(place / f"{number}.jpg", quality=90)
    for number in range(3):
        (place / f"{number + 6}.jpg").write_bytes((place / f"{number}.jpg").read_bytes())
    for path in place.iterdir():
        os.utime(path, (1e9, 1e9))  # settled: its hash is remembered
    return place


@pytest.fixture
def reads(monkeypatch):
    """The files that are read, in whatever way."""
    found = []

    def audit(event, args):
        if event == "open" and armed and str(args[0]).endswith(".jpg"):
            found.append(os.path.basename(str(args[0])))

    armed = True
    sys.addaudithook(audit)
    yield found
    armed = False


def scaled(brightness, least=120):
    encoder = brightness()
    encoder.least = least
    return encoder


def test_each_file_is_read_once_and_each_content_decoded_once(folder, reads, brightness):
    encoder = scaled(brightness)
    found = embed(open_collection(folder), encoder)
    assert sorted(reads) == [f"{number}.jpg" for number in range(9)]
    assert (found.computed, found.reused, encoder.seen) == (6, 3, 6)
    np.testing.assert_array_equal(found.rows[:3], found.rows[6:])


def test_what_is_known_is_not_read(folder, reads, brightness):
    collection = open_collection(folder)
    embed(collection, scaled(brightness))
    collection.images.memo.flush()
    reads.clear()
    again = embed(open_collection(folder), scaled(brightness))
    assert (again.computed, reads) == (0, [])


def test_a_cached_content_under_another_name_is_read_but_not_decoded(
    folder, reads, brightness, tmp_path, monkeypatch
):
    first = embed(open_collection(folder), scaled(brightness))
    folder.rename(tmp_path / "moved")
    monkeypatch.setattr("usl.data.images.decode_file", lambda *_, **__: pytest.fail("decoded"))
    again = embed(open_collection(tmp_path / "moved"), scaled(brightness))
    assert (again.computed, again.reused) == (0, 9)
    np.testing.assert_array_equal(again.rows, first.rows)


def test_a_damaged_shard_that_was_counted_on_is_made_up_for(folder, brightness, tmp_path):
    encoder = scaled(brightness)
    first = embed(open_collection(folder), encoder, cache=tmp_path)
    (shard,) = (tmp_path / "features").glob("*-d3/*.shard")
    shard.write_bytes(shard.read_bytes()[:-1])
    folder = folder.rename(tmp_path / "moved")
    with pytest.warns(UslWarning, match="computed again"):
        again = embed(open_collection(folder), encoder, cache=tmp_path)
    assert (again.computed, again.reused) == (6, 3)
    np.testing.assert_array_equal(again.rows, first.rows)


def test_scaled_and_whole_pictures_are_never_mixed(folder, brightness):
    small = embed(open_collection(folder), scaled(brightness))
    whole = embed(open_collection(folder), brightness())
    assert small.rows[0, 1:].tolist() == [160, 120]
    assert whole.rows[0, 1:].tolist() == [640, 480]
    assert whole.computed == small.computed == 6
    assert (small.encoder.at_scale, whole.encoder.at_scale) == (True, False)


def test_arrays_keep_the_rows_they_had(make_collection, make_picture, brightness, tmp_path):
    collection = make_collection([make_picture(0)])
    embed(collection, brightness(), cache=tmp_path)
    assert embed(collection, scaled(brightness), cache=tmp_path).computed == 0


def test_which_twin_is_decoded_follows_from_the_order(folder, brightness):
    (folder / "0.jpg").write_bytes((folder / "0.jpg").read_bytes()[:5000])
    (folder / "6.jpg").write_bytes((folder / "0.jpg").read_bytes())
    for _ in range(5):
        found = embed(open_collection(folder), scaled(brightness), cache=False, workers=8)
        assert [name for name, _ in found.skipped] == ["0.jpg", "6.jpg"]
        assert all("0.jpg: damaged" in why for _, why in found.skipped)


def test_a_file_that_goes_away_is_named(folder, brightness):
    collection = open_collection(folder)
    (folder / "4.jpg").unlink()
    found = embed(collection, scaled(brightness))
    ((name, why),) = found.skipped
    assert name == "4.jpg"
    assert "cannot be read" in why
    assert len(found.rows) == 8


def test_a_decoder_that_dies_costs_its_picture_alone(folder, brightness, monkeypatch):
    (folder / "a.tif").write_bytes(b"II+\0" + bytes(60))  # decoded apart
    monkeypatch.setattr(decode_apart, "COMMAND", "import os; os.abort()")
    pool = decode_apart._Pool()
    monkeypatch.setattr(decode_apart, "_pool", lambda: pool)
    found = embed(open_collection(folder), scaled(brightness))
    ((name, why),) = found.skipped
    assert name == "a.tif"
    assert "its decoder crashed" in why
    assert len(found.rows) == 9


def test_turns_are_in_order():
    turns, seen = Turns(), []

    def work(number):
        with turns.turn(number):
            seen.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in (5, 3, 4, 1, 2, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == list(range(6))


def test_room_holds_no_more_pixels_than_it_has():
    room, held, most = Room(10), [0], []
    lock = threading.Lock()

    def work(pixels):
        for _ in range(50):
            with room.place() as take:
                take(pixels)
                with lock:
                    held[0] += pixels
                    most.append(held[0])
                with lock:
                    held[0] -= pixels

    threads = [threading.Thread(target=work, args=(n,)) for n in (3, 4, 5, 6, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert held == [0]
    assert len(most) == 250  # the largest was let in, too
    assert all(total <= 10 or total == 25 for total in most)


def test_large_pictures_wait_for_room(folder, brightness, monkeypatch):
    """Of 640 x 480 pixels each, read whole, with room for one."""
    monkeypatch.setattr(pipeline, "PIXELS", 640 * 480)
    at_once, most, lock = [0], [0], threading.Lock()

    class Slow(brightness):
        def prepare(self, image):
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            try:
                return super().prepare(image)
            finally:
                with lock:
                    at_once[0] -= 1

    found = embed(open_collection(folder), Slow(), workers=4, cache=False)
    assert len(found.rows) == 9
    assert most == [1]


INTERRUPTED = """
import sys, numpy as np
from usl.data.open import open_collection
from usl.features.embed import embed
from usl.features.encoders.pixels import Pixels

class Slow(Pixels):
    def forward(self, prepared):
        print("began", flush=True)
        import time
        time.sleep(3600)

try:
    embed(open_collection(sys.argv[1]), Slow(), batch_size=2)
except KeyboardInterrupt:
    print("ended", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_the_work_with_full_queues(folder):
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", INTERRUPTED, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "began\n"
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.communicate(timeout=120)[0] == "ended\n"
    assert process.returncode == 0
    assert time.monotonic() - began < 60


def test_the_cache_of_scaled_pictures_is_another(tmp_path):
    names = [FeatureCache.open("k", tmp_path, at_scale=scale).folder.name for scale in (0, 1)]
    assert names == ["k-d2", "k-d3"]
