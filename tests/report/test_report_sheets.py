"""Thumbnails on sheets: everyone's own picture, within the room that there is."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import DataError
from usl.data.images import FileImages
from usl.report.drawing import sheets
from usl.report.drawing.sheets import ACROSS, make_sheets

PLENTY = 10**7


class Pictures:
    """Pictures of one colour and one size each, that note which were read."""

    def __init__(self, sizes, broken=(), seed=0):
        self.colours = np.random.default_rng(seed).integers(0, 256, (len(sizes), 3))
        self.sizes, self.broken, self.read_rows = sizes, broken, []

    def read(self, row):
        self.read_rows.append(row)
        if row in self.broken:
            raise DataError("broken")
        return Image.new("RGB", self.sizes[row], tuple(self.colours[row].tolist()))


def tile(made, number):
    """A thumbnail as the page cuts it out, uint8 [h, w, 3]."""
    file, place = divmod(number, ACROSS**2)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(made.files[file]))))
    width, height = made.sizes[number]
    top, left = place // ACROSS * made.side, place % ACROSS * made.side
    return sheet[top : top + height, left : left + width]


def test_each_has_its_own():
    rng = np.random.default_rng(1)
    sizes = [tuple(rng.integers(20, 300, 2).tolist()) for _ in range(300)]
    images = Pictures(sizes, broken=(4, 270))
    needed, wanted = [9, 4, 7], list(range(299, 10, -1))
    made = make_sheets(images, needed, wanted, PLENTY)
    assert made.rows == [row for row in needed + wanted if row not in (4, 270)]
    assert (made.side, len(made.files)) == (64, 2)
    for number, row in enumerate(made.rows):
        cut = tile(made, number)
        assert np.abs(cut.astype(int) - images.colours[row]).max() < 24  # JPEG
        before, after = sizes[row], made.sizes[number]
        assert max(after) == min(64, max(before))
        assert after[0] / after[1] == pytest.approx(before[0] / before[1], rel=0.1)


@pytest.mark.parametrize(("length", "side"), [(28, 32), (32, 32), (33, 40), (64, 64), (500, 64)])
def test_small_pictures_stay_as_they_are(length, side):
    made = make_sheets(Pictures([(length, length // 2)] * 3), [0, 1], [2], PLENTY)
    assert made.side == side
    assert made.sizes[0] == (min(length, 64), min(length, 64) // 2)


def test_less_room_smaller_then_fewer():
    class Noise(Pictures):
        def read(self, row):
            picture = super().read(row)
            noise = np.random.default_rng(row).integers(0, 256, (*picture.size, 3), dtype=np.uint8)
            return Image.fromarray(noise)

    images = Noise([(64, 64)] * 400)
    rows = list(range(400))
    found = []
    for room in (PLENTY, 1_100_000, 500_000, 150_000, 50_000, 3_000):
        made = make_sheets(images, rows[:50], rows[50:], room)
        assert sum(map(len, made.files)) <= room
        assert made.rows == rows[: len(made.rows)]  # the last are left out
        found.append((made.side, len(made.rows)))
    assert 64 == found[0][0] > found[1][0] > found[2][0] >= 32
    assert [count for _, count in found[:3]] == [400] * 3
    assert 400 > found[3][1] > found[4][1] > found[5][1] > 0


@pytest.mark.parametrize("room", [-5, 0, 100, 500])
def test_no_room(room):
    images = Pictures([(64, 64)] * 5)
    assert make_sheets(images, [0, 1], [2], room) is None
    assert len(images.read_rows) <= 2


def test_nothing_to_show():
    assert make_sheets(Pictures([(9, 9)] * 2, broken=(0, 1)), [0], [1], PLENTY) is None
    assert make_sheets(Pictures([]), [], [], PLENTY) is None


def test_large_photographs_do_not_hold_up_the_report(monkeypatch):
    monkeypatch.setattr(sheets, "PIXELS", 100 * 100 * 7)
    images = Pictures([(100, 100)] * 40)
    made = make_sheets(images, list(range(20)), list(range(20, 40)), PLENTY)
    assert made.rows == list(range(28))  # all that are needed, and the eighth passes the limit
    assert images.read_rows == made.rows


def test_photographs_are_read_at_a_scale(tmp_path, monkeypatch):
    """Each counts 0.4 x 640,000 pixels: the sixth passes a limit of 1.3 million."""
    for number in range(10):
        Image.new("RGB", (800, 800), (25 * number, 90, 90)).save(tmp_path / f"{number}.jpg")
    images = FileImages(tmp_path, [f"{number}.jpg" for number in range(10)])
    monkeypatch.setattr(FileImages, "read", lambda *_: pytest.fail("read whole"))
    monkeypatch.setattr(sheets, "PIXELS", 1_300_000)
    made = make_sheets(images, [], range(10), PLENTY)
    assert made.rows == list(range(6))
    assert np.abs(tile(made, 5).astype(int) - (125, 90, 90)).max() < 24


def test_record_names_the_points():
    made = make_sheets(Pictures([(40, 30)] * 6), [5], [3], PLENTY)
    record = made.record({5: 50, 3: 30})
    assert record == {
        "side": 40,
        "across": 16,
        "of": [50, 30],
        "sizes": [(40, 30), (40, 30)],
        "sheets": made.files,
        "unread": [],
    }
    made = make_sheets(Pictures([(40, 30)] * 6, broken=(3, 4)), [5, 4], [3], PLENTY)
    assert made.record({5: 50, 4: 40, 3: 30})["unread"] == [40, 30]
