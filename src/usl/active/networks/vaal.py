"""VAAL: an autoencoder hides which pictures are labelled; those that it cannot hide are asked for.

Sinha, Ebrahimi, Darrell: Variational Adversarial Active Learning (ICCV 2019). Beside the task's
network, and apart from it, a variational autoencoder of pictures and a discriminator of its codes
are trained against each other (:mod:`usl.active.shared.adversary`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.func import functional_call

from usl.active.shared.adversary import (
    Discriminator,
    evidence_loss,
    hiding_loss,
    start_as_published,
    telling_loss,
)
from usl.active.shared.picture_autoencoder import SIDE, PictureAutoencoder
from usl.active.shared.task_recipes import CPU, PUBLISHED, with_others
from usl.core.parameters import NotNegative, Positive
from usl.learning.augment import Plain, view_of
from usl.learning.loop import Views
from usl.learning.optim import Optimizer
from usl.learning.seeded import seeded
from usl.training.networks.supervised import Supervised
from usl.training.shared.student import labeled_loss

FIGURE, REASON = "unlike_labeled", "unlike what is labelled"
EVERY = 2  # steps of the autoencoder for one of the discriminator
ADAM = Optimizer("adam", lr=5e-4, weight_decay=0.0, schedule="constant")  # the paper's, of all
RECIPES = {
    "cpu": with_others(replace(CPU, optimizer=ADAM, parameters={"width": 16})),
    # The authors' code: batches of 128 for 100 epochs of all 50,000 images. Their network is a
    # VGG-16; ours is the one that the other methods of the tables have.
    "cifar": with_others(replace(PUBLISHED, optimizer=ADAM, steps=100 * 50_000 // 128)),
}


class Adversarial(Supervised):
    """The classifier, an autoencoder that hides what is labelled, and a discriminator that tells.

    Two steps of the autoencoder go with one of the discriminator, as in the authors' code; both see
    the codes as they are at the beginning of a step. There every step of the classifier has two of
    the autoencoder, here one: they share nothing. That all pictures shall pass for labelled is the
    paper's Eq. 2; in the latest code unlabelled ones shall pass for unlabelled, as Eq. 3 has it.

    Parameters
    ----------
    latent : width of the codes.
    width : channels of the autoencoder's first layer, doubled by each of four (authors: 128).
    beta : weight of the codes' divergence.
    lam : weight of hiding.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        seed: int = 0,
        latent: Annotated[int, Positive] = 32,
        width: Annotated[int, Positive] = 128,
        beta: Annotated[float, NotNegative] = 1.0,
        lam: Annotated[float, NotNegative] = 1.0,
        flip: bool = True,
    ) -> None:
        super().__init__(backbone, n_classes, flip=flip, seed=seed, ema=0.0)
        with seeded(seed):
            self.autoencoder = PictureAutoencoder(latent, width)
            self.discriminator = Discriminator(latent)
            start_as_published(self.discriminator)
        self.latent, self.beta, self.lam, self.plain = latent, beta, lam, Plain(SIDE)

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`Supervised`, and the pictures of both kinds as they are.

        ``plain`` and ``plain_unlabeled``, [b, c, 32, 32], with ``noise`` [b, latent] for the codes
        of either.
        """
        views = super().views(batch, generator)
        for name, images in (("", "images"), ("_unlabeled", "unlabeled")):
            views[f"plain{name}"] = view_of(batch, images, self.plain, generator)
            views[f"noise{name}"] = torch.randn(
                len(batch[images]), self.latent, generator=generator, device=generator.device
            )
        return views

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x + L_VAE + lambda L_adv; every second step, of the discriminator alone, + L_D."""
        logits = self.classifier(views["labeled"])
        loss = labeled_loss(logits, views["classes"], views["weights"])
        seen, codes = [], []
        for name in ("", "_unlabeled"):
            evidence, code = self.encoded(views[f"plain{name}"], views[f"noise{name}"])
            seen.append(evidence)
            codes.append(code)
        fixed = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        hidden = hiding_loss(
            *(functional_call(self.discriminator, fixed, (code,)).float() for code in codes)
        )
        total = loss + seen[0] + seen[1] + self.lam * hidden
        told = telling_loss(*(self.discriminator(code.detach()).float() for code in codes))
        if int(self.steps) % EVERY == 0:
            total = total + told
        return total, {
            "labeled_loss": loss.detach(),
            "autoencoder_loss": (seen[0] + seen[1]).detach(),
            "hiding_loss": hidden.detach(),
            "telling_loss": told.detach(),
        }

    def encoded(self, plain: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the autoencoder on pictures, and their codes [b, latent]."""
        pictures = self.autoencoder.scaled(plain)
        made, mean, log_variance = self.autoencoder(pictures, noise)
        evidence = evidence_loss(
            pictures, made.float(), mean.float(), log_variance.float(), self.beta
        )
        return evidence, mean

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def wanted(self, images: Tensor) -> Tensor:
        """1 - D(mu) of pictures, how surely they are unlike the labelled ones, [b]."""
        code, _ = self.autoencoder.code(self.autoencoder.scaled(images))
        return torch.sigmoid(-self.discriminator(code).float())


build = Adversarial
