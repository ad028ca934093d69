from __future__ import annotations

from typing import get_args

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import pil_pipelines  # noqa: E402
from scipy.stats import ks_2samp  # noqa: E402
from torchvision import transforms  # noqa: E402

from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.learning.augment import (  # noqa: E402
    COMATCH,
    EMAN,
    FIFTH,
    FIXMATCH_PYTORCH,
    USB,
    InnerCrop,
    MoCoV2,
    Plain,
    ResizedCropFlip,
    Scan,
    SimCLR,
    Strong,
    Weak,
    batches,
    comatch_views,
    view_pair,
)
from usl.learning.augment.pipelines import ViewPair  # noqa: E402

ALL = [
    SimCLR(24),
    SimCLR(24, strength=1.0, blur=True),
    SimCLR(24, strength=1.0, blur=True, tensorflow=True),
    MoCoV2(24),
    Weak(24),
    Strong(24),
    Strong(24, policy=COMATCH),
    Strong(24, cutout=0, policy=EMAN, scale=(0.08, 1.0)),
    Strong(24, ops=3, policy=USB),
    MoCoV2(24, erase=(0.5, 0.4, 0.3)),
    InnerCrop(24),
    Plain(24),
    ResizedCropFlip(24, scale=(0.5, 1.0)),
    Scan(24, (0.49, 0.48, 0.45)),
]


def names(augmentation):
    return type(augmentation).__name__


