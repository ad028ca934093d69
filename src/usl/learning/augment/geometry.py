"""Resizing, cropping and flipping of whole batches, each picture by its own draws.

Resizing is separable and linear, so a crop that is resized (and flipped) is a product of three
matrices: rows [size, h] x picture [h, w] x columns [w, size], exact for every picture's own box.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from usl.learning.augment.batches import chance, uniform

RATIO = (3 / 4, 4 / 3)  # width / height of a random box
ATTEMPTS = 10  # boxes drawn before the central one is taken
Boxes = tuple[Tensor, Tensor, Tensor, Tensor]  # top, left, height and width in pixels, float32 [b]


def axis_weights(
    start: Tensor,
    length: Tensor,
    source: int,
    size: int,
    *,
    flip: Tensor | None = None,
    total: float = 1.0,
    cubic: bool = False,
) -> Tensor:
    """Matrices that resize parts of an axis with a triangle filter, widened when shrinking.

    The filter sees nothing beyond the part, as when cropping before resizing. This is what Pillow
    calls bilinear, and torchvision bilinear with ``antialias=True``.

    Parameters
    ----------
    start, length : the part of each axis in pixels, float32 [b].
    source, size : pixels before and after.
    flip : axes to be mirrored, bool [b].
    total : sum of every row.
    cubic : with Keys' filter of four pixels instead, never widened: what TensorFlow calls bicubic.

    Returns
    -------
    float32 [b, size, source].
    """
    start, length = start[:, None], length[:, None]
    # 1. The centres of the new pixels on the old axis.
    ratio = length / size
    centres = start + (torch.arange(size, device=start.device) + 0.5) * ratio
    if flip is not None:
        centres = torch.where(flip[:, None], centres.flip(1), centres)
    # 2. The old pixels; those outside the part are infinitely far away.
    pixels = torch.arange(source, device=start.device) + 0.5
    outside = (pixels < start) | (pixels > start + length)
    pixels = pixels.expand(outside.shape).masked_fill(outside, float("inf"))
    # 3. A triangle, at least one old pixel wide on each side.
    slope = torch.ones_like(ratio) if cubic else ratio.clamp(min=1).reciprocal_()
    distances = ((pixels * slope)[:, None] - (centres * slope)[:, :, None]).abs_()
    weights = keys_(distances) if cubic else distances.neg_().add_(1).clamp_(min=0)
    return weights.mul_(total / weights.sum(2, keepdim=True))


def keys_(distances: Tensor) -> Tensor:
    """The cubic filter of R. G. Keys (1981) with a = -1/2, at distances in pixels; in place."""
    x = distances.clamp_(max=2)
    near = ((1.5 * x - 2.5) * x) * x + 1
    return torch.where(x <= 1, near, ((-0.5 * x + 2.5) * x - 4) * x + 2)


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rows x picture x columns for every picture.

    images float32 [b, c, h, w], rows [b, s, h] and columns [b, t, w] give float32 [b, c, s, t].
    """
    b, c, h, w = images.shape
    wide = torch.bmm(images.reshape(b, c * h, w), columns.transpose(1, 2))
    return torch.matmul(rows[:, None], wide.view(b, c, h, columns.shape[1]))


def resize(images: Tensor, size: int) -> Tensor:
    """Whole uint8 pictures as float32 [b, c, size, size], 0..1; proportions may change."""
    h, w = images.shape[2:]
    pictures = images.float().mul_(1 / 255)
    whole = torch.zeros(1, device=images.device)
    if w != size:
        pictures = pictures @ axis_weights(whole, whole + w, w, size)[0].T
    if h != size:
        pictures = axis_weights(whole, whole + h, h, size)[0] @ pictures
    return pictures.clamp_(max=1)


def random_boxes(
    h: Tensor, w: Tensor, scale: tuple[float, float], generator: torch.Generator
) -> Boxes:
    """Boxes of random area, shape and place in pictures of h [b] x w [b] pixels.

    Share of the area ~ U(scale), log of width / height ~ U(log 3/4, log 4/3) ("Inception crop",
    Szegedy et al. 2015). The first of ten boxes that fits is taken; else the largest central one.
    """
    count, (tall, wide) = len(h), (h[:, None], w[:, None])
    # 1. Ten candidates for each picture.
    area = uniform(count * ATTEMPTS, *scale, generator).view(count, ATTEMPTS).mul_(tall * wide)
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = uniform(count * ATTEMPTS, low, high, generator).exp_().view(count, ATTEMPTS)
    widths = (area * ratio).sqrt_().round_()
    heights = (area / ratio).sqrt_().round_()
    # 2. The first that fits; the fallback stands after the last.
    shape = (wide.double() / tall).clamp_(*RATIO)
    central = (
        torch.minimum(tall, (wide / shape).round()),
        torch.minimum(wide, (tall * shape).round()),
    )
    heights = torch.cat([heights, central[0].float()], 1)
    widths = torch.cat([widths, central[1].float()], 1)
    fits = (heights >= 1) & (heights <= tall) & (widths >= 1) & (widths <= wide)
    first = fits.byte().argmax(1, keepdim=True)
    height, width = heights.gather(1, first)[:, 0], widths.gather(1, first)[:, 0]
    # 3. Its place, every whole position alike; the fallback stays in the middle.
    fallback = first[:, 0] == ATTEMPTS
    place = torch.rand(2, count, generator=generator, device=generator.device)
    top = torch.where(fallback, (h - height) / 2, place[0] * (h - height + 1)).floor_()
    left = torch.where(fallback, (w - width) / 2, place[1] * (w - width + 1)).floor_()
    # A draw just below 1 may round up to one position too many.
    return torch.minimum(top, h - height), torch.minimum(left, w - width), height, width


