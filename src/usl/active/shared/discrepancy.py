"""How far several classifiers disagree, and the loss by which MCDAL drives two of them apart.

Cho, Kim, Jung, Kweon: MCDAL: Maximum Classifier Discrepancy for Active Learning (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional


def total_distance(logits: Sequence[Tensor]) -> Tensor:
    """The sum over all pairs of classifiers of the L1 distance of their probabilities, [b].

    Parameters
    ----------
    logits : of each classifier, [b, C].
    """
    probabilities = [one.softmax(dim=1) for one in logits]
    distances = [(a - b).abs().sum(dim=1) for a, b in combinations(probabilities, 2)]
    return torch.stack(distances).sum(dim=0)


def agreed_loss(auxiliary: Sequence[Tensor], classes: Tensor) -> Tensor:
    """The sum of the classifiers' cross-entropies on labelled rows.

    Parameters
    ----------
    auxiliary : logits of each, [b, C]; classes : int64 [b].
    """
    return torch.stack([functional.cross_entropy(one, classes) for one in auxiliary]).sum()


def apart_loss(auxiliary: Sequence[Tensor], classes: Tensor, unlabeled: Sequence[Tensor]) -> Tensor:
    """:func:`agreed_loss` less what the classifiers differ by on unlabelled rows.

    The difference is the mean over rows and classes of each pair's distance, as in the authors'
    code, so that it has one scale for any number of classes.

    Parameters
    ----------
    auxiliary : logits on labelled rows, [b, C] each; classes : int64 [b].
    unlabeled : logits of all classifiers, the main one among them, on unlabelled rows, [u, C] each.
    """
    n_classes = unlabeled[0].shape[1]
    return agreed_loss(auxiliary, classes) - total_distance(unlabeled).mean() / n_classes
