from __future__ import annotations

import io
import os
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from page_run import make_photos
from PIL import Image

from usl.core.errors import DataError
from usl.data import open_collection
from usl.data.decode import decode_file, shrink
from usl.data.images import ArrayImages, FileImages, ObjectImages
from usl.labeling.page.picture_cache import PictureCache
from usl.labeling.page.pictures import FORM, Pictures, fitting


def opened(picture):
    return Image.open(io.BytesIO(picture.content))


def files(folder, **shelf):
    names = sorted(path.name for path in folder.iterdir())
    return Pictures(FileImages(folder, names), PictureCache(None, **shelf))


def smooth(size):
    ramp = np.linspace(0, 255, size[0])[None, :, None] * np.ones((size[1], 1, 3))
    ramp[: size[1] // 2, :, 1] = 40
    return Image.fromarray(ramp.astype(np.uint8))


def test_pictures_are_no_larger_than_asked_for(tmp_path):
    make_photos(tmp_path / "p", 2, size=(1000, 500))
    pictures = files(tmp_path / "p")
    for side, size in [
        (160, (160, 80)),
        (600, (640, 320)),
        (4096, (1000, 500)),
        (10**9, (1000, 500)),
    ]:
        assert opened(pictures.get(0, side)).size == size
    assert [fitting(side) for side in (0, 160, 161, 5000)] == [160, 160, 320, 4096]


@pytest.mark.parametrize("size", [(4000, 3000), (3001, 997), (500, 2777)])
def test_shrinking_while_decoding_shows_the_same_picture(tmp_path, size):
    path = tmp_path / "large.jpg"
    smooth(size).save(path, quality=95)
    small = decode_file(path, "large.jpg", side=320)
    plain = shrink(decode_file(path, "large.jpg"), 320)
    assert small.size == plain.size
    assert np.abs(np.asarray(small, int) - np.asarray(plain, int)).mean() < 2


def test_the_orientation_is_applied(tmp_path):
    image = smooth((400, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert opened(files(tmp_path).get(0, 160)).size == (80, 160)


def test_small_pictures_arrive_pixel_for_pixel():
    array = np.random.default_rng(0).integers(0, 256, (2, 28, 28), np.uint8)
    picture = Pictures(ArrayImages(array), PictureCache(None)).get(1, 1280)
    assert picture.kind == "image/png"
    np.testing.assert_array_equal(np.asarray(opened(picture)), array[1])


def test_nothing_but_pixels_leaves_the_machine(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "at home"
    smooth((300, 200)).save(tmp_path / "a.jpg", exif=exif, comment=b"secret")
    content = files(tmp_path).get(0, 640).content
    assert b"at home" not in content
    assert b"secret" not in content


def test_a_changed_file_is_read_anew(tmp_path):
    smooth((300, 200)).save(tmp_path / "a.jpg")
    pictures = files(tmp_path)
    first = pictures.get(0, 160)
    smooth((200, 300)).save(tmp_path / "a.jpg")
    os.utime(tmp_path / "a.jpg", (1e9, 1e9))  # a clock's tick later for sure
    assert opened(pictures.get(0, 160)).size != opened(first).size


def test_a_picture_is_kept_under_what_it_was_made_from(tmp_path):
    """A file that is exchanged while it is decoded, or an array that is, is shown under no name."""
    smooth((300, 200)).save(tmp_path / "a.jpg")

    class Exchanged(Pictures):
        def _decode(self, row, size, **how):
            smooth((200, 300)).save(tmp_path / "a.jpg")
            array[row] += 1
            return super()._decode(row, size, **how)

    array = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    for images in (FileImages(tmp_path, ["a.jpg"]), ArrayImages(array)):
        pictures = Exchanged(images, PictureCache(None))
        before = pictures.digest(0)
        with pytest.raises(DataError, match="changed while it was read"):
            pictures.get(0, 160)
        assert pictures.digest(0) != before
        assert pictures.cache.get(f"{before}-160-{FORM}") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_a_device_is_no_picture(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"soon a pipe")
    pictures = files(tmp_path)
    (tmp_path / "a.jpg").unlink()
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: no file"):
        pictures.get(0, 160)


def test_faults_name_the_file(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture at all")
    (tmp_path / "b.jpg").write_bytes(b"soon gone")
    pictures = files(tmp_path)
    (tmp_path / "b.jpg").unlink()
    for row, words in ((0, "a.jpg.*not an image"), (1, "b.jpg.*gone")):
        with pytest.raises(DataError, match=words):
            pictures.get(row, 640)


def test_many_who_ask_at_once_share_the_work(tmp_path):
    class Slow(ArrayImages):
        reads = 0

        def read(self, row):
            type(self).reads += 1
            gate.wait(5)
            return super().read(row)

    gate = threading.Event()
    pictures = Pictures(Slow(np.arange(192, dtype=np.uint8).reshape(3, 8, 8)), PictureCache(None))
    pictures.prepare([0, 1, 2], 640)
    threads = [threading.Thread(target=pictures.get, args=(2, 640)) for _ in range(6)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    pictures.get(0, 640)
    pictures.get(1, 640)
    assert Slow.reads == 3


def test_what_is_asked_for_overtakes_what_is_prepared():
    class Ordered(ArrayImages):
        order: list[int] = []  # noqa: RUF012 - one test, one class

        def read(self, row):
            if row == 0:
                gate.wait(5)
            self.order.append(row)
            return super().read(row)

    gate = threading.Event()
    pictures = Pictures(Ordered(np.zeros((5, 8, 8), np.uint8)), PictureCache(None))
    pictures.prepare([0, 1, 2, 3], 640)
    pictures.get(3, 640)  # behind three others in the queue, one of which is stuck
    assert Ordered.order == [3]
    gate.set()
    pictures.get(1, 640)


def test_the_shelf_is_bounded_and_survives(tmp_path):
    shelf = PictureCache(tmp_path, memory=250, disk=450)
    for number in range(8):
        shelf.put(f"{number:02d}name", bytes([number]) * 100)
    assert sum(map(len, shelf._kept.values())) <= 250
    shelf.prune()
    left = list(tmp_path.glob("??/*"))
    assert len(left) == 4
    again = PictureCache(tmp_path)
    found = [again.get(f"{number:02d}name") for number in range(8)]
    assert sum(one is not None for one in found) == 4
    assert all(one is None or one == bytes([n]) * 100 for n, one in enumerate(found))


def test_a_shelf_that_cannot_be_written_is_no_fault(tmp_path):
    (tmp_path / "file").write_text("in the way")
    shelf = PictureCache(tmp_path / "file")
    shelf.put("name", b"content")
    assert shelf.get("name") == b"content"
    (tmp_path / "na").mkdir()
    (tmp_path / "na" / "name").write_bytes(b"")
    assert PictureCache(tmp_path).get("name") is None


def test_deep_pictures_are_shown_by_the_levels_that_they_have(tmp_path):
    """12 bits in 16, a narrow range, floats, 16-bit colours: 99% of the pixels fill the screen."""
    ramp = np.linspace(0, 1, 200 * 300).reshape(200, 300)
    twelve = np.uint16(100 + 380 * ramp)
    twelve[0, :3] = 4095  # a few hot pixels, which would leave the rest nearly black
    Image.fromarray(twelve).save(tmp_path / "a.tif")
    Image.fromarray(np.float32(0.2 + 0.02 * ramp)).save(tmp_path / "b.tif")
    Image.fromarray(np.uint8(255 * ramp)).save(tmp_path / "c.png")
    Image.fromarray(np.full((200, 300), 700, np.uint16)).save(tmp_path / "d.tif")
    names = ["a.tif", "b.tif", "c.png", "d.tif"]
    for cache in (PictureCache(tmp_path / "kept"), PictureCache(tmp_path / "kept")):
        pictures = Pictures(FileImages(tmp_path, names), cache)  # the second finds them kept
        low, high = np.percentile(twelve, [0.5, 99.5])
        expected = f"Levels {low:,.0f} to {high:,.0f} are shown, where 99% of its pixels lie."
        assert pictures.levels(0, 320) == expected
        assert pictures.levels(1, 320).startswith("Levels 0.2001 to 0.2199")
        assert pictures.levels(2, 320) == pictures.levels(3, 320) == ""
        for row in (0, 1):
            shown = np.asarray(opened(pictures.get(row, 320)).convert("L"))
            assert np.percentile(shown, 1) < 6
            assert np.percentile(shown, 99) > 249
            assert abs(int(shown[100, 150]) - 127) < 6
        pictures.close()


@pytest.mark.parametrize("kind", ["parquet", "decoded", "undecoded"])
def test_deep_pictures_of_tables_and_objects_are_shown_so_too(tmp_path, kind):
    """Pictures of Parquet files, of a data set's objects, and of bytes that it did not decode."""
    deep = np.uint16(np.linspace(100, 480, 60 * 80).reshape(60, 80))
    content = io.BytesIO()
    Image.fromarray(deep).save(content, "PNG")
    held = {"bytes": content.getvalue(), "path": None}
    if kind == "parquet":
        struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array([held], struct)})
        pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
        images = open_collection(tmp_path / "x.parquet").images
    else:
        value = Image.fromarray(deep) if kind == "decoded" else held
        images = ObjectImages([value], lambda items, index: items[index])
    pictures = Pictures(images, PictureCache(None))
    low, high = np.percentile(deep, [0.5, 99.5])
    assert pictures.levels(0, 320).startswith(f"Levels {low:,.0f} to {high:,.0f} are shown")
    shown = np.asarray(opened(pictures.get(0, 320)).convert("L"))
    assert np.percentile(shown, [1, 99]).tolist() == pytest.approx([0, 255], abs=6)
    pictures.close()