def random_resized_crop(
    images: Tensor,
    size: int,
    scale: tuple[float, float],
    flip: bool,
    generator: torch.Generator,
    shapes: Tensor | None = None,
    *,
    draw: Callable[..., Boxes] = random_boxes,
    cubic: bool = False,
) -> Tensor:
    """A random box of every uint8 picture at [size, size], mirrored half of the time if ``flip``.

    Returns float32 [b, c, size, size], 0..1.

    Parameters
    ----------
    shapes : of whole pictures that were squeezed into ``images``, height and width, float32 [b, 2]:
        boxes are drawn in the pictures as they were.
    draw : of the boxes; cubic : how they are resized, see :func:`axis_weights`.
    """
    b, _, h, w = images.shape
    sides = images.new_tensor((h, w), dtype=torch.float32).expand(b, 2)
    tall, wide = (sides if shapes is None else shapes).unbind(1)
    boxes = draw(tall, wide, scale, generator)
    mirrored = chance(b, 0.5, generator) if flip else None
    return cut(images, boxes, size, shapes, flip=mirrored, cubic=cubic)


def central_square(images: Tensor, size: int, shapes: Tensor) -> Tensor:
    """The centre square of whole pictures that were squeezed into ``images``; float32, 0..1."""
    side = shapes.amin(1)
    top, left = ((shapes - side[:, None]) / 2).unbind(1)
    return cut(images, (top, left, side, side), size, shapes)


def cut(
    images: Tensor,
    boxes: Boxes,
    size: int,
    shapes: Tensor | None,
    *,
    flip: Tensor | None = None,
    cubic: bool = False,
) -> Tensor:
    """A box of every uint8 picture, or of what it was before it was squeezed, at [size, size]."""
    h, w = images.shape[2:]
    top, left, height, width = boxes
    if shapes is not None:
        down, across = h / shapes[:, 0], w / shapes[:, 1]
        top, height, left, width = top * down, height * down, left * across, width * across
    rows = axis_weights(top, height, h, size, cubic=cubic)
    columns = axis_weights(left, width, w, size, flip=flip, total=1 / 255, cubic=cubic)
    return resample(images.float(), rows, columns).clamp_(0, 1)


def random_shift(images: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """Move by up to 1/8 of the side along each axis, edges reflected; mirror half of the time.

    This is reflect-padding by 1/8 and a random crop (FixMatch's weak augmentation). Any dtype,
    [b, c, h, w] to [b, c, h, w].
    """
    b, _, h, w = images.shape
    return _read(images, _shifted(b, h, generator), _shifted(b, w, generator), flip, generator)


def random_crop(images: Tensor, size: int, flip: bool, generator: torch.Generator) -> Tensor:
    """A square of ``size`` pixels anywhere in every picture; mirror half of the time.

    Any dtype, [b, c, h, w] to [b, c, size, size], size at most h and w.
    """
    b, _, h, w = images.shape
    pixels = torch.arange(size, device=generator.device)
    rows, columns = (
        pixels
        + torch.randint(side - size + 1, (b, 1), generator=generator, device=generator.device)
        for side in (h, w)
    )
    return _read(images, rows, columns, flip, generator)


def _read(
    images: Tensor, rows: Tensor, columns: Tensor, flip: bool, generator: torch.Generator
) -> Tensor:
    """The pixels at ``rows`` int64 [b, s] and ``columns`` int64 [b, t] of every picture."""
    b, c, h, w = images.shape
    s, t = rows.shape[1], columns.shape[1]
    if flip:
        columns = torch.where(chance(b, 0.5, generator)[:, None], columns.flip(1), columns)
    places = (rows[:, :, None] * w + columns[:, None, :]).view(b, 1, s * t)
    return images.reshape(b, c, h * w).gather(2, places.expand(b, c, s * t)).view(b, c, s, t)


def _shifted(count: int, side: int, generator: torch.Generator) -> Tensor:
    """For each of ``side`` pixels the one to take, int64 [count, side], reflected at the ends."""
    reach = side // 8
    moves = torch.randint(
        -reach, reach + 1, (count, 1), generator=generator, device=generator.device
    )
    places = (torch.arange(side, device=generator.device) + moves).abs_()
    return torch.minimum(places, 2 * (side - 1) - places)
