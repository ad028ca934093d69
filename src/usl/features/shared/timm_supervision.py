"""What weights of timm were told in training, as far as their names tell."""

from __future__ import annotations

import re

IMAGENET = {"in1k", "in12k", "in21k", "in22k", "inw21k"}
SELF_SUPERVISED = ("dino", "mae", "fcmae", "ijepa", "lvd142m", "lvd1689m", "seer")
IMAGE_TEXT = ("clip", "siglip", "openai", "laion", "datacomp", "metaclip", "dfn", "webli")


def supervision(full_name: str) -> str:
    """What the weights called ARCH.TAG were told in training, as far as timm's names tell.

    Fine-tuning on ImageNet decides over what came before it.
    """
    parts = re.split(r"[._]", full_name.lower())
    after_tuning = parts[parts.index("ft") :] if "ft" in parts else []
    if IMAGENET & set(after_tuning):
        return "ImageNet labels"
    if "eupe" in parts or "mim" in parts:  # pupils of teachers of several kinds
        return "unknown"
    if any(part.startswith(SELF_SUPERVISED) for part in parts):
        return "none"
    if any(part.startswith(IMAGE_TEXT) or "clip" in part for part in parts):
        return "image-text pairs"
    return "ImageNet labels" if IMAGENET & set(parts) else "unknown"
