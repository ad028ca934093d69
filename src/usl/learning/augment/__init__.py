"""Augmentations of whole batches as tensors, on any device, each picture by its own draws."""

from __future__ import annotations

from usl.learning.augment.batches import Augmentation
from usl.learning.augment.pipelines import (
    MoCoV2,
    Plain,
    ResizedCropFlip,
    SimCLR,
    Strong,
    Weak,
    comatch_views,
)
from usl.learning.augment.randaugment import COMATCH, FIXMATCH, Policy

__all__ = [
    "COMATCH",
    "FIXMATCH",
    "Augmentation",
    "MoCoV2",
    "Plain",
    "Policy",
    "ResizedCropFlip",
    "SimCLR",
    "Strong",
    "Weak",
    "comatch_views",
]
