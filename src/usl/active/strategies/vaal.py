"""VAAL: the rows that a discriminator takes for unlabelled the most surely.

Sinha, Ebrahimi, Darrell: Variational Adversarial Active Learning (ICCV 2019). A variational
autoencoder learns all rows, and to make the codes of unlabelled ones look labelled; a discriminator
learns to tell them apart nevertheless (:mod:`usl.active.shared.adversary`). What it still tells is
unlike everything that has a label. Classes do not count.

Here the autoencoder is one of features, with one hidden layer on either side; the authors' is
convolutional, of pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.first_batch import first_batch
from usl.active.shared.row_training import Drawn, looked_at, reported, torch_alone
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32, Rows
from usl.numeric.table import Table, as_table

if TYPE_CHECKING:
    from usl.active.shared.adversary import Discriminator, RowAutoencoder

NAME = "VAAL"
DRAWN = "draws batches, codes and the first weights"
LR, VAE_STEPS = 5e-4, 2  # the authors' code: of Adam, and of the autoencoder to each of the other


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64] | None,
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    steps: Annotated[int, Positive] = 1000,
) -> Query:
    """Ask for the rows of the smallest D(mu), of equal ones the lower row first.

    While nothing is labelled the batch is random, as the paper's first one. The figure ``labeled``
    is D of the mean of a row's code, the discriminator's probability that the row is labelled.

    Parameters
    ----------
    steps : of the discriminator; the autoencoder takes two to each (authors: 39,062).
    """
    if not len(labeled):
        return first_batch(candidates, budget, seed)
    from scipy.special import expit

    table = as_table(features)
    length = float(np.sqrt(table.shape[1]))  # a value of size 1, as p(x | z) has a variance of 1
    with torch_alone("vaal", seed):
        vae, judge, _ = trained(table, labeled, length, steps=steps, seed=seed, progress=progress)
        told = looked_at(table, candidates, lambda points: judge(vae.code(points)[0]), length)
    taken = np.argsort(told, kind="stable")[:budget]
    return Query(
        candidates[taken],
        ("unlike everything that is labelled",) * budget,
        {"labeled": expit(told[taken])},
        {"steps": steps},
    )


def trained(
    table: Table, labeled: Rows, length: float, *, steps: int, seed: int, progress: Progress
) -> tuple[RowAutoencoder, Discriminator, list[tuple[float, float, float]]]:
    """Autoencoder and discriminator, and in every step the bound, what hides and what tells.

    Parameters
    ----------
    labeled : int64 [L], rows with a label; length : what rows are scaled to.
    """
    import torch

    from usl.active.shared import adversary
    from usl.active.shared.adversary import Discriminator, RowAutoencoder

    rng = np.random.default_rng(seed)
    unlabeled = np.setdiff1d(np.arange(len(table)), labeled)
    known, others = (Drawn(table, rows, rng, length) for rows in (labeled, unlabeled))
    vae, judge = RowAutoencoder(table.shape[1]), Discriminator()
    for module in (vae, judge):
        adversary.start_as_published(module)
    optimizers = [torch.optim.Adam(module.parameters(), lr=LR) for module in (vae, judge)]

    losses = []
    for _ in reported(steps, "autoencoder", progress):
        # 1. The autoencoder learns all rows, and to pass them for labelled.
        judge.requires_grad_(False)
        for _ in range(VAE_STEPS):
            points = torch.cat([known.draw()[0], others.draw()[0]])
            made, mean, log_variance = vae(points, torch.randn(len(points), vae.latent))
            bound = 2 * adversary.evidence_loss(points, made, mean, log_variance)  # one of each
            hidden = adversary.hiding_loss(*judge(mean).chunk(2))
            optimizers[0].zero_grad()
            (bound + hidden).backward()
            optimizers[0].step()
        # 2. The discriminator learns to tell them apart by their codes.
        judge.requires_grad_(True)
        with torch.no_grad():
            codes = vae.code(points)[0]
        told = adversary.telling_loss(*judge(codes).chunk(2))
        optimizers[1].zero_grad()
        told.backward()
        optimizers[1].step()
        losses.append((bound.item(), hidden.item(), told.item()))
    return vae, judge, losses
