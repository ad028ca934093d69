from __future__ import annotations

import colorsys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import ImageEnhance, ImageFilter  # noqa: E402
from pil_pipelines import picture  # noqa: E402
from torchvision.transforms.v2 import functional as reference  # noqa: E402

from usl.learning.augment.blur import gaussian_blur  # noqa: E402
from usl.learning.augment.color import (  # noqa: E402
    BRIGHTNESS,
    CONTRAST,
    SATURATION,
    Jitter,
    color_jitter_,
    enhance_,
    enhance_as_tensorflow_,
    grey,
    random_grey_,
    turn_hue_,
)

FACTORS = [0.0, 0.2, 0.6, 1.0, 1.4, 1.8]


def photos(count=6, channels=3, seed=0):
    """Smooth colours and some noise, with pure black, white, grey and primaries among them."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 4, 4, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=16, mode="bilinear")
    images += 0.1 * torch.randn(images.shape, generator=generator)
    levels = torch.tensor([0.0, 1.0])
    corners = torch.cartesian_prod(*[levels] * channels).reshape(-1, channels)
    images[:, :, 0, : len(corners)] = corners.T
    images[:, :, 1, :] = 0.5
    return (images * 255).clamp(0, 255).byte()


@pytest.mark.parametrize(
    ("kind", "enhancer"),
    [
        (BRIGHTNESS, ImageEnhance.Brightness),
        (CONTRAST, ImageEnhance.Contrast),
        (SATURATION, ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_enhance_is_pillows(kind, enhancer, channels):
    images = photos(channels=channels)
    kinds = torch.full((6,), kind)
    ours = enhance_(images / 255, kinds, torch.tensor(FACTORS))
    for i, factor in enumerate(FACTORS):
        theirs = reference.pil_to_tensor(enhancer(picture(images[i])).enhance(factor)) / 255
        assert (ours[i] - theirs).abs().max() < 2.1 / 255, factor


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.6])
def test_contrast_and_saturation_are_tensorflows(factor):
    """tf.image.adjust_contrast: by channel; adjust_saturation: S f in HSV, at most 1."""
    images = photos(3) / 255
    kinds, factors = torch.tensor([0, 1, 2]), torch.full((3,), factor)
    ours = enhance_as_tensorflow_(images.clone(), kinds, factors)
    means = images[1].mean((1, 2), keepdim=True)
    torch.testing.assert_close(ours[0], (images[0] * factor).clamp(0, 1))
    torch.testing.assert_close(ours[1], ((images[1] - means) * factor + means).clamp(0, 1))
    pixels = images[2].flatten(1).T.tolist()
    hsv = (colorsys.rgb_to_hsv(*pixel) for pixel in pixels)
    theirs = torch.tensor([colorsys.hsv_to_rgb(h, min(1, s * factor), v) for h, s, v in hsv])
    torch.testing.assert_close(ours[2], theirs.T.view_as(ours[2]), atol=1e-5, rtol=0)


def test_each_picture_has_its_own_kind():
    images = photos(3) / 255
    kinds, factors = torch.tensor([SATURATION, BRIGHTNESS, CONTRAST]), torch.tensor([0.3, 0.5, 1.6])
    together = enhance_(images.clone(), kinds, factors)
    for i in range(3):
        alone = enhance_(images[i : i + 1].clone(), kinds[i : i + 1], factors[i : i + 1])
        torch.testing.assert_close(together[i], alone[0])


def test_hue_is_torchvisions():
    images = photos() / 255
    turns = torch.tensor([-0.5, -0.31, -0.1, 0.0, 0.04, 0.5])
    ours = turn_hue_(images.clone(), turns)
    for i, turn in enumerate(turns.tolist()):
        theirs = reference.adjust_hue(images[i], turn)
        torch.testing.assert_close(ours[i], theirs, atol=1e-4, rtol=0)


def test_hue_is_pillows_up_to_its_rounding():
    images = photos()
    ours = turn_hue_(images / 255, torch.full((6,), 0.1))
    theirs = [reference.adjust_hue(picture(image), 0.1) for image in images]
    theirs = torch.stack([reference.pil_to_tensor(image) for image in theirs]) / 255
    assert (ours - theirs).abs().mean() < 1.5 / 255
    # Pillow rounds the angle and the turn to 1/256, six levels of a channel each.
    assert (ours - theirs).abs().max() < 12.1 / 255


def test_hue_does_nothing_to_grey_pictures():
    images = photos(channels=1) / 255
    assert torch.equal(turn_hue_(images.clone(), torch.full((6,), 0.3)), images)
    rgb = images.repeat(1, 3, 1, 1)
    torch.testing.assert_close(turn_hue_(rgb.clone(), torch.full((6,), 0.3)), rgb)


def test_the_jitter_takes_every_order_and_every_factor():
    # One picture, strong factors: which order was taken can be told from the result alone.
    image = photos(1) / 255
    b, jitter = 3000, Jitter(0.4, 0.4, 0.4, 0.1)
    generator = torch.Generator().manual_seed(0)
    result = color_jitter_(image.repeat(b, 1, 1, 1), jitter, 0.8, generator)
    untouched = (result == image).all(3).all(2).all(1)
    assert untouched.float().mean().item() == pytest.approx(0.2, abs=0.025)
    assert len(torch.unique(result.view(b, -1), dim=0)) == b - int(untouched.sum()) + 1


def test_the_jitter_is_a_loop_over_pictures():
    """The same draws, applied one picture and one operation at a time by torchvision."""
    images, jitter, b = photos(64) / 255, Jitter(0.4, 0.4, 0.4, 0.1), 64
    ours = color_jitter_(images.clone(), jitter, 0.8, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    chosen = torch.rand(b, generator=generator) < 0.8
    orders = torch.rand(b, 4, generator=generator).argsort(1)
    factors = torch.stack([torch.rand(b, generator=generator) for _ in range(4)], 1)
    adjust = [
        reference.adjust_brightness,
        reference.adjust_contrast,
        reference.adjust_saturation,
        reference.adjust_hue,
    ]
    for i in range(b):
        expected = images[i]
        for kind in orders[i].tolist() if chosen[i] else []:
            draw = factors[i, kind].item()
            amount = draw * 0.2 - 0.1 if kind == 3 else 0.6 + 0.8 * draw
            expected = adjust[kind](expected, amount)
        torch.testing.assert_close(ours[i], expected, atol=5e-4, rtol=0)


def test_grey_is_pillows_and_as_frequent_as_asked():
    images = photos(400)
    theirs = torch.stack([reference.pil_to_tensor(picture(i).convert("L")) for i in images[:9]])
    assert (grey(images[:9] / 255) - theirs / 255).abs().max() < 1.1 / 255
    result = random_grey_(images / 255, 0.2, torch.Generator().manual_seed(0))
    without_color = (result[:, :1] == result).all(3).all(2).all(1)
    assert without_color.float().mean().item() == pytest.approx(0.2, abs=0.06)
    torch.testing.assert_close(
        result[without_color], grey(images[without_color] / 255).expand(-1, 3, -1, -1)
    )
    torch.testing.assert_close(result[~without_color], images[~without_color] / 255)


@pytest.mark.parametrize("radius", [1, 3, 7])
def test_blur_is_torchvisions(radius):
    images, sigmas = photos()[:, :, :, :12] / 255, torch.tensor([0.1, 0.4, 0.8, 1.2, 1.6, 2.0])
    ours = gaussian_blur(images, sigmas, radius)
    for i, sigma in enumerate(sigmas.tolist()):
        theirs = reference.gaussian_blur(images[i], [2 * radius + 1] * 2, [sigma] * 2)
        torch.testing.assert_close(ours[i], theirs, atol=1e-5, rtol=0)


def test_a_blur_that_sees_black_beyond_the_edges():
    """google-research/simclr: depthwise_conv2d with padding SAME, which adds zeros."""
    images, radius = photos()[:2] / 255, 3
    ours = gaussian_blur(images, torch.tensor([0.4, 1.6]), radius, black=True)
    for i, sigma in enumerate((0.4, 1.6)):
        bell = torch.exp(-(torch.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
        bell /= bell.sum()
        kernel = (bell[:, None] * bell).expand(3, 1, -1, -1)
        theirs = torch.nn.functional.conv2d(images[i], kernel, padding="same", groups=3)
        torch.testing.assert_close(ours[i], theirs, atol=1e-5, rtol=0)


def test_a_wide_blur_is_pillows_away_from_the_edges():
    images = photos(4)
    ours = gaussian_blur(images / 255, torch.full((4,), 1.5), 16)[:, :, 5:-5, 5:-5]
    theirs = [picture(image).filter(ImageFilter.GaussianBlur(1.5)) for image in images]
    theirs = torch.stack([reference.pil_to_tensor(image) for image in theirs])[:, :, 5:-5, 5:-5]
    assert (ours - theirs / 255).abs().max() < 4 / 255  # Pillow's is three box filters


@pytest.mark.parametrize("side", [1, 2, 3])
def test_blur_of_tiny_pictures_keeps_the_values_in_range(side):
    images = torch.rand(4, 1, side, side)
    blurred = gaussian_blur(images, torch.full((4,), 2.0), 10)
    assert blurred.amin() >= images.amin()
    assert blurred.amax() <= images.amax() + 1e-6
