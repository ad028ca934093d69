"""Augmentations of whole batches as tensors, on any device, each picture by its own draws."""

from __future__ import annotations

from usl.learning.augment.batches import Augmentation, view_of
from usl.learning.augment.pipelines import (
    FIFTH,
    INCEPTION,
    InnerCrop,
    MoCoV2,
    Plain,
    ResizedCropFlip,
    SimCLR,
    Strong,
    ViewPair,
    Weak,
    comatch_views,
    view_pair,
)
from usl.learning.augment.randaugment import (
    COMATCH,
    EMAN,
    FIXMATCH,
    FIXMATCH_PYTORCH,
    SCAN,
    USB,
    Policy,
)
from usl.learning.augment.scan import Scan

__all__ = [
    "COMATCH",
    "EMAN",
    "FIFTH",
    "FIXMATCH",
    "FIXMATCH_PYTORCH",
    "INCEPTION",
    "SCAN",
    "USB",
    "Augmentation",
    "InnerCrop",
    "MoCoV2",
    "Plain",
    "Policy",
    "ResizedCropFlip",
    "Scan",
    "SimCLR",
    "Strong",
    "ViewPair",
    "Weak",
    "comatch_views",
    "view_of",
    "view_pair",
]