def noise(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def photo(side=24):
    """One smooth picture whose colours tell left from right, [3, side, side]."""
    generator = torch.Generator().manual_seed(4)
    coarse = torch.rand(1, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode="bilinear")[0]
    smooth[0] = smooth[0] / 2 + torch.linspace(0, 0.5, side)
    return (smooth * 255).byte()


@pytest.mark.parametrize("augmentation", ALL, ids=names)
@pytest.mark.parametrize("shape", [(24, 24), (7, 40), (1, 1), (61, 30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_picture_gives_views_in_range(augmentation, shape, channels):
    images = noise(9, channels, *shape)
    before = images.clone()
    views = augmentation(images, torch.Generator().manual_seed(0))
    assert views.shape == (9, channels, 24, 24)
    assert views.dtype == torch.float32
    assert views.is_contiguous()
    assert not views.isnan().any()
    assert views.amin() >= 0
    assert views.amax() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("augmentation", ALL, ids=names)
def test_every_draw_comes_from_the_generator(augmentation, monkeypatch):
    monkeypatch.setattr(batches, "PART", 3 * 24 * 24 * 5)  # several parts
    images = noise(17, 3, 24, 24)
    torch.manual_seed(1)
    first = augmentation(images, torch.Generator().manual_seed(8))
    state = torch.get_rng_state()
    second = augmentation(images, torch.Generator().manual_seed(8))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    other = augmentation(images, torch.Generator().manual_seed(9))
    assert torch.equal(first, other) == isinstance(augmentation, Plain)


@pytest.mark.parametrize("augmentation", [a for a in ALL if names(a) != "Plain"], ids=names)
def test_every_picture_has_its_own_draws(augmentation):
    views = augmentation(noise(1, 3, 24, 24).repeat(40, 1, 1, 1), torch.Generator().manual_seed(0))
    assert len(torch.unique(views.view(40, -1), dim=0)) > 15  # an inner crop has 32 places


@pytest.mark.parametrize("augmentation", ALL, ids=names)
def test_no_pictures_no_views(augmentation):
    views = augmentation(noise(0, 3, 9, 9), torch.Generator())
    assert views.shape == (0, 3, 24, 24)


def test_autocast_does_not_lower_the_precision():
    images = noise(6, 3, 20, 20)
    expected = MoCoV2(24)(images, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        views = MoCoV2(24)(images, torch.Generator().manual_seed(0))
    assert torch.equal(views, expected)


def test_plain_and_weak_keep_the_pixels():
    images = noise(50, 3, 24, 24)
    assert torch.equal(Plain(24)(images, torch.Generator()), images * (1 / 255))
    levels = Weak(24)(images, torch.Generator().manual_seed(0)) * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def figures(views):
    """What the distributions are compared by: one number per view for each name."""
    luma = views.mean(1)
    chroma = views.amax(1) - views.amin(1)
    half = views.shape[-1] // 2
    return {
        "mean": luma.mean((1, 2)),
        "spread": luma.std((1, 2)),
        "red - green": (views[:, 0] - views[:, 1]).mean((1, 2)),
        "green - blue": (views[:, 1] - views[:, 2]).mean((1, 2)),
        "chroma": chroma.mean((1, 2)),
        "left - right": luma[..., :half].mean((1, 2)) - luma[..., half:].mean((1, 2)),
        "steps": (luma[..., 1:] - luma[..., :-1]).abs().mean((1, 2)),
        "darkest": views.amin((1, 2, 3)),
        "brightest": views.amax((1, 2, 3)),
    }


MEAN = (0.4914, 0.4822, 0.4465)
ERASING = transforms.RandomErasing(p=1.0, value=MEAN)  # its 0 comes after the normalisation


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("augmentation", "pipeline"),
    [
        (comatch_views(24)[1], pil_pipelines.comatch_second(24)),
        (MoCoV2(24, blur=False, scale=(0.08, 1.0)), pil_pipelines.moco_notebook(24)),
        (MoCoV2(24, erase=MEAN), pil_pipelines.moco_v2(24, ERASING)),
        (view_pair("eman", 24)[0], pil_pipelines.eman(24)),
        (view_pair("eman", 24)[1], pil_pipelines.eman_strong(24)),
        (view_pair("usb", 24)[1], pil_pipelines.usb_strong(24)),
        (view_pair("usb-large", 21)[0], pil_pipelines.usb_large(21)),
        (
            view_pair("usb-large", 21)[1],
            pil_pipelines.usb_large(21, pil_pipelines.usb_rand_augment),
        ),
        (SimCLR(24), pil_pipelines.simclr(24)),
        (SimCLR(24, tensorflow=True), pil_pipelines.simclr_release(24)),
        (SimCLR(24, strength=1.0, blur=True), pil_pipelines.simclr(24, 1.0, True)),
        (MoCoV2(24), pil_pipelines.moco_v2(24)),
        (Strong(24), pil_pipelines.fixmatch_strong(24)),
        (Scan(24, (0.4914, 0.4822, 0.4465)), pil_pipelines.uslt_cifar(24)),
    ],
    ids=names,
)
def test_views_are_distributed_as_the_references(augmentation, pipeline):
    images = photo().expand(2500, 3, 24, 24)
    views = augmentation(images, torch.Generator().manual_seed(0))
    ours = figures((views * 255).round() / 255)
    theirs = figures(pil_pipelines.views(pipeline, images, seed=1))
    for name in ours:
        # Pillow's levels make ties where ours are continuous: compare to within two levels.
        a, b = (torch.floor(side[name] * 128).numpy() for side in (ours, theirs))
        assert ks_2samp(a, b).statistic < 0.055, name  # p = 0.001 at 2,500 against 2,500


def test_comatch_has_two_different_strong_views():
    first, second = comatch_views(24)
    assert first == Strong(24, policy=COMATCH)
    assert second == SimCLR(24, scale=FIFTH)


def test_pairs_of_views_by_name():
    assert view_pair("fixmatch", 24, flip=False) == (Weak(24, flip=False), Strong(24, flip=False))
    assert view_pair("fixmatch-pytorch", 24) == (Weak(24), Strong(24, policy=FIXMATCH_PYTORCH))
    assert view_pair("usb", 24) == (Weak(24), Strong(24, ops=3, policy=USB))
    for name in get_args(ViewPair):
        assert [view.flip for view in view_pair(name, 24, flip=False)] == [False, False], name


def test_an_inner_crop_is_seven_eighths_of_the_side():
    levels = torch.arange(256, dtype=torch.uint8).expand(200, 3, 256, 256)
    views = InnerCrop(224, flip=False)(levels, torch.Generator().manual_seed(0)) * 255
    first = views[:, 0, 0, 0].round()
    assert first.min() == 0
    assert first.max() == 32
    whole = first[:, None] + torch.arange(224)
    torch.testing.assert_close(views[:, 0, 0], whole, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 8, 8),
        torch.zeros(2, 4, 8, 8, dtype=torch.uint8),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 3, 0, 8, dtype=torch.uint8),
    ],
)
def test_other_tensors_are_refused(images):
    with pytest.raises(DataError, match="uint8"):
        Plain(8)(images, torch.Generator())


@pytest.mark.parametrize(
    "make",
    [
        lambda: SimCLR(0),
        lambda: SimCLR(32, strength=-1),
        lambda: SimCLR(32, scale=(0.5, 0.2)),
        lambda: MoCoV2(32, scale=(0.0, 1.0)),
        lambda: Strong(32, cutout=1.5),
        lambda: Strong(32, ops=-1),
        lambda: Weak(-3),
        lambda: InnerCrop(0),
        lambda: Strong(32, scale=(0.5, 0.2)),
        lambda: MoCoV2(32, strength=-1),
    ],
)
def test_impossible_parameters_are_refused(make):
    with pytest.raises(UsageError, match="must be"):
        make()
