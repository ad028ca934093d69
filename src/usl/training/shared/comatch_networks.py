"""What CoMatch's networks say of its views: logits and embeddings, and those of the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.pretraining.momentum import in_parts

DEVICES = 8  # of the authors' ImageNet run


@dataclass(frozen=True)
class Seen:
    """What the networks say of the views; only the first four carry gradients.

    The second embeddings do not either if they are those of a momentum encoder.
    """

    labeled: Tensor
    strong: Tensor
    first: Tensor
    second: Tensor
    steady: Tensor  # logits of the labelled and then the weak views
    embeddings: Tensor  # of the same


def taught(teacher: Any, images: Tensor, order: Tensor | None) -> tuple[Tensor, Tensor]:
    """:func:`both` of a teacher; in that order and in eight parts, if there is an order.

    In training mode each part is then normalised by its own statistics, as on a device of its own,
    and knows nothing of which images belong together.
    """
    if order is None:
        return both(teacher, images)
    parts = min(DEVICES, max(1, len(images) // 2))
    told = in_parts(Both(teacher), images[order], parts)[order.argsort()]
    classes = teacher.head.out_features
    return told[:, :classes], told[:, classes:]


class Both(nn.Module):  # type: ignore[misc]
    """:func:`both` of a classifier in one tensor, [b, C + d]."""

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Logits, then embeddings."""
        return torch.cat(both(self.classifier, images), 1)


def both(classifier: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [b, C] and embeddings, unit rows [b, d], float32 whatever the backbone's precision."""
    features = classifier.backbone(images)
    with torch.autocast(images.device.type, enabled=False):
        features = features.float()
        rows = classifier.projection(features)
        return classifier.head(features), functional.normalize(rows, dim=1)
