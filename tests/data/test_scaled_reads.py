"""Files read at a scale: large enough, upright, the same picture; whole where there is no scale."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hostile_pictures import repeated_scans
from PIL import Image, TiffImagePlugin, features

from usl.core.errors import DataError
from usl.data import decode_apart
from usl.data.decode import decode_file
from usl.data.picture_cost import Costly


def scene(width=640, height=480, mode="RGB"):
    """Soft light, and a corner that tells which way is up."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 100 * np.sin(x / 90 + phase) * np.cos(y / 70) for phase in (0, 1, 2)]
    pixels = np.stack(planes, -1)
    pixels[: height // 4, : width // 4] = (230, 30, 30)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


def saved(image, kind="JPEG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content


def read(content, name="x.jpg", **options):
    content.seek(0)
    return decode_file(content, name, **options)


def unlike(found, content):
    """Mean difference from the whole picture, shrunk to the same size."""
    whole = read(content).resize(found.size, Image.Resampling.BOX)
    return np.abs(np.asarray(found, float) - np.asarray(whole, float)).mean()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("least", "side"), [(480, 480), (241, 480), (240, 240), (130, 240), (60, 60), (9, 60)]
)
def test_a_jpeg_is_read_at_the_smallest_scale_that_is_enough(mode, progressive, least, side):
    content = saved(scene(mode=mode), quality=95, progressive=progressive)
    found = read(content, least=least)
    assert min(found.size) == side
    assert found.mode == ("L" if mode == "L" else "RGB")
    assert unlike(found, content) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_upright_at_a_scale(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(scene(), quality=95, exif=exif)
    found, whole = read(content, least=100), read(content)
    assert sorted(found.size) == [120, 160]
    assert (found.width > found.height) == (whole.width > whole.height)
    assert unlike(found, content) < 3


@pytest.mark.parametrize("size", [(1, 1), (1200, 6), (6, 1200), (33, 31), (17, 4000)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_shape_is_read_too_small(size, kind):
    content = saved(scene(*size), kind)
    assert read(content, least=16).size == (size if min(size) < 32 else read(content).size)
    assert min(read(content, least=4).size) >= min(4, *size)
    assert max(read(content, side=60, least=2).size) <= 60


def test_odd_sides_round_up():
    assert read(saved(scene(643, 477)), least=50).size == (81, 60)


def test_twelve_bits_and_damage_are_told_as_ever():
    content = saved(scene(), quality=95).getvalue()
    start = content.index(b"\xff\xc0")
    twelve = content[: start + 4] + b"\x0c" + content[start + 5 :]
    for broken in (twelve, content[: len(content) // 2]):
        for least in (None, 60):
            with pytest.raises(DataError, match=r"x\.jpg"):
                read(io.BytesIO(broken), least=least)


def test_scans_are_counted_at_the_whole_size():
    hostile = io.BytesIO(repeated_scans(400))
    with pytest.raises(Costly):
        read(hostile, least=100, apart=False)


def test_what_is_held_is_told_before():
    held = []
    assert read(saved(scene()), least=100, hold=held.append).size == (160, 120)
    assert held == [160 * 120]


@pytest.mark.skipif(not features.check("jpg_2000"), reason="no JPEG 2000")
@pytest.mark.parametrize(("levels", "side"), [(6, 60), (2, 240), (1, 480)])
def test_jpeg_2000_is_read_at_one_of_its_own_sizes(levels, side):
    content = saved(scene(), "JPEG2000", num_resolutions=levels)
    found = read(content, "x.jp2", least=60)
    assert min(found.size) == side
    assert unlike(found, content) < 4


def pyramid(*pages, reduced=True, orientation=1):
    """A TIFF of these pages; those after the first say that they are smaller copies."""
    content = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(content, True) as file:
        for number, page in enumerate(pages):
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            tags[254] = 1 if number and reduced else 0
            tags[274] = orientation
            page.save(file, "TIFF", tiffinfo=tags)
            file.newFrame()
    return content


SMALLER = [scene().resize((640 >> n, 480 >> n), Image.Resampling.BOX) for n in range(4)]


def test_the_smaller_copies_of_a_tiff_are_used():
    content = pyramid(*SMALLER)
    assert read(content, "x.tif", least=100).size == (160, 120)
    assert read(content, "x.tif", least=60).size == (80, 60)
    assert read(content, "x.tif", least=300).size == read(content, "x.tif").size == (640, 480)
    assert unlike(read(content, "x.tif", least=100), content) < 1


@pytest.mark.parametrize(
    "content",
    [
        pyramid(*SMALLER, reduced=False),  # pages of a document
        pyramid(SMALLER[0], SMALLER[2].resize((160, 160))),  # of another shape
        pyramid(SMALLER[0], SMALLER[2].convert("L")),  # of another kind
        pyramid(*SMALLER, orientation=6),
        saved(scene(), "TIFF"),
    ],
)
def test_other_pages_of_a_tiff_are_not_taken_for_the_picture(content):
    np.testing.assert_array_equal(read(content, "x.tif", least=100), read(content, "x.tif"))


def test_the_pages_of_a_tiff_are_looked_at_within_bounds(monkeypatch):
    with pytest.raises(Costly):
        read(pyramid(*SMALLER), "x.tif", least=100, apart=False)
    asked = []
    ask = decode_apart._Pool.ask
    monkeypatch.setattr(
        decode_apart._Pool, "ask", lambda *given: asked.append(given[1]) or ask(*given)
    )
    read(pyramid(*SMALLER), "x.tif", least=100)
    assert asked[0]["least"] == 100
