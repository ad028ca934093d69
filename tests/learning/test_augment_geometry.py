from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402
from pil_pipelines import picture, tensorflow_bicubic, tensorflow_box  # noqa: E402
from scipy.stats import ks_2samp  # noqa: E402
from torchvision.transforms import RandomResizedCrop  # noqa: E402
from torchvision.transforms.v2 import functional as reference  # noqa: E402

from usl.learning.augment.geometry import (  # noqa: E402
    axis_weights,
    central_square,
    cut,
    random_boxes,
    random_resized_crop,
    random_shift,
    resample,
    resize,
)
from usl.learning.augment.inception_boxes import distorted_boxes  # noqa: E402


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


BOXES = [(0, 0, 40, 50), (3, 7, 11, 9), (20, 1, 20, 49), (39, 49, 1, 1), (5, 5, 32, 32)]


@pytest.mark.parametrize("size", [8, 32, 61])
def test_a_resized_crop_is_torchvisions(size):
    images = noise(len(BOXES), 3, 40, 50)
    top, left, height, width = (torch.tensor(column).float() for column in zip(*BOXES, strict=True))
    flip = torch.tensor([True, False, True, False, True])
    ours = resample(
        images.float(),
        axis_weights(top, height, 40, size),
        axis_weights(left, width, 50, size, flip=flip, total=1 / 255),
    )
    for i, box in enumerate(BOXES):
        theirs = reference.resized_crop(images[i].float() / 255, *box, [size] * 2, antialias=True)
        theirs = theirs.flip(-1) if flip[i] else theirs
        torch.testing.assert_close(ours[i], theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("h", "w"), [(32, 32), (20, 45), (64, 32), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_is_pillows(h, w, channels):
    images = noise(2, channels, h, w)
    ours = resize(images, 32)
    for i in range(2):
        image = picture(images[i]).resize((32, 32), Image.Resampling.BILINEAR)
        theirs = reference.pil_to_tensor(image) / 255
        assert (ours[i] - theirs).abs().max() < 1.1 / 255


SHAPES = [(32, 32), (33, 64), (15, 90)]


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_are_drawn_as_torchvision_does(shape):
    h, w = shape
    generator = torch.Generator().manual_seed(1)
    ours = torch.stack(random_boxes(*sides(4000, h, w), (0.2, 1.0), generator), 1)
    torch.manual_seed(2)
    blank = torch.empty(3, h, w)
    drawn = [RandomResizedCrop.get_params(blank, (0.2, 1.0), (3 / 4, 4 / 3)) for _ in range(4000)]
    check_alike(ours, torch.tensor(drawn).float(), h, w)


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_are_drawn_as_tensorflow_does(shape):
    h, w = shape
    generator = torch.Generator().manual_seed(1)
    ours = torch.stack(distorted_boxes(*sides(2000, h, w), (0.08, 1.0), generator), 1)
    random.seed(2)
    theirs = torch.tensor([tensorflow_box(h, w) for _ in range(2000)]).float()
    check_alike(ours, theirs, h, w)
    assert (ours[:, 2] * ours[:, 3]).min() >= 0.1 * h * w
    uniform_in_area = torch.stack(random_boxes(*sides(2000, h, w), (0.08, 1.0), generator), 1)
    assert ks_2samp(ours[:, 2], uniform_in_area[:, 2]).pvalue < 1e-6


def check_alike(ours, theirs, h, w):
    """Boxes [n, 4] of the same distribution, none of which leaves its picture."""
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3, column
    assert ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 1e-3
    assert ks_2samp(ours[:, 3] / ours[:, 2], theirs[:, 3] / theirs[:, 2]).pvalue > 1e-3
    top, left, height, width = ours.T
    assert bool(((top >= 0) & (left >= 0) & (top + height <= h) & (left + width <= w)).all())


def sides(count, h, w):
    return torch.full((count,), float(h)), torch.full((count,), float(w))


@pytest.mark.parametrize("size", [8, 61])
def test_a_cubic_crop_is_tensorflows(size):
    images = noise(len(BOXES), 3, 40, 50)
    boxes = tuple(torch.tensor(column).float() for column in zip(*BOXES, strict=True))
    ours = cut(images, boxes, size, None, cubic=True)
    for i, (top, left, height, width) in enumerate(BOXES):
        box = images[i, :, top : top + height, left : left + width].permute(1, 2, 0).numpy()
        theirs = tensorflow_bicubic(box / 255, size).clip(0, 1)
        assert np.abs(ours[i].permute(1, 2, 0).numpy() - theirs).max() < 1e-5


@pytest.mark.parametrize(("h", "w"), [(60, 100), (90, 45)])
def test_boxes_of_squeezed_pictures_are_those_of_the_pictures(h, w):
    """A box that is cut from the squeezed picture shows what it shows in the whole one."""
    coarse = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, (h, w), mode="bicubic").clamp(0, 1)
    image = (smooth * 255).byte()[0]
    stored = reference.pil_to_tensor(picture(image).resize((64, 64), Image.Resampling.BICUBIC))
    top, left, height, width = (torch.tensor([float(n)]) for n in (h // 4, w // 5, h // 2, w // 3))
    shape = torch.tensor([[float(h), float(w)]])
    ours = cut(stored[None], (top, left, height, width), 24, shape)[0]
    box = (h // 4, w // 5, h // 2, w // 3)
    theirs = reference.resized_crop(image.float() / 255, *box, [24, 24], antialias=True)
    assert (ours - theirs).abs().max() < 0.03
    middle = central_square(stored[None], 24, shape)[0]
    short = min(h, w)
    box = ((h - short) // 2, (w - short) // 2, short, short)
    theirs = reference.resized_crop(image.float() / 255, *box, [24, 24], antialias=True)
    assert (middle - theirs).abs().max() < 0.04


def test_views_reach_beyond_the_centre_square_of_a_whole_picture():
    ramp = torch.arange(64).mul(4).byte().expand(2000, 1, 64, 64).contiguous()  # left to right
    shapes = torch.tensor([[64.0, 192.0]]).expand(2000, 2)
    views = random_resized_crop(
        ramp, 16, (0.08, 1.0), False, torch.Generator().manual_seed(0), shapes
    )
    seen = views.mean((1, 2, 3)) * 255 / 256  # where the middle of a view is
    torch.manual_seed(0)
    blank = torch.empty(1, 64, 192)
    drawn = [RandomResizedCrop.get_params(blank, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(2000)]
    middles = torch.tensor([(left + width / 2) / 192 for _, left, _, width in drawn])
    assert ks_2samp(seen, middles).pvalue > 1e-3


def test_boxes_cover_every_place_alike():
    generator = torch.Generator().manual_seed(3)
    _, left, _, width = random_boxes(*sides(40_000, 10, 10), (0.2, 1.0), generator)
    places = left[width == 6].long().bincount()
    assert len(places) == 5
    assert places.max() / places.min() < 1.15


def test_a_shift_is_reflect_padding_and_a_crop():
    images = noise(1, 3, 16, 24).repeat(400, 1, 1, 1)
    moved = random_shift(images, True, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images[:1].float(), (3, 3, 2, 2), mode="reflect")[0].byte()
    crops = {}
    for top in range(5):
        for left in range(7):
            crop = padded[:, top : top + 16, left : left + 24]
            crops[bytes(crop.numpy().tobytes())] = (top, left, False)
            crops[bytes(crop.flip(-1).numpy().tobytes())] = (top, left, True)
    met = [crops[bytes(image.numpy().tobytes())] for image in moved]  # KeyError: not such a crop
    assert len(set(met)) == len(crops) == 70
    assert 160 < sum(flipped for *_, flipped in met) < 240


def test_without_flip_nothing_is_mirrored():
    ramp = torch.arange(64, dtype=torch.uint8).expand(50, 1, 64, 64).contiguous()
    moved = random_shift(ramp, False, torch.Generator().manual_seed(0)).float()
    assert bool((moved[..., 48] > moved[..., 16]).all())


def test_pictures_too_small_to_shift_stay():
    images = noise(5, 1, 3, 7)
    assert torch.equal(random_shift(images, False, torch.Generator().manual_seed(0)), images)
