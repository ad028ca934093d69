from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402
from pil_pipelines import picture  # noqa: E402
from scipy.stats import ks_2samp  # noqa: E402
from torchvision.transforms import RandomResizedCrop  # noqa: E402
from torchvision.transforms.v2 import functional as reference  # noqa: E402

from usl.learning.augment.geometry import (  # noqa: E402
    axis_weights,
    random_boxes,
    random_shift,
    resample,
    resize,
)


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


@pytest.mark.parametrize("shape", [(32, 32), (33, 64), (15, 90)])
def test_boxes_are_drawn_as_torchvision_does(shape):
    h, w = shape
    generator = torch.Generator().manual_seed(1)
    ours = torch.stack(random_boxes(4000, h, w, (0.2, 1.0), generator), 1)
    torch.manual_seed(2)
    blank = torch.empty(3, h, w)
    drawn = [RandomResizedCrop.get_params(blank, (0.2, 1.0), (3 / 4, 4 / 3)) for _ in range(4000)]
    theirs = torch.tensor(drawn).float()
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3, column
    assert ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 1e-3
    assert ks_2samp(ours[:, 3] / ours[:, 2], theirs[:, 3] / theirs[:, 2]).pvalue > 1e-3
    top, left, height, width = ours.T
    assert bool(((top >= 0) & (left >= 0) & (top + height <= h) & (left + width <= w)).all())


def test_boxes_cover_every_place_alike():
    generator = torch.Generator().manual_seed(3)
    _, left, _, width = random_boxes(40_000, 10, 10, (0.2, 1.0), generator)
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
