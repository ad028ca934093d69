"""The group term of CLD: k-means inside a batch, and the loss of finding the other view's cluster.

Source: X. Wang, Z. Liu, S. X. Yu, "Unsupervised feature learning by cross-level instance-group
discrimination", CVPR 2021; the loss as in the paper of this project, Eq. 70, halved.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from usl.core.errors import UsageError
from usl.learning.precision import full_precision


@full_precision
def group_loss(
    first: Tensor, second: Tensor, clusters: int, iterations: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Cross-level discrimination, the second term of Eq. 70 as a mean over images and views.

        L = 1/2 [ CE(g1 C2^T / T_G, l2) + CE(g2 C1^T / T_G, l1) ]

    with g the unit rows of a view, and C, l its centroids and labels from :func:`kmeans`. A cluster
    without members is no choice. Gradients reach a view through its rows and its centroids.

    Parameters
    ----------
    first, second : group projections of the two views, float [n, d].
    clusters, iterations : of k-means.
    temperature : T_G.

    Returns
    -------
    loss : scalar of the dtype of the projections (half precision: float32).
    accuracy : share of the rows nearest to the cluster of the other view, without gradient.

    Raises
    ------
    UsageError
        more clusters than rows.
    """
    one, other = functional.normalize(first, dim=1), functional.normalize(second, dim=1)
    losses, hits = [], []
    for rows, seen in ((one, other), (other, one)):
        labels, centroids, counts = kmeans(seen, clusters, iterations)
        logits = (rows @ centroids.T / temperature).masked_fill(counts == 0, -torch.inf)
        losses.append(functional.cross_entropy(logits, labels))
        hits.append((logits.detach().argmax(1) == labels).float().mean())
    return torch.stack(losses).mean(), torch.stack(hits).mean()


@full_precision
def kmeans(rows: Tensor, clusters: int, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
    """k-means of unit rows, begun with the first rows. Deterministic.

    Centroids are means, not scaled back to unit length. A cluster that has lost all members waits
    where it was, and its row of ``centroids`` is 0.

    Parameters
    ----------
    rows : float [n, d], unit length.
    clusters : K, at most n.
    iterations : of assignment and update, at least 1.

    Returns
    -------
    labels : int64 [n], nearest centroid in the last iteration.
    centroids : float [K, d], means of the rows with each label; gradients flow to the rows.
    counts : members, float [K].
    """
    if clusters > len(rows):
        raise UsageError(
            f"clusters: {clusters} given for a batch of {len(rows)} images. Use fewer clusters, "
            "well below the batch, or a larger batch."
        )
    numbers = torch.arange(clusters, device=rows.device)[:, None]
    points = rows.detach()
    centres = points[:clusters]
    for _ in range(iterations):
        # |x - c|^2 = |x|^2 - 2 (x . c - |c|^2 / 2); |x|^2 is the same for every centroid.
        labels = (points @ centres.T - centres.square().sum(1) / 2).argmax(1)
        members = (labels == numbers).to(rows.dtype)
        counts = members.sum(1)
        share = members / counts.clamp(min=1)[:, None]
        centres = torch.where(counts[:, None] > 0, share @ points, centres)
    return labels, share @ rows, counts
