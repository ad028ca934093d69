"""Pictures that may cost much are decoded in a child process, within bounds on time and memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from hostile_pictures import huge_png, repeated_scans, tiff, tile_of
from PIL import Image

from usl.core.errors import DataError
from usl.data import decode_apart, picture_cost
from usl.data.decode import decode_file
from usl.data.decode_apart import Stopped
from usl.data.endings import readable_endings
from usl.data.open import open_collection
from usl.data.picture_cost import Costly
from usl.features.embed import embed

needs_bound = pytest.mark.skipif(sys.platform != "linux", reason="no bound on memory there")


def saved(image: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def noise(mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (40, 60, len(mode)), np.uint8)
    return Image.fromarray(values.squeeze(), mode)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(decode_apart, "SECONDS", 0.3)


@pytest.fixture
def all_apart(monkeypatch):
    monkeypatch.setattr(picture_cost, "MEMORY", 0)


PLAIN = {
    "grey.png": saved(noise("L"), "PNG"),
    "colour.png": saved(noise(), "PNG"),
    "transparent.png": saved(noise("RGBA"), "PNG"),
    "palette.gif": saved(noise().convert("P"), "GIF"),
    "baseline.jpg": saved(noise(), "JPEG"),
    "progressive.jpg": saved(noise(), "JPEG", progressive=True),
    "colour.webp": saved(noise(), "WEBP"),
    "frames.webp": saved(noise(), "WEBP", save_all=True, append_images=[noise()] * 9),
    "colour.bmp": saved(noise(), "BMP"),
    "plain.tif": saved(noise(), "TIFF"),
    "deflate.tif": saved(noise(), "TIFF", compression="tiff_adobe_deflate"),
    "deep.tif": saved(Image.fromarray(np.arange(99, dtype=np.uint16)[None] * 9), "TIFF"),
    "float.tif": saved(Image.fromarray(np.arange(99, dtype=np.float32)[None]), "TIFF"),
}
LARGE = {
    "large.jpg": saved(Image.new("RGB", (9600, 6400)), "JPEG"),  # of the largest cameras
    "usual.jpg": saved(Image.new("RGB", (6000, 4000)), "JPEG", progressive=True),
}
COSTLY = {
    "scans.jpg": repeated_scans(1000, side=2000),
    "rgba.png": huge_png(),
    "tile.tif": tile_of(4000),
    "tags.tif": tiff(many=200),
    "turned.tif": tiff(tags={274: 6}),
    "jpeg.tif": saved(noise(), "TIFF", compression="jpeg"),
    "photo.jp2": saved(noise(), "JPEG2000"),
}
PHOTO = {"photo.avif": ".avif", "photo.heic": ".heic"}


def photos():
    for name, ending in PHOTO.items():
        if ending in readable_endings():
            yield name, saved(noise(), "AVIF" if ending == ".avif" else "HEIF")


@pytest.mark.parametrize("name", [*PLAIN, *LARGE])
def test_what_is_plain_is_decoded_here(name):
    content = {**PLAIN, **LARGE}[name]
    assert decode_file(io.BytesIO(content), name, apart=False).size[0] > 1


@pytest.mark.parametrize("name", COSTLY)
def test_what_may_be_costly_is_not(name):
    with pytest.raises(Costly):
        decode_file(io.BytesIO(COSTLY[name]), name, apart=False)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("cut", [4, 9, 30])
def test_a_tiff_that_is_cut_off_is_named(cut):
    with pytest.raises(DataError, match=r"cut\.tif"):
        decode_file(io.BytesIO(tiff(cut=cut)), "cut.tif")


@pytest.mark.parametrize("side", [None, 20])
@pytest.mark.parametrize("name", PLAIN)
def test_apart_comes_out_the_same(tmp_path, monkeypatch, name, side):
    counted, again = Counter(), Counter()
    here = decode_file(io.BytesIO(PLAIN[name]), name, side=side, scaled=counted)
    monkeypatch.setattr(picture_cost, "MEMORY", 0)
    (tmp_path / name).write_bytes(PLAIN[name])
    for source in (io.BytesIO(PLAIN[name]), tmp_path / name):
        apart = decode_file(source, name, side=side, scaled=again)
        assert apart.mode == here.mode
        np.testing.assert_array_equal(np.asarray(apart), np.asarray(here))
    assert again == counted + counted


def test_phones_pictures_are_decoded_apart():
    for name, content in photos():
        with pytest.raises(Costly):
            decode_file(io.BytesIO(content), name, apart=False)
        assert decode_file(io.BytesIO(content), name).size == (60, 40)
        with pytest.raises(DataError, match=name):
            decode_file(io.BytesIO(content[:-200]), name)


def test_faults_are_told_in_the_same_words(monkeypatch):
    cut = PLAIN["colour.png"][:500]
    with pytest.raises(DataError) as here:
        decode_file(io.BytesIO(cut), "cut.png")
    monkeypatch.setattr(picture_cost, "MEMORY", 0)
    with pytest.raises(DataError) as apart:
        decode_file(io.BytesIO(cut), "cut.png")
    assert str(apart.value) == str(here.value)


def test_a_picture_that_takes_too_long_is_named(impatient, tmp_path):
    (tmp_path / "scans.jpg").write_bytes(repeated_scans(20_000))
    with pytest.raises(DataError, match=r"scans\.jpg: takes more than .* s.* Save a"):
        decode_file(tmp_path / "scans.jpg", "scans.jpg")
    content = saved(noise(), "JPEG2000")  # the next one gets a new process
    assert decode_file(io.BytesIO(content), "b.jp2").size == (60, 40)


def test_where_no_timer_counts_the_clock_does(monkeypatch, tmp_path):
    monkeypatch.setattr(decode_apart, "SECONDS", 0)  # no timer
    monkeypatch.setattr(decode_apart, "LONGEST", 3.0)
    (tmp_path / "scans.jpg").write_bytes(repeated_scans(100_000))
    with pytest.raises(DataError, match=r"scans\.jpg: takes more than"):
        decode_file(tmp_path / "scans.jpg", "scans.jpg")


@needs_bound
def test_a_picture_that_takes_too_much_memory_is_stopped():
    asked = {"name": "a.png", "limit": None, "side": 64, "seconds": 60}
    content = huge_png(4000)
    bounds = {"memory": 60 << 20, "small": False}
    with pytest.raises(Stopped, match="memory"):
        decode_apart._pool().ask({**asked, **bounds}, content)
    image, _ = decode_apart._pool().ask({**asked, "memory": 1 << 30, "small": False}, content)
    assert image.size == (64, 64)


def test_what_is_known_to_be_too_large_is_not_begun(monkeypatch):
    monkeypatch.setattr(decode_apart, "LARGE", 100 << 20)
    with pytest.raises(DataError, match=r"rgba\.png: takes more than 100 MB of memory"):
        decode_file(io.BytesIO(COSTLY["rgba.png"]), "rgba.png")


@needs_bound
def test_the_largest_allowed_pictures_fit():
    assert decode_file(io.BytesIO(COSTLY["rgba.png"]), "rgba.png", side=64).size == (64, 64)


def test_a_decoder_that_dies_takes_only_its_picture(all_apart, monkeypatch):
    decode_file(io.BytesIO(PLAIN["grey.png"]), "grey.png")
    (child, *_) = decode_apart._pool()._idle
    child.process.kill()
    child.process.wait()
    assert decode_file(io.BytesIO(PLAIN["grey.png"]), "grey.png").size == (60, 40)
    monkeypatch.setattr(decode_apart, "COMMAND", "import os; os.abort()")
    monkeypatch.setattr(decode_apart._pool(), "_idle", [])
    with pytest.raises(DataError, match=r"grey\.png: .*crashed"):
        decode_file(io.BytesIO(PLAIN["grey.png"]), "grey.png")
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(DataError, match=r"grey\.png: needs a process"):
        decode_file(io.BytesIO(PLAIN["grey.png"]), "grey.png")


def test_many_at_once(all_apart):
    wanted = {name: np.asarray(decode_file(io.BytesIO(c), name)) for name, c in PLAIN.items()}
    wrong = []

    def work(name):
        for _ in range(3):
            found = np.asarray(decode_file(io.BytesIO(PLAIN[name]), name))
            if not np.array_equal(found, wanted[name]):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in PLAIN]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


SCRIPT = """
import io, os, sys
from PIL import Image
from usl.data.decode import decode_file
content = io.BytesIO()
Image.new("RGB", (9, 7), (50, 60, 70)).save(content, "JPEG2000")
print(decode_file(content, "a.jp2").getpixel((1, 1)))
if hasattr(os, "fork"):
    if (pid := os.fork()) == 0:
        print(decode_file(content, "a.jp2").getpixel((1, 1)), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
print(decode_file(content, "a.jp2").getpixel((1, 1)))
"""


def test_a_script_without_a_main_guard_and_its_forks(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    made = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "script.py")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert made.stderr == ""
    assert made.stdout.split("\n")[:-1] == ["(50, 60, 70)"] * (3 if hasattr(os, "fork") else 2)


def test_the_others_of_a_folder_go_on(impatient, tmp_path):
    for number in range(5):
        noise().save(tmp_path / f"p{number}.png")
    (tmp_path / "hostile.jpg").write_bytes(repeated_scans(20_000))
    found = embed(open_collection(tmp_path), "pixels", cache=False)
    assert len(found.rows) == 5
    ((name, reason),) = found.skipped
    assert name == "hostile.jpg"
    assert "takes more than" in reason
