"""LLAL: the rows on which a module that learned a classifier's losses predicts the largest.

Yoo, Kweon: Learning Loss for Active Learning (CVPR 2019). The module is trained beside the
classifier to predict which of two rows has the larger loss
(:mod:`usl.active.shared.loss_prediction`); nobody needs to know the class of a row to ask it.

Here the classifier is linear, on the features as they are, which are therefore the one stage that
the module sees. In a network the module's loss also changes the stages, for 120 of 200 epochs;
features that are frozen are as after those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
from usl.active.shared.head import check_two_classes
from usl.active.shared.row_training import Drawn, looked_at, reported, torch_alone
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32, Rows
from usl.numeric.table import Table, as_table

if TYPE_CHECKING:
    from usl.active.shared.loss_prediction import LossPrediction

NAME = "LLAL"
NEEDS_MODEL = True
DRAWN = "draws batches and the first weights"
LR, MOMENTUM, DECAY, WEIGHT = 0.1, 0.9, 5e-4, 1.0  # the paper's; WEIGHT is that of the pair loss
FALL = 0.8  # of the steps, at which the rate falls to a tenth: epoch 160 of 200


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64],
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    steps: Annotated[int, Positive] = 1000,
) -> Query:
    """Ask for the rows of the largest predicted loss, of equal ones the lower row first.

    The figure ``predicted_loss`` orders rows; its size means nothing. Which two classes a row may
    be of is said by ``predictions``.

    Parameters
    ----------
    steps : of the training, 128 labelled rows each (authors: 200 epochs of a whole network).
    """
    table = as_table(features)
    check_two_classes(classes, "llal")
    own = np.unique(classes, return_inverse=True)[1]
    with torch_alone("llal", seed):
        module, _ = trained(table, labeled, own, steps=steps, seed=seed, progress=progress)
        found = looked_at(table, candidates, lambda points: module([points]))
    taken = np.argsort(-found, kind="stable")[:budget]
    first, second, _ = two_likeliest(predictions[candidates[taken]])
    return Query(
        candidates[taken],
        tuple(f"a large loss is predicted, {pair}" for pair in between(first, second)),
        {"predicted_loss": found[taken]},
        {"steps": steps},
    )


def trained(
    table: Table, labeled: Rows, classes: Rows, *, steps: int, seed: int, progress: Progress
) -> tuple[LossPrediction, list[float]]:
    """The module, trained beside a linear classifier, and its pair loss in every step.

    Parameters
    ----------
    labeled, classes : int64 [L], rows with a label, and their classes from 0, none without a row.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    from usl.active.shared.loss_prediction import LossPrediction, pair_loss

    known = Drawn(table, labeled, np.random.default_rng(seed))
    width = table.shape[1]
    classifier = nn.Linear(width, int(classes.max()) + 1)
    module = LossPrediction([width])
    both = nn.ModuleList([classifier, module])
    optimizer = torch.optim.SGD(both.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [int(FALL * steps)])
    targets, losses = torch.from_numpy(classes), []
    for _ in reported(steps, "loss prediction", progress):
        points, places = known.draw()
        own = functional.cross_entropy(classifier(points), targets[places], reduction="none")
        pairs = pair_loss(module([points]), own)
        optimizer.zero_grad()
        (own.mean() + WEIGHT * pairs).backward()
        optimizer.step()
        schedule.step()
        losses.append(pairs.item())
    return module, losses
