"""The augmentations by name: weak, strong, SimCLR, MoCo v2; frozen parameters, then a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from usl.core.errors import UsageError, did_you_mean
from usl.learning.augment.batches import Augmentation, check_range
from usl.learning.augment.blur import random_blur_
from usl.learning.augment.color import (
    Jitter,
    color_jitter_,
    enhance_,
    enhance_as_tensorflow_,
    random_grey_,
)
from usl.learning.augment.erasing import random_erasing_
from usl.learning.augment.geometry import (
    random_boxes,
    random_crop,
    random_resized_crop,
    random_shift,
    resize,
)
from usl.learning.augment.inception_boxes import distorted_boxes
from usl.learning.augment.randaugment import (
    COMATCH,
    EMAN,
    FIXMATCH,
    FIXMATCH_PYTORCH,
    USB,
    Policy,
    cutout_,
    rand_augment_,
)

INCEPTION = (0.08, 1.0)  # share of the area of a random box, as in Szegedy et al. 2015
FIFTH = (0.2, 1.0)  # as in MoCo v2, CLD and CoMatch


@dataclass(frozen=True)
class Plain(Augmentation):
    """Resize only; nothing is drawn. Proportions change where the picture is not square."""

    size: int

    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """Resize."""
        return resize(images, self.size)


@dataclass(frozen=True)
class Weak(Augmentation):
    """Mirror and move by up to 1/8 of the side, edges reflected (FixMatch, Sohn et al. 2020)."""

    size: int
    flip: bool = True

    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """Resize, then move and mirror."""
        return random_shift(resize(images, self.size), self.flip, generator)


@dataclass(frozen=True)
class ResizedCropFlip(Augmentation):
    """A random box, resized and mirrored half of the time (EMAN's weak view, Cai et al. 2021)."""

    size: int
    scale: tuple[float, float] = INCEPTION
    flip: bool = True

    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """Crop, resize and mirror."""
        return random_resized_crop(images, self.size, self.scale, self.flip, generator, shapes)


@dataclass(frozen=True)
class SimCLR(Augmentation):
    """Box, mirror, colour jitter, grey and blur (SimCLR, Chen et al. 2020, appendix A).

    ``strength`` scales the jitter (the paper: 1 for ImageNet, 0.5 for CIFAR-10). The blur has a
    kernel of a tenth of the side and is off by default, as for CIFAR-10. Boxes have 8% of the area
    and more. With ``tensorflow`` all is done as in the authors' code: boxes, resizing, contrast and
    saturation, and a blur that sees black beyond the edges; else as torchvision does it.
    """

    size: int
    strength: float = 0.5
    blur: bool = False
    scale: tuple[float, float] = INCEPTION
    flip: bool = True
    tensorflow: bool = False

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_range("strength", self.strength, 0, 2.5)

    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """The five steps in order."""
        views = random_resized_crop(
            images,
            self.size,
            self.scale,
            self.flip,
            generator,
            shapes,
            draw=distorted_boxes if self.tensorflow else random_boxes,
            cubic=self.tensorflow,
        )
        radius = max(1, self.size // 20) * self.blur
        return recolor_(views, self.strength, radius, generator, tensorflow=self.tensorflow)


@dataclass(frozen=True)
class MoCoV2(Augmentation):
    """Box, colour jitter, grey, blur and mirror (MoCo v2, Chen et al. 2020).

    With ``erase`` a random box of every view is filled with that colour at the end, as in the
    scripts of CLD (Wang et al. 2021) for CIFAR, where it is the mean of the data.
    """

    size: int
    blur: bool = True
    scale: tuple[float, float] = FIFTH
    flip: bool = True
    strength: float = 0.5
    erase: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_range("strength", self.strength, 0, 2.5)

    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """The steps in order; mirroring goes with the box, since the rest does not notice."""
        views = random_resized_crop(images, self.size, self.scale, self.flip, generator, shapes)
        recolor_(views, self.strength, self.size * self.blur, generator)
        return views if self.erase is None else random_erasing_(views, self.erase, generator)


def recolor_(
    views: Tensor,
    strength: float,
    radius: int,
    generator: torch.Generator,
    *,
    tensorflow: bool = False,
) -> Tensor:
    """Jitter the colours of 80%, take them from 20%, blur half (radius 0: none); in place."""
    enhance = enhance_as_tensorflow_ if tensorflow else enhance_
    color_jitter_(views, Jitter.of_strength(strength), 0.8, generator, enhance=enhance)
    random_grey_(views, 0.2, generator)
    if radius:
        random_blur_(views, radius, 0.5, generator, black=tensorflow)
    return views


@dataclass(frozen=True)
class InnerCrop(Augmentation):
    """A square of 7/8 of the side anywhere in the picture, and mirrored half of the time.

    The weak view of USB (Wang et al. 2022) for large pictures: of 256 pixels 224.
    """

    size: int
    flip: bool = True

    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """Resize, then cut out and mirror."""
        return random_crop(resize(images, self.size * 8 // 7), self.size, self.flip, generator)


@dataclass(frozen=True)
class Strong(Augmentation):
    """Weak, then RandAugment and cutout (FixMatch, Sohn et al. 2020).

    Parameters
    ----------
    size : side of the views in pixels.
    ops : operations drawn for each picture, with replacement, from those of the policy.
    cutout : side of the grey box as a share of the view's; 0 for none.
    flip : mirror half of the time.
    policy : which operations, how strong, and how likely; ``COMATCH`` is the first strong view of
        CoMatch (for the second see :func:`comatch_views`).
    scale : begin with a random box of this share of the area, instead of moving the picture.
    """

    size: int
    ops: int = 2
    cutout: float = 0.5
    flip: bool = True
    policy: Policy = FIXMATCH
    scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_range("ops", self.ops, 0)
        check_range("cutout", self.cutout, 0, 1)

    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """The three steps in order."""
        policy = self.policy
        if self.scale is None:
            views = random_shift(resize(images, self.size), self.flip, generator)
        else:
            views = random_resized_crop(images, self.size, self.scale, self.flip, generator, shapes)
        rand_augment_(views, self.ops, policy, generator)
        if self.cutout:
            how = {"random": policy.random_cutout, "ends": policy.filled_ends}
            fill, whole = policy.cutout_fill, policy.whole_cutout
            cutout_(views, self.cutout, fill, whole, generator, **how)
        return views


def comatch_views(size: int) -> tuple[Strong, SimCLR]:
    """The two strong views of CoMatch (Li et al. 2021): RandAugment(2, 10), and SimCLR's."""
    return Strong(size, policy=COMATCH), SimCLR(size, scale=FIFTH)


ViewPair = Literal["fixmatch", "fixmatch-pytorch", "eman", "usb", "usb-large"]


def view_pair(name: ViewPair, size: int, flip: bool = True) -> tuple[Augmentation, Augmentation]:
    """The weak and the strong view of a source by its name.

    Parameters
    ----------
    name : ``fixmatch`` (Sohn et al. 2020); ``fixmatch-pytorch``, the same with a cutout that is a
        pixel longer, as in the code this project's paper took; ``eman``, of EMAN and DebiasPL on
        ImageNet: random boxes, and RandAugment(2, 10) without cutout; ``usb``, of FlexMatch,
        FreeMatch and SoftMatch on CIFAR: RandAugment(3, 5) of USB; ``usb-large``, the same for
        ImageNet.

    Raises
    ------
    UsageError
        another name.
    """
    known = get_args(ViewPair)
    if name not in known:
        raise UsageError(
            f"views: {name!r} is unknown; use one of {', '.join(known)}.{did_you_mean(name, known)}"
        )
    if name == "eman":
        strong = Strong(size, cutout=0, flip=flip, policy=EMAN, scale=INCEPTION)
        return ResizedCropFlip(size, flip=flip), strong
    if name == "usb":
        return Weak(size, flip), Strong(size, ops=3, flip=flip, policy=USB)
    if name == "usb-large":
        return InnerCrop(size, flip), Strong(size, ops=3, flip=flip, policy=USB, scale=INCEPTION)
    policy = FIXMATCH_PYTORCH if name == "fixmatch-pytorch" else FIXMATCH
    return Weak(size, flip), Strong(size, flip=flip, policy=policy)
