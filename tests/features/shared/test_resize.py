from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from usl.features.shared.resize import centre_square, square_float, square_uint8


@pytest.mark.parametrize("size", [(40, 40), (90, 40), (40, 91), (1, 1), (500, 3), (700, 900)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_any_size_and_mode(make_picture, size, mode):
    picture = make_picture(0, size, mode)
    exact, rounded = square_float(picture, 32), square_uint8(picture, 32)
    assert exact.shape == (3, 32, 32)
    assert exact.dtype == np.float32
    assert exact.min() >= 0
    assert exact.max() <= 255
    assert rounded.shape == (32, 32, 3)
    assert rounded.dtype == np.uint8


def test_both_depths_agree_but_for_rounding(make_picture):
    """Without overshoot, which 8 bits clip between the passes, they differ by two roundings."""
    faint = make_picture(0, (90, 40)).point(lambda value: 100 + value // 6)
    exact, rounded = square_float(faint, 32), square_uint8(faint, 32)
    assert np.abs(exact.transpose(1, 2, 0) - rounded).max() < 1.1


def test_grey_equals_its_rgb_copy(make_picture):
    grey = make_picture(3, (50, 40), "L")
    assert np.array_equal(square_float(grey, 24), square_float(grey.convert("RGB"), 24))
    assert np.array_equal(square_uint8(grey, 24), square_uint8(grey.convert("RGB"), 24))


def test_same_size_is_left_alone(make_picture):
    picture = make_picture(1, (32, 32))
    assert np.array_equal(square_uint8(picture, 32), np.asarray(picture))
    assert np.array_equal(square_float(picture, 32).transpose(1, 2, 0), np.asarray(picture))


@pytest.mark.parametrize("size", [(300, 100), (100, 300)])
def test_what_lies_beside_the_centre_square_is_cut_off(make_picture, size):
    """As in resizing first and cropping then, the filter sees a little beyond the square."""
    picture = make_picture(2, size)
    left, upper, right, lower = (int(edge) for edge in centre_square(picture))
    assert (right - left, lower - upper) == (100, 100)
    seen = (
        max(0, left - 10),
        max(0, upper - 10),
        min(size[0], right + 10),
        min(size[1], lower + 10),
    )
    framed = Image.new("RGB", size, "red")
    framed.paste(picture.crop(seen), seen[:2])
    assert np.array_equal(square_float(framed, 32), square_float(picture, 32))
    assert np.array_equal(square_uint8(framed, 32), square_uint8(picture, 32))


def test_large_pictures_keep_their_content():
    """Shrinking in two steps (average, then bicubic) follows a smooth picture closely."""
    ramp = np.linspace(0, 255, 2000, dtype=np.float64)
    picture = Image.fromarray(np.tile(ramp.round().astype(np.uint8), (1500, 1)))
    found = square_float(picture, 100)[0]
    assert np.ptp(found, axis=0).max() < 1e-3
    # the centre square spans columns 250 to 1,750
    middles = 250 + 15 * (np.arange(100) + 0.5)
    np.testing.assert_allclose(
        found[50, 1:-1], np.interp(middles, np.arange(2000) + 0.5, ramp)[1:-1], atol=0.6
    )


@pytest.mark.parametrize("size", [(32, 32), (300, 300), (41, 41)])
def test_float_resize_is_torchs_antialiased_bicubic(make_picture, size):
    torch = pytest.importorskip("torch")
    picture = make_picture(5, size)
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(
        pixels, (160, 160), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 255)
    np.testing.assert_allclose(square_float(picture, 160), expected[0].numpy(), atol=1e-3)
