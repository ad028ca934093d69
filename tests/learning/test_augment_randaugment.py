from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from pil_pipelines import operations, picture  # noqa: E402
from torchvision.transforms.v2 import functional as reference  # noqa: E402

from usl.learning.augment import COMATCH, FIXMATCH  # noqa: E402
from usl.learning.augment.randaugment import (  # noqa: E402
    OPERATIONS,
    apply_,
    cutout_,
    rand_augment_,
)

SIDE = 32
# A pixel whose source lies on the border of two may be read from either; in shears, a whole row.
BORDERLINE = {"rotate": 0.01, "shear_x": 0.04, "shear_y": 0.04}


def photos(count, channels=3):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 5, 5, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=SIDE, mode="bicubic") * 200 + 20
    return images.clamp(0, 255).byte()


def alone(images, name, levels, policy=FIXMATCH):
    """The operation on every picture, at its signed level."""
    kind = OPERATIONS.index(name)
    counts = [len(images) if kind == other else 0 for other in range(len(OPERATIONS))]
    kinds = torch.full((len(images),), kind)
    return apply_(images / 255, kinds, torch.tensor(levels) / 10, counts, policy)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "identity"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_is_pillows(name, channels):
    levels = [*range(1, 10), *range(-9, 0)]
    images = photos(len(levels), channels)
    ours = alone(images, name, levels)
    for i, level in enumerate(levels):
        image = operations(abs(level), 1 if level > 0 else -1, SIDE)[name](picture(images[i]))
        wrong = (ours[i] - reference.pil_to_tensor(image) / 255).abs() > 2.1 / 255
        assert wrong.float().mean() <= BORDERLINE.get(name, 0), level


def test_flat_pictures_pass_through():
    flat = torch.full((2, 3, SIDE, SIDE), 77, dtype=torch.uint8)
    for name in ("autocontrast", "equalize", "sharpness", "contrast"):
        torch.testing.assert_close(alone(flat, name, [9, 9]), flat / 255, atol=1e-5, rtol=0)


def test_mixed_kinds_are_the_single_ones():
    images, b = photos(13), 13
    levels = torch.tensor([5, -5, 3, -3, 9, -9, 1, 2, 4, 6, 7, 8, -1])
    together = apply_(images / 255, torch.arange(b), levels / 10, [1] * b + [0], FIXMATCH)
    for i in range(b):
        single = alone(images[i : i + 1], OPERATIONS[i], [levels[i].item()])[0]
        torch.testing.assert_close(together[i], single)


def test_operations_are_drawn_alike_and_applied_half_of_the_time():
    images = photos(1).repeat(8000, 1, 1, 1) / 255
    image = images[:1].clone()
    result = rand_augment_(images, 1, FIXMATCH, torch.Generator().manual_seed(0))
    same = (result - image).abs().amax((1, 2, 3)) < 1e-6
    # 13 of 14 change the picture, half of the time.
    assert same.float().mean().item() == pytest.approx(1 - 13 / 28, abs=0.02)
    rotated = (result[:, :, 0, 0] == 0).all(1) & (result[:, :, -1, -1] == 0).all(1)
    assert rotated.float().mean().item() == pytest.approx(1 / 28, abs=0.01)


def test_levels_1_to_9_are_drawn_alike():
    grey = torch.full((30_000, 1, 8, 8), 0.8)  # only brightness, solarize and posterize act on it
    rand_augment_(grey, 1, FIXMATCH, torch.Generator().manual_seed(0))
    middles = grey[:, 0, 4, 4]
    expected = 30_000 / 14 / 2 / 9
    for level in range(1, 11):
        met = (middles - 0.8 * (0.05 + 0.09 * level)).abs() < 1e-6
        assert int(met.sum()) == pytest.approx(expected if level < 10 else 0, abs=40), level


def test_levels_of_the_two_policies():
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16).contiguous()
    kept = {level: len(alone(ramp, "posterize", [level]).unique()) for level in range(1, 10)}
    assert kept == {1: 16, 2: 16, 3: 32, 4: 32, 5: 64, 6: 64, 7: 64, 8: 128, 9: 128}
    assert len(alone(ramp, "posterize", [10], COMATCH).unique()) == 16
    torch.testing.assert_close(alone(ramp, "solarize", [10], COMATCH), ramp / 255)
    dark = alone(ramp // 4, "brightness", [10], COMATCH)
    torch.testing.assert_close(dark, ramp // 4 * 1.9 / 255)
    moved = alone(photos(1), "translate_x", [10], COMATCH)
    torch.testing.assert_close(
        moved[:, :, :, :22], photos(1)[:, :, :, 10:] / 255, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(moved[:, :, :, 22:], torch.full((1, 3, 32, 10), 128 / 255))


@pytest.mark.parametrize("whole", [True, False])
def test_cutout_sizes_and_places(whole):
    images = torch.zeros(4000, 3, SIDE, SIDE)
    cutout_(images, 0.5, 1.0, whole, torch.Generator().manual_seed(0))
    tall, wide = images[:, 0].amax(2).sum(1), images[:, 0].amax(1).sum(1)
    assert torch.equal(images.sum((1, 2, 3)), 3 * tall * wide)
    assert tall.max() == wide.max() == 16
    assert 8 <= tall.min() <= 9  # a centre on the border leaves half of the box
    # Both ends cut a box whose centre is within 8 of them; a whole one is cut at one end only.
    assert (wide < 16).float().mean().item() == pytest.approx(0.24 if whole else 0.48, abs=0.04)
