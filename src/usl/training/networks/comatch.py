"""CoMatch: images whose pseudo-labels agree are to have embeddings that agree, and vice versa.

Source: J. Li, C. Xiong, S. Hoi, "CoMatch: semi-supervised learning with contrastive graph
regularization", ICCV 2021; the equations are in :mod:`usl.training.shared.comatch_losses`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from usl.core.parameters import AtLeast, Between, NotNegative, Positive
from usl.learning.augment import (
    FIFTH,
    ResizedCropFlip,
    SimCLR,
    Weak,
    comatch_views,
    view_of,
)
from usl.learning.ema import teacher_of
from usl.learning.loop import Views
from usl.learning.optim import Optimizer
from usl.learning.ranks import gather
from usl.learning.recipe import Recipe
from usl.learning.ring import Ring
from usl.pretraining.heads import projection_head
from usl.training.shared.comatch_losses import graph_loss, pseudo_label_graph, soft_label_loss
from usl.training.shared.comatch_memory import PseudoLabels
from usl.training.shared.comatch_networks import Seen, both, taught
from usl.training.shared.student import Classifier, Student, labeled_loss

EPOCH = -(-(1_281_167 - 12_820) // 640)  # steps of the ImageNet run until all images are seen

RECIPES = {
    # 208 views a step; five batches in the memory.
    "cpu": Recipe(
        Optimizer("sgd", lr=0.03, weight_decay=5e-4, nesterov=True, schedule="fixmatch"),
        batch_size=16,
        ratio=4,
        labeled_in_unlabeled=False,
        steps=900,
        parameters={"queue": 400},
    ),
    # The authors' settings, which the paper of this project uses too (6.12): 512 times 1024 steps.
    "cifar": Recipe(
        Optimizer("sgd", lr=0.03, weight_decay=5e-4, nesterov=True, schedule="fixmatch"),
        batch_size=64,
        ratio=7,
        labeled_in_unlabeled=False,
        steps=2**19,
        # Smoothing waits for the step after the five that fill the memory (it > queue_batch).
        parameters={"alignment": True, "slope": 0.1, "smooth_from": 6, "ema_warmup": False},
        network="wrn28_2",
    ),
    # The authors' settings for 1% labels: 400 epochs of 1,982 steps of 640 images. In the first the
    # momentum is lower, and nothing is smoothed; the graph's loss weighs 1, in the tenth 10.
    "imagenet": Recipe(
        Optimizer("sgd", lr=0.1, weight_decay=1e-4, decay_all=True, nesterov=True),
        batch_size=160,
        ratio=4,
        labeled_in_unlabeled=False,
        steps=400 * EPOCH,
        parameters={
            "alignment": True,
            "window": 128,
            "momentum_encoder": True,
            "ema": 0.996,
            "ema_first": 0.99,
            "ema_warmup": False,
            "uniform_head": True,
            "bn": "split",
            "keep": "network",
            "projection": 128,
            "temperature": 0.1,
            "queue": 30_000,
            "tau": 0.6,
            "edge": 0.3,
            "lam": 10.0,
            "lam_c": 10.0,
            "ramp": 10 * EPOCH,
            "stairs": 10,
            "smooth_from": EPOCH,
        },
        network="resnet50",
        whole=True,
    ),
}


class CoMatch(Student):
    """A student that is taught by its own predictions and by those of similar images.

    State beyond :class:`Student`: ``labels``, see :class:`PseudoLabels`; with a momentum encoder
    ``past``, its embeddings of second strong views and their images' pseudo-labels. The authors
    leave the labelled images out of the unlabelled stream (``labeled_in_unlabeled=False``).

    Parameters
    ----------
    seed : of the initial weights of the head and of the projection.
    tau : confidence from which a pseudo-label counts.
    lam : lambda_u, weight of the pseudo-labels' loss.
    lam_c : lambda_c, weight of the graph's loss.
    ramp : steps over which that weight rises; 0 for none.
    stairs : in so many equal stairs; 0 for a slope.
    temperature : T of the softmax over similarities.
    projection : width of the embeddings that are compared.
    edge : similarity from which two pseudo-labels are joined in the graph, at most 1.
    queue : images in the memory, and with a momentum encoder in the queue of strong views too;
        five batches, labelled and unlabelled, in the authors' CIFAR settings. Smoothing begins
        when the memory is full ...
    smooth_from : ... but not before so many steps.
    ema_first : momentum of the moving average in those steps; None for the same all along.
    slope : of the projection's activation below 0, a LeakyReLU; 0 for ReLU.
    alpha : share of the own prediction in a pseudo-label; the rest is the memory's.
    alignment : make pseudo-labels of all classes equally frequent. Only where they are; the
        presets cifar and imagenet do so, as the authors do.
    window : batches whose mean prediction the alignment goes by, 2 or more.
    momentum_encoder : the moving average gives pseudo-labels and second embeddings, and the graph
        reaches over a queue; weak views are random crops and flips, strong ones crops, flips and
        colours.
    bn : batch normalisation of the momentum encoder: ``eman`` by statistics that are averaged like
        its weights, ``split`` by those of an eighth of the batch, shuffled, as on eight devices.
    keep : what is kept in the end, the moving ``average`` or the ``network`` itself.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        seed: int = 0,
        tau: float = 0.95,
        lam: Annotated[float, NotNegative] = 1.0,
        lam_c: Annotated[float, NotNegative] = 1.0,
        ramp: Annotated[int, NotNegative] = 0,
        stairs: Annotated[int, NotNegative] = 0,
        temperature: Annotated[float, Positive] = 0.2,
        projection: Annotated[int, Positive] = 64,
        edge: Annotated[float, Between(0, 1)] = 0.8,
        queue: Annotated[int, Positive] = 2560,
        smooth_from: Annotated[int, NotNegative] = 0,
        ema_first: Annotated[float | None, Between(0, 1)] = None,
        slope: Annotated[float, NotNegative] = 0.0,
        alpha: Annotated[float, Between(0, 1)] = 0.9,
        alignment: bool = False,
        window: Annotated[int, AtLeast(2)] = 32,
        momentum_encoder: bool = False,
        bn: Literal["eman", "split"] = "eman",
        keep: Literal["average", "network"] = "average",
        flip: bool = True,
        **shared: Any,
    ) -> None:
        size = backbone.size
        weak = ResizedCropFlip(size, FIFTH, flip) if momentum_encoder else Weak(size, flip)
        self.keep, self.split = keep, momentum_encoder and bn == "split"
        eman = momentum_encoder and not self.split
        super().__init__(backbone, n_classes, weak, eman, seed=seed, **shared)
        generator = torch.Generator().manual_seed(seed)
        head = projection_head(backbone.dim, projection, generator=generator, slope=slope)
        # Inside the classifier, so that it moves the teacher's with the rest.
        self.classifier.projection, self.teacher.projection = head, teacher_of(head)
        self.labels = PseudoLabels(
            n_classes,
            projection,
            queue=queue,
            alpha=alpha,
            temperature=temperature,
            alignment=alignment,
            window=window,
        )
        strong = (SimCLR(size, scale=FIFTH),) * 2 if momentum_encoder else comatch_views(size)
        self.strong = [replace(view, flip=flip) for view in strong]
        self.widths = [projection, n_classes]
        self.tau, self.lam, self.lam_c, self.ramp, self.stairs = tau, lam, lam_c, ramp, stairs
        self.temperature, self.edge, self.momentum_encoder = temperature, edge, momentum_encoder
        self.smooth_from, self.ema_first = smooth_from, ema_first
        self.past = Ring(queue if momentum_encoder else 0, sum(self.widths))
        self._fresh: list[Tensor] = []

    @property
    def kept(self) -> Classifier:
        """The classifier that the training is for."""
        return self.classifier if self.keep == "network" else super().kept

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`Student`; ``weak``, ``first`` and ``second`` views of unlabelled images.

        With ``split`` also the ``order`` in which the momentum encoder sees them, int64 [b + 2 u].
        """
        first, second = self.strong
        views = {
            **super().views(batch, generator),
            "weak": view_of(batch, "unlabeled", self.weak, generator),
            "first": view_of(batch, "unlabeled", first, generator),
            "second": view_of(batch, "unlabeled", second, generator),
        }
        if self.split:
            count = len(views["labeled"]) + 2 * len(views["weak"])
            views["order"] = torch.randperm(count, generator=generator, device=generator.device)
        return views

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x + lambda_u L_u + lambda_c L_c."""
        seen = self.look(views)
        smooth = int(self.steps) >= self.smooth_from
        given = views["classes"], views["weights"]
        pseudo = self.labels(seen.steady, seen.embeddings, *given, smooth=smooth)
        self._fresh.append(torch.cat([seen.second.detach(), pseudo], 1))
        past, past_labels = self.past.written.split(self.widths, 1)
        graph = pseudo_label_graph(pseudo, past_labels, self.edge)
        supervised = labeled_loss(seen.labeled, views["classes"], views["weights"])
        unsupervised, counted = soft_label_loss(seen.strong, pseudo, self.tau)
        contrast = graph_loss(seen.first, seen.second, past, graph, self.temperature)
        return supervised + self.lam * unsupervised + self.lam_c * self.risen() * contrast, {
            "labeled_loss": supervised.detach(),
            "unlabeled_loss": unsupervised.detach(),
            "graph_loss": contrast.detach(),
            "above_tau": counted,
            "edges": (graph > 0).sum(1).float().mean(),
        }

    def risen(self) -> float:
        """The share of its weight that the graph's loss has in this step."""
        if not self.ramp:
            return 1.0
        done = min(self.ramp, int(self.steps) + 1)
        return (
            -(-done * self.stairs // self.ramp) / self.stairs if self.stairs else done / self.ramp
        )

    def momentum_of(self, step: int) -> float:
        """As in :class:`Student`, but for the first steps."""
        if self.ema_first is not None and step < self.smooth_from:
            return self.ema_first
        return super().momentum_of(step)

    def look(self, views: Views) -> Seen:
        """Pass the views through the networks; in one batch, so that they share statistics."""
        labeled, weak, first, second = (views[n] for n in ("labeled", "weak", "first", "second"))
        b, u = len(labeled), len(weak)
        if self.momentum_encoder:
            logits, rows = both(self.classifier, torch.cat([labeled, first]))
            with torch.no_grad():
                images = torch.cat([labeled, weak, second])
                steady, keys = taught(self.teacher, images, views.get("order"))
            return Seen(
                logits[:b], logits[b:], rows[b:], keys[b + u :], steady[: b + u], keys[: b + u]
            )
        logits, rows = both(self.classifier, torch.cat([labeled, weak, first, second]))
        _, strong, _ = logits[b:].split(u)
        _, first, second = rows[b:].split(u)
        steady, keys = logits[: b + u].detach(), rows[: b + u].detach()
        return Seen(logits[:b], strong, first, second, steady, keys)

    def train(self, mode: bool = True) -> CoMatch:
        """The momentum encoder normalises by its batches with ``split``, and only then."""
        super().train(mode)
        self.teacher.train(mode and self.split)
        return self

    def after_step(self) -> None:
        """Move the teacher, and fill the memories: backward needed them as the loss saw them."""
        super().after_step()
        self.labels.after_step()
        if self.momentum_encoder:
            self.past.push(gather(torch.cat(self._fresh)))
        self._fresh.clear()


build = CoMatch
