"""The losses of CoMatch, as functions of tensors.

Source: J. Li, C. Xiong, S. Hoi, "CoMatch: semi-supervised learning with contrastive graph
regularization", ICCV 2021, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usl.learning.precision import full_precision
from usl.learning.ranks import gather, rank


@full_precision
def aligned(probabilities: Tensor, mean: Tensor) -> Tensor:
    """p_c / mean_c, scaled to sum to 1: predictions as if every class were as frequent.

    Parameters
    ----------
    probabilities : [b, C]; mean : [C], of recent predictions.
    """
    # A class that nobody predicts any more has p = mean = 0; it stays at 0.
    ratio = probabilities / mean.clamp(min=1e-6)
    return ratio / ratio.sum(1, keepdim=True)


@full_precision
def smoothed(
    probabilities: Tensor,
    embeddings: Tensor,
    memory_embeddings: Tensor,
    memory_probabilities: Tensor,
    alpha: float,
    temperature: float,
) -> Tensor:
    """Predictions moved towards those of similar images in the memory.

        alpha p_i + (1 - alpha) sum over k of a_ik q_k,  a_i = softmax over k of z_i . z_k / T

    Parameters
    ----------
    probabilities : p [b, C]; embeddings : z [b, d], unit rows, of the same images.
    memory_probabilities : q [K, C]; memory_embeddings : unit rows [K, d], of the same images.

    Returns
    -------
    Rows that sum to 1, [b, C].
    """
    attention = (embeddings @ memory_embeddings.T / temperature).softmax(1)
    return alpha * probabilities + (1 - alpha) * attention @ memory_probabilities


@full_precision
def pseudo_label_graph(probabilities: Tensor, past: Tensor, edge: float) -> Tensor:
    """How much each image's label is that of others, rows scaled to sum to 1.

        W_ij = 1 if j is i, else p_i . p_j where that is at least ``edge``, else 0

    Parameters
    ----------
    probabilities : p [b, C] of the own images; j runs over those of all processes, and then over
    past : of earlier images [m, C]; m may be 0.
    edge : at most 1.

    Returns
    -------
    [b, b * processes + m]
    """
    everyone = torch.cat([gather(probabilities), past])
    weights = probabilities @ everyone.T
    each = torch.arange(len(probabilities), device=weights.device)
    weights[each, each + len(probabilities) * rank()] = 1
    weights = weights * (weights >= edge)
    return weights / weights.sum(1, keepdim=True)


@full_precision
def graph_loss(
    first: Tensor, second: Tensor, past: Tensor, graph: Tensor, temperature: float
) -> Tensor:
    """Mean over i of -sum over j of W_ij log softmax over j of (f_i . s_j / T).

    Parameters
    ----------
    first : f, unit rows [b, d], embeddings of the first strong views.
    second : s, unit rows [b, d], of the second; j runs over those of all processes, and then over
    past : of earlier images [m, d].
    graph : W [b, b * processes + m], rows sum to 1.
    """
    keys = torch.cat([gather(second), past])
    return -(graph * (first @ keys.T / temperature).log_softmax(1)).sum(1).mean()


@full_precision
def soft_label_loss(strong: Tensor, probabilities: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Mean of 1(max p >= tau) H(p, softmax(strong)), p soft.

    Parameters
    ----------
    strong : logits [b, C]; probabilities : p [b, C], without gradient.

    Returns
    -------
    loss : scalar.
    counted : share of the images that are sure enough.
    """
    sure = (probabilities.max(1).values >= tau).to(strong.dtype)
    each = -(probabilities * strong.log_softmax(1)).sum(1)
    return (each * sure).mean(), sure.mean()
