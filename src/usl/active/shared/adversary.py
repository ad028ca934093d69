"""The losses and networks of VAAL: an autoencoder whose code hides which rows are labelled.

Sinha, Ebrahimi, Darrell: Variational Adversarial Active Learning (ICCV 2019). The losses take the
outputs of any variational autoencoder; the networks here are for rows of features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT = 32  # width of the code
HIDDEN = 256  # of the layers around it; ours: the authors' autoencoder is one of pictures
JUDGE = 512  # of the discriminator's two layers


class RowAutoencoder(nn.Module):  # type: ignore[misc]
    """A variational autoencoder of rows of features, with one hidden layer on either side.

    The authors' has batch normalisation; this has none, so that what is said of a row depends on
    that row alone.
    """

    def __init__(self, width: int, latent: int = LATENT, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def code(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the code of rows [b, width], [b, latent] both."""
        seen = self.encoder(rows)
        return self.mean(seen), self.log_variance(seen)

    def forward(self, rows: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The rows made of a drawn code, and the code's mean and logarithm of the variance.

        ``noise`` : standard normal, [b, latent].
        """
        mean, log_variance = self.code(rows)
        return self.decoder(mean + noise * (0.5 * log_variance).exp()), mean, log_variance


class Discriminator(nn.Module):  # type: ignore[misc]
    """Whether a code is that of a labelled row: its logit, [b]."""

    def __init__(self, latent: int = LATENT, hidden: int = JUDGE) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, code: Tensor) -> Tensor:
        """Of codes [b, latent]."""
        return self.layers(code).squeeze(1)


def start_as_published(module: nn.Module) -> None:
    """Weights of linear layers as He et al. (2015) draw them, biases of 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)


def evidence_loss(
    rows: Tensor, made: Tensor, mean: Tensor, log_variance: Tensor, beta: float = 1.0
) -> Tensor:
    """Minus the bound of Eq. 1, - E log p(x | z) + beta KL(q(z | x) || N(0, 1)); mean over rows.

    p is a normal density of variance 1. The authors' code divides the squared error by the number
    of rows and values, but not the divergence, which then decides alone; here, as in the paper,
    both are sums over a row's values.

    Parameters
    ----------
    rows, made : the rows and what was made of their codes, [b, ...].
    mean, log_variance : of the codes, [b, latent].
    """
    squared = (rows - made).square().flatten(1).sum(dim=1)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
    return 0.5 * (squared + beta * divergence).mean()


def hiding_loss(labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """What the autoencoder is punished by, Eq. 2: all rows shall pass for labelled.

    Parameters
    ----------
    labeled, unlabeled : logits of the discriminator, [b] and [u].
    """
    return _named(labeled, 1) + _named(unlabeled, 1)


def telling_loss(labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """What the discriminator is punished by, Eq. 3; parameters as of :func:`hiding_loss`."""
    return _named(labeled, 1) + _named(unlabeled, 0)


def _named(logits: Tensor, name: int) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(name)))
