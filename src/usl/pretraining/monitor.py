"""Is the representation learning anything? Figures that need no labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from usl.learning.augment import FIFTH, SimCLR
from usl.learning.pictures import PASS, Pictures, at_size, encode

LOOKED_AT = 2048  # pictures

Probe = Callable[[Callable[[Pictures], Tensor]], Mapping[str, float]]


def collapse(features: Tensor) -> dict[str, float]:
    """How much of the space is in use; features [n, d] of distinct pictures.

    ``feature_sd``: mean over dimensions of the standard deviation of unit features, times
    sqrt(d); 0 when all coincide, 1 when they spread evenly. ``effective_rank``: exp of the entropy
    of the normalised singular values of the centred unit features (Roy & Vetterli 2007), from 1
    to d.
    """
    unit = nn.functional.normalize(features.double())
    centred = unit - unit.mean(dim=0)
    spread = float(centred.std(dim=0).mean() * features.shape[1] ** 0.5)
    values = torch.linalg.svdvals(centred)
    shares = values / values.sum().clamp(min=1e-12)
    entropy = -(shares * shares.clamp(min=1e-12).log()).sum()
    return {"feature_sd": round(spread, 4), "effective_rank": round(float(entropy.exp()), 2)}


class Monitor:
    """Collapse and retrieval of a backbone on a fixed sample of the training pictures.

    ``retrieval``: share of pictures whose augmented view is nearer to the picture's own features
    than to those of any other in the sample.
    """

    def __init__(self, pictures: Pictures, size: int, seed: int, probe: Probe | None = None):
        """``probe`` adds figures of its own; it is handed a function that encodes pictures."""
        rng = np.random.default_rng([seed, 1 << 20])
        rows = np.sort(rng.permutation(len(pictures))[:LOOKED_AT])
        self.images = pictures(rows)
        generator = torch.Generator().manual_seed(seed)
        augment = SimCLR(size, scale=FIFTH)
        self.views = torch.cat([augment(part, generator) for part in self.images.split(PASS)])
        self.probe = probe

    def __call__(self, task: Any) -> dict[str, float]:
        """The figures of a task's backbone as it is."""
        backbone = task.backbone
        device = backbone.mean.device
        features = self._features(backbone, self.images, device)
        views = self._features(backbone, self.views, device)
        found = (nn.functional.normalize(views) @ nn.functional.normalize(features).T).argmax(1)
        retrieval = (found == torch.arange(len(found))).float().mean()
        figures = {**collapse(features), "retrieval": round(float(retrieval), 4)}
        if self.probe is not None:
            figures.update(self.probe(lambda pictures: encode(backbone, pictures, device)))
        return figures

    @staticmethod
    def _features(backbone: Any, images: Tensor, device: Any) -> Tensor:
        parts = []
        for part in images.to(device).split(PASS):
            ready = part if part.is_floating_point() else at_size(part, backbone.size)
            parts.append(backbone(ready).float().cpu())
        return torch.cat(parts)
