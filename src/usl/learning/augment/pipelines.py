"""The augmentations by name: weak, strong, SimCLR, MoCo v2; frozen parameters, then a call."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from usl.learning.augment.batches import Augmentation, check_range
from usl.learning.augment.blur import random_blur_
from usl.learning.augment.color import Jitter, color_jitter_, random_grey_
from usl.learning.augment.geometry import random_resized_crop, random_shift, resize
from usl.learning.augment.randaugment import COMATCH, FIXMATCH, Policy, cutout_, rand_augment_


@dataclass(frozen=True)
class Plain(Augmentation):
    """Resize only; nothing is drawn. Proportions change where the picture is not square."""

    size: int

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Resize."""
        return resize(images, self.size)


@dataclass(frozen=True)
class Weak(Augmentation):
    """Mirror and move by up to 1/8 of the side, edges reflected (FixMatch, Sohn et al. 2020)."""

    size: int
    flip: bool = True

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Resize, then move and mirror."""
        return random_shift(resize(images, self.size), self.flip, generator)


@dataclass(frozen=True)
class ResizedCropFlip(Augmentation):
    """A random box, resized and mirrored half of the time (EMAN's weak view, Cai et al. 2021)."""

    size: int
    scale: tuple[float, float] = (0.2, 1.0)
    flip: bool = True

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Crop, resize and mirror."""
        return random_resized_crop(images, self.size, self.scale, self.flip, generator)


@dataclass(frozen=True)
class SimCLR(Augmentation):
    """Box, mirror, colour jitter, grey and blur (SimCLR, Chen et al. 2020, appendix A).

    ``strength`` scales the jitter (the paper: 1 for ImageNet, 0.5 for CIFAR-10). The blur has a
    kernel of a tenth of the side and is off by default, as for CIFAR-10.
    """

    size: int
    strength: float = 0.5
    blur: bool = False
    scale: tuple[float, float] = (0.2, 1.0)
    flip: bool = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_range("strength", self.strength, 0, 2.5)

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The five steps in order."""
        views = random_resized_crop(images, self.size, self.scale, self.flip, generator)
        return recolor_(views, self.strength, max(1, self.size // 20) * self.blur, generator)


@dataclass(frozen=True)
class MoCoV2(Augmentation):
    """Box, colour jitter, grey, blur and mirror (MoCo v2, Chen et al. 2020)."""

    size: int
    blur: bool = True
    scale: tuple[float, float] = (0.2, 1.0)
    flip: bool = True

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The steps in order; mirroring goes with the box, since the rest does not notice."""
        views = random_resized_crop(images, self.size, self.scale, self.flip, generator)
        return recolor_(views, 0.5, self.size * self.blur, generator)


def recolor_(views: Tensor, strength: float, radius: int, generator: torch.Generator) -> Tensor:
    """Jitter the colours of 80%, take them from 20%, blur half (radius 0: none); in place."""
    color_jitter_(views, Jitter.of_strength(strength), 0.8, generator)
    random_grey_(views, 0.2, generator)
    if radius:
        random_blur_(views, radius, 0.5, generator)
    return views


@dataclass(frozen=True)
class Strong(Augmentation):
    """Weak, then RandAugment and cutout (FixMatch, Sohn et al. 2020).

    Parameters
    ----------
    size : side of the views in pixels.
    ops : operations drawn for each picture, with replacement, from the 14.
    cutout : side of the grey box as a share of the view's; 0 for none.
    flip : mirror half of the time.
    policy : how strong the operations are, and how likely; ``COMATCH`` is the first strong view of
        CoMatch (the second is ``SimCLR(size)``).
    """

    size: int
    ops: int = 2
    cutout: float = 0.5
    flip: bool = True
    policy: Policy = FIXMATCH

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_range("ops", self.ops, 0)
        check_range("cutout", self.cutout, 0, 1)

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The three steps in order."""
        policy = self.policy
        views = random_shift(resize(images, self.size), self.flip, generator)
        rand_augment_(views, self.ops, policy, generator)
        if self.cutout:
            cutout_(views, self.cutout, policy.cutout_fill, policy.whole_cutout, generator)
        return views


def comatch_views(size: int) -> tuple[Strong, SimCLR]:
    """The two strong views of CoMatch (Li et al. 2021): RandAugment(2, 10), and SimCLR's."""
    return Strong(size, policy=COMATCH), SimCLR(size, strength=0.5)
