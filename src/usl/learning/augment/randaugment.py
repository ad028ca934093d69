"""RandAugment on batches: random operations of random strength, and cutout, for every picture.

The operations are those of Pillow, on float32 [b, c, h, w] in 0..1. What Pillow counts in 256
levels (posterize, equalize, solarize) is counted in them here; nothing else is rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from usl.learning.augment.batches import chance, uniform
from usl.learning.augment.color import colour_of, enhance_
from usl.learning.augment.lookups import (
    autocontrast,
    brighten,
    equalize,
    posterize,
    sharpen,
    solarize,
)

# The first three are the kinds of `enhance_`; the next five are affine maps.
OPERATIONS = (
    *("brightness", "contrast", "color"),
    *("rotate", "shear_x", "shear_y", "translate_x", "translate_y"),
    *("autocontrast", "equalize", "posterize", "sharpness", "solarize", "invert", "solarize_add"),
    "identity",
)
ENHANCE, AFFINE, IDENTITY = 0, 3, 15


@dataclass(frozen=True)
class Policy:
    """How strong the operations are. Pairs are (at level 0, gained until level 10).

    Attributes
    ----------
    levels : lowest and highest level; whole ones, each as likely as the next.
    probability : of an operation being applied once it is drawn.
    enhance : factor of brightness, contrast, color and sharpness.
    posterize : bits kept, rounded down.
    solarize : levels from here on are inverted; whole numbers.
    rotate : degrees at level 10, either way, rounded down.
    shear : share of the side at level 10, either way.
    translate : share of the side at level 10, either way, in whole pixels.
    bilinear : how moved pictures are read; else the nearest pixel.
    moved_fill, cutout_fill : what is put where there is no picture; a cutout may have a colour.
    whole_cutout : a box over the top or left edge is moved inside, not cut.
    filled_ends : a cutout is one pixel longer than its side: both its ends are filled, as Pillow
        draws a rectangle.
    operations : how many are drawn from: the identity, and so many less one of the first.
    continuous : any number between the two levels, and degrees and pixels are not made whole.
    random_cutout : the side of the box is drawn, too, from 0 to the one that is asked for.
    solarize_add : levels of 256 added at level 10, either way, before those from 128 on are
        inverted.
    """

    levels: tuple[int, int]
    probability: float
    enhance: tuple[float, float]
    posterize: tuple[int, int]
    solarize: tuple[int, int]
    rotate: float
    shear: float
    translate: float
    bilinear: bool
    moved_fill: float
    cutout_fill: float | tuple[float, float, float]
    whole_cutout: bool
    operations: int = 14
    continuous: bool = False
    random_cutout: bool = False
    filled_ends: bool = False
    solarize_add: float = 0


# Sohn et al. 2020, table 12, with the levels 1 to 9 and the even chance of its PyTorch versions.
FIXMATCH = Policy(
    levels=(1, 9),
    probability=0.5,
    enhance=(0.05, 0.9),
    posterize=(4, 4),
    solarize=(256, -256),
    rotate=30,
    shear=0.3,
    translate=0.3,
    bilinear=False,
    moved_fill=0,
    cutout_fill=127 / 255,
    whole_cutout=True,
)
# The same as kekmodel/FixMatch-pytorch fills a cutout, 17 of 32 pixels; this project's paper took
# its code for CIFAR.
FIXMATCH_PYTORCH = replace(FIXMATCH, filled_ends=True)
# What the code released with CoMatch (Li et al. 2021) does on CIFAR: always level 10.
COMATCH = replace(
    FIXMATCH,
    levels=(10, 10),
    enhance=(0.1, 1.8),
    posterize=(0, 4),
    solarize=(0, 256),
    translate=10 / 32,
    bilinear=True,
    moved_fill=128 / 255,
    cutout_fill=128 / 255,
    whole_cutout=False,
)
# What the code released with EMAN (Cai et al. 2021), and DebiasPL, does on ImageNet: the levels 1
# to 9, always applied, with two operations more and twice the strength of FixMatch's; no cutout.
EMAN = replace(
    FIXMATCH,
    probability=1.0,
    enhance=(0.1, 1.8),
    translate=0.45,
    operations=16,
    solarize_add=110,
)
# What USB does, the library of the authors of FlexMatch, FreeMatch and SoftMatch: any strength,
# always applied, and a cutout of any side up to half of the picture's.
USB = replace(
    FIXMATCH,
    levels=(0, 10),
    probability=1.0,
    cutout_fill=(125 / 255, 123 / 255, 114 / 255),
    continuous=True,
    random_cutout=True,
    filled_ends=True,
)

# What SCAN's code (Van Gansbeke et al. 2020) and so USL-T's does on CIFAR: FixMatch's operations
# of any strength, always applied, with a third of its shears and shifts.
SCAN = replace(
    FIXMATCH,
    levels=(0, 10),
    probability=1.0,
    shear=0.1,
    translate=0.1,
    continuous=True,
)


def rand_augment_(
    images: Tensor, operations: int, policy: Policy, generator: torch.Generator
) -> Tensor:
    """``operations`` operations one after the other, each drawn anew for every picture.

    Square pictures, float32 [b, c, s, s] in 0..1, changed in place.
    """
    device = generator.device
    for _ in range(operations):
        # 1. Draws: the operation, its level, its direction, and whether it is applied at all.
        b = len(images)
        kinds = torch.randint(policy.operations, (b,), generator=generator, device=device)
        kinds.masked_fill_(kinds == policy.operations - 1, IDENTITY)
        low, high = policy.levels
        if policy.continuous:
            levels = uniform(b, low / 10, high / 10, generator)
        else:
            levels = torch.randint(low, high + 1, (b,), generator=generator, device=device) / 10
        levels = torch.where(chance(b, 0.5, generator), levels, -levels)
        kinds.masked_fill_(~chance(b, policy.probability, generator), IDENTITY)
        # 2. Sorted by operation, each is computed on one run of the batch.
        counts = torch.bincount(kinds, minlength=len(OPERATIONS)).tolist()
        rows = kinds.argsort()[: b - counts[IDENTITY]]
        work = apply_(images[rows], kinds[rows], levels[rows], counts, policy)
        images.index_copy_(0, rows, work)
    return images


def apply_(
    images: Tensor, kinds: Tensor, levels: Tensor, counts: list[int], policy: Policy
) -> Tensor:
    """One operation for each picture.

    Parameters
    ----------
    images : float32 [b, c, s, s], 0..1, changed in place.
    kinds : index into OPERATIONS, int64 [b], ascending, none of them the identity.
    levels : -1..1; the sign is the direction of rotate, shear, translate and solarize_add.
        float32 [b].
    counts : pictures of every kind.
    policy : what the levels mean.
    """
    ends = list(accumulate(counts))
    strength = levels.abs()

    def run(first: int, last: int) -> slice:
        return slice(ends[first] - counts[first], ends[last])

    # 1. What the levels mean.
    factors = policy.enhance[0] + policy.enhance[1] * strength
    bits = policy.posterize[0] + _whole(policy.posterize[1] * strength)
    thresholds = policy.solarize[0] + _whole(policy.solarize[1] * strength)
    # 2. Brightness, contrast and color are one computation, and so are the affine maps.
    if (part := run(ENHANCE, 2)).stop > part.start:
        enhance_(images[part], kinds[part], factors[part])
    if (part := run(AFFINE, 7)).stop > part.start:
        maps = affine_maps(kinds[part], levels[part], images.shape[-1], policy)
        images[part] = move(images[part], maps, policy.bilinear, policy.moved_fill)
    # 3. The others one by one.
    if (part := run(8, 8)).stop > part.start:
        images[part] = autocontrast(images[part])
    if (part := run(9, 9)).stop > part.start:
        images[part] = equalize(images[part])
    if (part := run(10, 10)).stop > part.start:
        images[part] = posterize(images[part], bits[part])
    if (part := run(11, 11)).stop > part.start:
        images[part] = sharpen(images[part], factors[part])
    if (part := run(12, 12)).stop > part.start:
        images[part] = solarize(images[part], thresholds[part])
    if (part := run(13, 13)).stop > part.start:
        images[part] = 1 - images[part]
    if (part := run(14, 14)).stop > part.start:
        added = _whole(policy.solarize_add * levels[part])
        images[part] = solarize(brighten(images[part], added), torch.full_like(added, 128))
    return images


def affine_maps(kinds: Tensor, levels: Tensor, side: int, policy: Policy) -> Tensor:
    """For each picture the map from new to old places, in -1..1 on both axes, float32 [b, 2, 3].

    As in Pillow, shears leave the top left corner of the picture where it is.
    """
    degrees, pixels = levels * policy.rotate, levels * policy.translate * side
    if not policy.continuous:
        degrees, pixels = _whole(degrees), _whole(pixels)
    angles, shears, moves = degrees * (math.pi / 180), levels * policy.shear, pixels * (2 / side)
    still, one = torch.zeros_like(levels), torch.ones_like(levels)
    # 1. All five kinds of every picture, [b, 5, 6]; they are six numbers each.
    every = torch.stack(
        [
            torch.stack([angles.cos(), -angles.sin(), still, angles.sin(), angles.cos(), still], 1),
            torch.stack([one, shears, shears, still, one, still], 1),
            torch.stack([one, still, still, shears, one, shears], 1),
            torch.stack([one, still, moves, still, one, still], 1),
            torch.stack([one, still, still, still, one, moves], 1),
        ],
        1,
    )
    # 2. The one that was drawn.
    return every[torch.arange(len(kinds), device=kinds.device), kinds - AFFINE].view(-1, 2, 3)


def move(images: Tensor, maps: Tensor, bilinear: bool, fill: float) -> Tensor:
    """Read every picture at the places its map says; ``fill`` outside of it."""
    functional = torch.nn.functional
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    mode = "bilinear" if bilinear else "nearest"
    moved = functional.grid_sample(images - fill, grid, mode=mode, align_corners=False)
    return moved.add_(fill)


def cutout_(
    images: Tensor,
    share: float,
    fill: float | tuple[float, float, float],
    whole: bool,
    generator: torch.Generator,
    *,
    random: bool = False,
    ends: bool = False,
) -> Tensor:
    """Fill a box of ``share`` of each side, its centre anywhere in the picture.

    With ``whole`` a box over the top or left edge is moved inside instead of being cut. With
    ``random`` every box has its own share, from 0 to this one. With ``ends`` it is a pixel longer:
    both its ends are filled, as Pillow draws a rectangle.
    """
    own = uniform(len(images), 0, share, generator)[:, None] if random else share
    places = torch.rand(2, len(images), generator=generator, device=generator.device)
    inside = []
    for axis, side in enumerate(images.shape[2:]):
        box = side * own if random else int(side * share)
        first = (places[axis][:, None] * side - box / 2).floor_()
        if whole:
            first.clamp_(min=0)
        pixels = torch.arange(side, device=images.device)
        last = (first + box).floor() if ends else first + box - 1
        inside.append((pixels >= first) & (pixels <= last))
    boxes = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(boxes, colour_of(fill, images), images, out=images)


def _whole(numbers: Tensor) -> Tensor:
    """Rounded towards zero, where float32 may be a hair short of a whole number."""
    return (numbers + 1e-4 * numbers.sign()).trunc_()
