"""Greys of more than 8 bits keep their levels."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from usl.data.decode import decode_file
from usl.data.greys import eight_bits

KINDS = [np.uint8, np.uint16, np.int32, np.float32]


def saved(array, ending="tif", **options):
    content = io.BytesIO()
    Image.fromarray(array).save(content, {"tif": "TIFF", "png": "PNG"}[ending], **options)
    content.seek(0)
    return content


def levels(array):
    return len(np.unique(array))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@example(low=-500, span=1000, outlier=False)
@example(low=0, span=4095, outlier=False)
@example(low=32000, span=300, outlier=True)
@given(low=st.integers(-70_000, 70_000), span=st.integers(1, 70_000), outlier=st.booleans())
def test_every_depth_keeps_half_of_its_levels(kind, low, span, outlier):
    limits = np.iinfo(kind) if kind is not np.float32 else np.finfo(kind)
    array = np.linspace(max(low, limits.min), min(low + span, limits.max), 64 * 64)
    array = np.clip(array, limits.min, limits.max).astype(kind).reshape(64, 64)
    if outlier:
        array[0, 0] = min(limits.max, 10**8)
    found = np.asarray(decode_file(saved(array), "x.tif"))
    assert 2 * levels(found) >= min(256, levels(array))
    order = np.argsort(array, axis=None, kind="stable")
    assert (np.diff(found.ravel()[order].astype(int)) >= 0).all(), "darker stays darker"


@pytest.mark.parametrize(
    ("top", "kind", "how"),
    [
        (255, np.uint16, "8 bits in 16 or more"),
        (1023, np.uint16, "10 bits in 16 or more"),
        (4095, np.uint16, "12 bits in 16 or more"),
        (65535, np.uint16, ""),
        (255, np.int32, "8 bits in 16 or more"),
        (1, np.float32, ""),
        (255, np.float32, "floats of 8 bits"),
        (65535, np.float64, "floats of 16 bits"),
    ],
)
def test_usual_depths(top, kind, how):
    ramp = np.linspace(0, top, 4096).astype(kind)
    scaled, told = eight_bits(ramp)
    assert told == how
    np.testing.assert_array_equal(scaled, np.rint(ramp / top * 255))


def test_hounsfield_units_and_values_around_0():
    for ramp in (np.linspace(-500, 500, 4096), np.linspace(-1, 1, 4096)):
        scaled, told = eight_bits(ramp)
        assert (scaled[0], scaled[-1], levels(scaled)) == (0, 255, 256)
        assert told == "by their own range"


def test_one_hot_pixel_leaves_the_rest():
    ramp = np.append(np.linspace(0, 1000, 4095), 1e9)
    scaled, told = eight_bits(ramp)
    assert levels(scaled) == 256
    assert told == "by the order of their greys"


def test_no_finite_value_and_one_value():
    assert eight_bits(np.full((2, 2), np.nan))[0].tolist() == [[0, 0], [0, 0]]
    assert eight_bits(np.array([np.inf, 0.5, -np.inf, np.nan]))[0].tolist() == [128, 128, 128, 0]
    assert eight_bits(np.full(3, 7, np.uint16))[0].tolist() == [7, 7, 7]
    assert eight_bits(np.zeros((0, 3)))[0].shape == (0, 3)


def png_of_16_bits(array):
    """A PNG by its specification: grey and alpha (2 channels), RGB (3) or RGBA (4)."""
    height, width, channels = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(kind, content):
        total = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", total)

    kinds = {2: 4, 3: 2, 4: 6}
    head = struct.pack(">IIBBBBB", width, height, 16, kinds[channels], 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_colours_of_16_bits(channels, bits):
    top = 2**bits - 1
    grey = np.linspace(0, top, 32 * 32).astype(np.uint16).reshape(32, 32)
    array = np.repeat(grey[..., None], channels, axis=2)
    if channels in (2, 4):
        array[..., -1] = 65535
    found = np.asarray(decode_file(png_of_16_bits(array), "x.png"))
    found = found if found.ndim == 2 else found[..., 0]
    np.testing.assert_allclose(found, grey / top * 255, atol=0.51)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", [*KINDS, "colours", "bits"])
def test_every_orientation(tmp_path, kind, orientation, compression):
    """Against the EXIF standard's table of what each number means."""
    pixels = (np.arange(12 * 20).reshape(12, 20) % 241).astype(np.uint8)
    if kind == "colours":
        stored = np.stack([pixels, pixels[::-1], pixels], axis=2)
    elif kind == "bits":
        stored = pixels > 120
    else:
        stored = pixels if kind is np.uint8 else pixels.astype(kind) * kind(257)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).swapaxes(0, 1),
        8: np.rot90(stored),
    }[orientation]
    told = TiffImagePlugin.ImageFileDirectory_v2()
    told[274] = orientation
    options = {"compression": compression} if compression else {}
    path = tmp_path / "x.tif"
    path.write_bytes(saved(stored, tiffinfo=told, **options).getvalue())
    plain = tmp_path / "plain.tif"
    plain.write_bytes(saved(np.ascontiguousarray(upright)).getvalue())
    found = np.asarray(decode_file(path, "x.tif"))
    np.testing.assert_array_equal(found, np.asarray(decode_file(plain, "plain.tif")))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_max_pixels_allows_larger_pictures_and_refuses_others(tmp_path, monkeypatch):
    from usl.core.errors import DataError
    from usl.data import open_collection

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    Image.new("L", (10, 9)).save(tmp_path / "large.png")
    with pytest.raises(DataError, match=r"limit is 20 pixels.*max_pixels"):
        open_collection(tmp_path).images.read(0)
    opened = open_collection(tmp_path, max_pixels=90)
    assert opened.images.read(0).size == (10, 9)
    assert opened.take([0]).images.read(0).size == (10, 9)
    assert opened.options == {"max_pixels": 90}
    with pytest.raises(DataError, match="limit is 80 pixels"):
        open_collection(tmp_path, max_pixels=80).images.read(0)
    assert Image.MAX_IMAGE_PIXELS == 20
