"""REVIVAL, our interpretation: FixMatch on virtual labels, which a graph of features hands on.

Guo, Shi, Kang, Kuang, Tang, Jiang, Sun, Wu, Zhuang: Semi-Supervised Active Learning for
Semi-Supervised Models: Exploit Adversarial Examples with Graph-based Virtual Labels (ICCV 2021).
No code was released. What is taken from the paper: labels are handed on along a graph of features,
and the semi-supervised model learns from these virtual labels. Ours: the graph is that of a batch,
its edges are those of CoMatch's memory of similarities, and what the model says of a picture by
itself counts beside what its neighbours say. The strategy of the same name then asks near the
boundaries of classes, by adversarial perturbations.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional

from usl.core.parameters import Between, Positive
from usl.learning.augment import ViewPair
from usl.learning.loop import Views
from usl.learning.precision import full_precision
from usl.training.networks.fixmatch import RECIPES as FIXMATCH
from usl.training.networks.fixmatch import Consistency, pseudo_label_loss
from usl.training.shared.student import labeled_loss

RECIPES = {name: FIXMATCH[name] for name in ("cpu", "cifar")}


class Revival(Consistency):
    """A student whose pseudo-labels are handed on along the graph of a batch's features.

    Parameters
    ----------
    tau : confidence from which a virtual label counts.
    spread : alpha, how much of a virtual label comes from neighbours, 0 (FixMatch) to 1.
    temperature : of the graph's edges, exp(cosine / temperature).
    views : the weak and the strong one, as in fixmatch.
    lam : lambda_u, weight of the unlabelled loss.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    ema : momentum of the moving average that is kept.
    ema_warmup : the average follows faster in the beginning, as in fixmatch.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        views: ViewPair = "fixmatch",
        tau: float = 0.95,
        spread: Annotated[float, Between(0, 1, below=True)] = 0.5,
        temperature: Annotated[float, Positive] = 0.1,
        seed: int = 0,
        lam: float = 1.0,
        flip: bool = True,
        ema: float = 0.999,
        ema_warmup: bool = True,
    ) -> None:
        shared: dict[str, Any] = {"seed": seed, "ema": ema, "ema_warmup": ema_warmup}
        super().__init__(backbone, n_classes, views=views, lam=lam, flip=flip, **shared)
        self.n_classes, self.tau = n_classes, tau
        self.spread, self.temperature = spread, temperature

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x + lambda_u L_u, the latter of the virtual labels."""
        parts = [views["labeled"], views["weak"], views["strong"]]
        lengths = [len(part) for part in parts]
        features = self.classifier.backbone(torch.cat(parts))
        logits, weak, strong = self.classifier.classify(features).split(lengths)
        known = functional.one_hot(views["classes"], self.n_classes).to(weak.dtype)
        virtual = virtual_labels(
            features[: -lengths[2]].detach(),
            torch.cat([known, weak.detach().softmax(1)]),
            self.spread,
            self.temperature,
        )[lengths[0] :]
        confidence, hard = virtual.max(1)
        sure = (confidence >= self.tau).to(strong.dtype)
        supervised = labeled_loss(logits, views["classes"], views["weights"])
        unsupervised = pseudo_label_loss(strong, hard, sure)
        return supervised + self.lam * unsupervised, {
            "labeled_loss": supervised.detach(),
            "unlabeled_loss": unsupervised.detach(),
            "above_tau": sure.mean(),
        }


build = Revival


@full_precision
def virtual_labels(features: Tensor, told: Tensor, spread: float, temperature: float) -> Tensor:
    """(1 - alpha) (I - alpha S)^-1 Y, rows scaled to sum 1: labels handed on along a graph.

    S = D^-1/2 W D^-1/2 with W = exp(cosine / temperature) and a diagonal of 0 (Zhou et al. 2004,
    "Learning with local and global consistency").

    Parameters
    ----------
    features : of m pictures, [m, d]; told : what is known of each by itself, Y, [m, C].
    spread : alpha.
    """
    unit = functional.normalize(features, dim=1)
    edges = ((unit @ unit.T - 1) / temperature).exp()  # of a constant factor nothing depends
    edges = edges - edges.diag().diag()
    reach = edges.sum(1).clamp_min(1e-12).rsqrt()
    graph = reach[:, None] * edges * reach
    every = torch.eye(len(features), dtype=features.dtype, device=features.device)
    handed = torch.linalg.solve(every - spread * graph, (1 - spread) * told)
    return handed / handed.sum(1, keepdim=True)
