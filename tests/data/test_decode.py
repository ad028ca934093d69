"""Every kind of stored picture becomes one upright 8-bit L or RGB image, or a named error."""

import io

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import DataError
from usl.data.decode import decode_file


def decoded(tmp_path, image: Image.Image, ending: str, **options) -> np.ndarray:
    path = tmp_path / f"image.{ending}"
    image.save(path, **options)
    result = decode_file(path, str(path))
    assert result.mode in ("L", "RGB")
    return np.asarray(result)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "tif", "gif"])
def test_formats(tmp_path, ending):
    array = decoded(tmp_path, Image.new("RGB", (5, 4), (200, 30, 30)), ending)
    assert array.shape == (4, 5, 3)
    np.testing.assert_allclose(array[0, 0], (200, 30, 30), atol=12)


def test_grey_stays_one_channel(tmp_path):
    assert decoded(tmp_path, Image.new("L", (5, 4), 77), "png").tolist() == [[77] * 5] * 4


def test_one_bit_is_black_and_white(tmp_path):
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert decoded(tmp_path, image, "png").tolist() == [[0, 255]]


def test_palette_becomes_its_colours(tmp_path):
    image = Image.new("RGB", (2, 1), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert decoded(tmp_path, image, "png").tolist() == [[[10, 200, 30]] * 2]


def test_cmyk_jpeg(tmp_path):
    image = Image.new("RGB", (8, 8), (250, 20, 20)).convert("CMYK")
    np.testing.assert_allclose(decoded(tmp_path, image, "jpg")[0, 0], (250, 20, 20), atol=25)


def test_transparency_lies_over_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert decoded(tmp_path, image, "png").tolist() == [[[255, 0, 0], [255, 255, 255]]]
    grey = Image.new("LA", (2, 1), (40, 255))
    grey.putpixel((1, 0), (0, 0))
    assert decoded(tmp_path, grey, "png").tolist() == [[40, 255]]


def test_transparent_palette_entry_lies_over_white(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 9, 8, 7])
    image.putpixel((1, 0), 1)
    assert decoded(tmp_path, image, "png", transparency=0)[0].tolist() == [[255] * 3, [9, 8, 7]]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, ending):
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    image = Image.fromarray(values)
    assert image.mode.startswith("I;16")
    assert decoded(tmp_path, image, ending).tolist() == [[0, 1, 128, 255]]


def test_thirty_two_bit_and_float_tiffs(tmp_path):
    integers = Image.fromarray(np.array([[0, 65535, 131070]], dtype=np.int32))
    assert decoded(tmp_path, integers, "tif").tolist() == [[0, 128, 255]]
    floats = Image.fromarray(np.array([[-1.0, 0.5, 1.0, np.nan]], dtype=np.float32))
    assert decoded(tmp_path, floats, "tif").tolist() == [[0, 128, 255, 0]]


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (6, 2), "white")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert decoded(tmp_path, image, "jpg", exif=exif).shape == (6, 2, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_ignored(tmp_path):
    path = tmp_path / "image.jpg"
    Image.new("RGB", (6, 2)).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert decode_file(path, "image.jpg").size == (6, 2)


@pytest.mark.parametrize("ending", ["gif", "tif"])
def test_first_frame_only(tmp_path, ending):
    frames = [Image.new("RGB", (3, 3), colour) for colour in ((0, 0, 0), (255, 255, 255))]
    array = decoded(tmp_path, frames[0], ending, save_all=True, append_images=frames[1:])
    assert array.max() == 0


def test_truncated_image_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "half.jpg"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match=r"half\.jpg: damaged or unreadable"):
        decode_file(path, str(path))


@pytest.mark.parametrize("content", [b"", b"this is text", b"%!PS-Adobe-3.0 EPSF-3.0\n" * 9])
def test_other_content_is_named(tmp_path, content):
    path = tmp_path / "no.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"no\.jpg: not an image"):
        decode_file(path, str(path))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg: the file is gone"):
        decode_file(tmp_path / "gone.jpg", "gone.jpg")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [20, 50])  # beyond twice the limit, and between
def test_bomb_is_refused(monkeypatch, limit):
    content = io.BytesIO()
    Image.new("L", (10, 9)).save(content, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=r"bomb\.png: too large to decode safely"):
        decode_file(content, "bomb.png")
