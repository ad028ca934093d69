from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import Image, ImageDraw  # noqa: E402
from pil_pipelines import eman_operations, operations, picture  # noqa: E402
from torchvision.transforms.v2 import functional as reference  # noqa: E402

from usl.learning.augment import COMATCH, EMAN, FIXMATCH, USB  # noqa: E402
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


@pytest.mark.parametrize(
    ("name", "policy", "reference_of"),
    [(name, FIXMATCH, operations) for name in OPERATIONS[:13]]
    + [(name, EMAN, eman_operations) for name in OPERATIONS[:15]],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_is_pillows(name, policy, reference_of, channels):
    levels = [*range(1, 10), *range(-9, 0)]
    images = photos(len(levels), channels)
    ours = alone(images, name, levels, policy)
    for i, level in enumerate(levels):
        image = reference_of(abs(level), 1 if level > 0 else -1, SIDE)[name](picture(images[i]))
        wrong = (ours[i] - reference.pil_to_tensor(image) / 255).abs() > 2.1 / 255
        assert wrong.float().mean() <= BORDERLINE.get(name, 0), level


def test_flat_pictures_pass_through():
    flat = torch.full((2, 3, SIDE, SIDE), 77, dtype=torch.uint8)
    for name in ("autocontrast", "equalize", "sharpness", "contrast"):
        torch.testing.assert_close(alone(flat, name, [9, 9]), flat / 255, atol=1e-5, rtol=0)


def test_mixed_kinds_are_the_single_ones():
    images, b = photos(15), 15
    levels = torch.tensor([5, -5, 3, -3, 9, -9, 1, 2, 4, 6, 7, 8, -1, 3, -4])
    together = apply_(images / 255, torch.arange(b), levels / 10, [1] * b + [0], EMAN)
    for i in range(b):
        single = alone(images[i : i + 1], OPERATIONS[i], [levels[i].item()], EMAN)[0]
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


def test_emans_sixteen_operations_are_drawn_alike_and_always_applied():
    images = photos(1).repeat(8000, 1, 1, 1) / 255
    image = images[:1].clone()
    result = rand_augment_(images, 1, EMAN, torch.Generator().manual_seed(0))
    same = (result - image).abs().amax((1, 2, 3)) < 1e-6
    inverted = (result - (1 - image)).abs().amax((1, 2, 3)) < 1e-6
    # The identity; four enhancements at level 5, whose factor is 1; solarize at level 1.
    assert same.float().mean().item() == pytest.approx((1 + 5 / 9) / 16, abs=0.01)
    assert inverted.float().mean().item() == pytest.approx(1 / 16, abs=0.01)


def test_usbs_strengths_are_continuous_and_always_applied():
    # 7 of 14 change a flat bright picture whose mean is its grey: brightness, solarize, posterize,
    # and the five that move what is black into it.
    grey = torch.full((30_000, 1, 8, 8), 0.8)
    rand_augment_(grey, 1, USB, torch.Generator().manual_seed(0))
    middles = grey[:, 0, 4, 4]
    dimmed = middles[(middles < 0.79 * 0.95) & (middles > 0.21)] / 0.8
    levels = middles[(middles > 0.199) & (middles < 0.201)]
    assert len(levels) == pytest.approx(30_000 / 14 * 205 / 256, abs=200)  # solarized: 1 - 0.8
    assert dimmed.unique().numel() > 1000  # no levels
    # Brightness ~ U(0.05, 0.95) lies in this interval with that share.
    share = (0.79 * 0.95 - 0.21) / 0.8 / 0.9
    assert len(dimmed) == pytest.approx(30_000 / 14 * share, abs=200)
    assert dimmed.mean().item() == pytest.approx((0.79 * 0.95 + 0.21) / 2 / 0.8, abs=0.02)


def test_a_random_cutout_is_pillows_rectangle_of_any_side():
    images = torch.zeros(4000, 3, SIDE, SIDE)
    fill = (125 / 255, 123 / 255, 114 / 255)
    cutout_(images, 0.5, fill, True, torch.Generator().manual_seed(0), random=True, ends=True)
    torch.testing.assert_close(images.amax((0, 2, 3)), torch.tensor(fill))
    wide = (images[:, 0].amax(1) > 0).sum(1)
    assert wide.min() == 1
    assert wide.max() == 16
    # Away from the right edge int(v) + 1 pixels, v ~ U(0, 16): every width from 1 to 16 alike.
    inside = images[:, 0].amax(1)[:, -1] == 0
    counts = torch.bincount(wide[inside], minlength=18)[1:17].float()
    assert (counts / counts.mean() - 1).abs().max() < 0.35


def test_the_cutout_of_the_pytorch_code_is_pillows_rectangle():
    """CutoutAbs of kekmodel/FixMatch-pytorch: 17 of 32 pixels, as often at every place."""
    images = torch.zeros(4000, 1, 32, 32)
    cutout_(images, 0.5, 1.0, True, torch.Generator().manual_seed(0), ends=True)
    rng = np.random.default_rng(0)
    theirs = []
    for _ in range(len(images)):
        image = Image.new("L", (32, 32))
        x0, y0 = (int(max(0, rng.uniform(0, 32) - 8)) for _ in "xy")
        box = (x0, y0, int(min(32, x0 + 16)), int(min(32, y0 + 16)))
        ImageDraw.Draw(image).rectangle(box, 1)
        theirs.append(np.asarray(image))
    ours, theirs = images[:, 0].numpy(), np.array(theirs)
    for side in (1, 2):
        own, others = (boxes.max(side).sum(1).astype(int) for boxes in (ours, theirs))
        assert own.max() == others.max() == 17
        shares = [np.bincount(wide, minlength=18) / len(wide) for wide in (own, others)]
        np.testing.assert_allclose(*shares, atol=0.04)
        np.testing.assert_allclose(ours.max(side).mean(0), theirs.max(side).mean(0), atol=0.04)


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
