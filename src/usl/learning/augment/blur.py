"""Gaussian blur of a batch, each picture with its own width, as products with matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from usl.learning.augment.batches import chance, uniform
from usl.learning.augment.geometry import resample

WIDTHS = (0.1, 2.0)  # standard deviations in pixels


def gaussian_blur(images: Tensor, sigmas: Tensor, radius: int, *, black: bool = False) -> Tensor:
    """Blur float32 [b, c, h, w] in 0..1 with a Gaussian of ``sigmas`` [b] cut at ``radius`` pixels.

    Edges are reflected, or ``black`` beyond; a radius beyond the picture ends with it.
    """
    h, w = images.shape[2:]
    rows = _kernels(sigmas, h, radius, black)
    columns = rows if h == w else _kernels(sigmas, w, radius, black)
    return resample(images, rows, columns).clamp_(max=1)  # the weights sum to 1 up to rounding


def random_blur_(
    images: Tensor,
    radius: int,
    probability: float,
    generator: torch.Generator,
    *,
    black: bool = False,
) -> Tensor:
    """Blur a random part of the batch, widths ~ U(0.1, 2). Changes ``images`` and returns it."""
    rows = chance(len(images), probability, generator).nonzero()[:, 0]
    sigmas = uniform(len(images), *WIDTHS, generator)[rows]
    return images.index_copy_(0, rows, gaussian_blur(images[rows], sigmas, radius, black=black))


def _kernels(sigmas: Tensor, side: int, radius: int, black: bool) -> Tensor:
    """The blur along an axis as matrices, float32 [b, side, side].

    Pixel i sees pixel j at the distance i - j, and mirrored in either end unless that is ``black``.
    """
    # 1. The bell; beyond exp(-30) nothing is left, and numbers too small for float32 are slow.
    distances = torch.arange(2 * side - 1, device=sigmas.device)
    bell = torch.exp((distances / sigmas[:, None]).square_().mul_(-0.5).clamp_(min=-30))
    bell.masked_fill_(distances > min(radius, side - 1), 0)
    # 2. One look-up for each of the three ways to see a pixel; the end itself is not mirrored.
    pixels = torch.arange(side, device=sigmas.device)
    i, j = pixels[:, None], pixels[None, :]
    nothing = 2 * side - 2 if side > 1 else 0
    near = torch.where(j > 0, i + j, nothing)
    far = torch.where(j < side - 1, 2 * (side - 1) - i - j, nothing)
    weights = bell[:, (i - j).abs()]
    if black:
        return weights.div_((2 * bell.sum(1) - bell[:, 0]).view(-1, 1, 1))
    if side > 1:
        weights = weights.add_(bell[:, near]).add_(bell[:, far])
    return weights.div_(weights.sum(2, keepdim=True))
