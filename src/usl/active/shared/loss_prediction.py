"""The loss prediction module of LLAL and its loss, on the stages of any network.

Yoo, Kweon: Learning Loss for Active Learning (CVPR 2019), sections 3.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = 128  # the paper's width of every stage's layer
MARGIN = 1.0  # xi of Eq. 2


class LossPrediction(nn.Module):  # type: ignore[misc]
    """What a network's loss on a row will be, from what its stages say of the row.

    Each stage passes a layer of its own and a ReLU; one more layer reads them all side by side.

    Parameters
    ----------
    widths : of the stages; those of a convolutional network are averaged over their places before.
    """

    def __init__(self, widths: Sequence[int], hidden: int = HIDDEN) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.last = nn.Linear(len(widths) * hidden, 1)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """The predicted loss [b] of rows whose stages are ``stages``, [b, width] each."""
        seen = [
            functional.relu(layer(stage)) for layer, stage in zip(self.layers, stages, strict=True)
        ]
        return self.last(torch.cat(seen, dim=1)).squeeze(1)


def pair_loss(predicted: Tensor, losses: Tensor, margin: float = MARGIN) -> Tensor:
    """Whether of two rows the one of the larger loss is predicted the larger one, Eq. 2.

        mean over i < B of max(0, - sign (p_i - p_j) + margin),  j = 2B - 1 - i

    with sign 1 where l_i > l_j, and -1 otherwise. The losses are targets: no gradient reaches them.

    Parameters
    ----------
    predicted, losses : p and l of 2B rows, [2B].
    """
    half = len(predicted) // 2
    apart = (predicted - predicted.flip(0))[:half]
    larger = (losses > losses.flip(0))[:half]
    return functional.relu(margin - torch.where(larger, apart, -apart)).mean()
