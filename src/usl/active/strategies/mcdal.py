"""MCDAL: the rows on which three classifiers of the same labels disagree the most.

Cho, Kim, Jung, Kweon: MCDAL: Maximum Classifier Discrepancy for Active Learning (2021). Beside the
classifier two more are trained on the labels. In every step they learn to agree with the labels,
and then to differ on unlabelled rows from each other and from the classifier as much as the labels
allow: what they still agree on is sure.

Here all three are linear, on the features as they are; in the paper the classifier's network is
trained with it, and the two others see its features without changing them.
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
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.table import Table, as_table

if TYPE_CHECKING:
    from torch import nn

NAME = "MCDAL"
NEEDS_MODEL = True
DRAWN = "draws batches and the classifiers' first weights"
LR, MOMENTUM, DECAY = 0.1, 0.9, 5e-4  # the authors' code
FALLS, FACTOR = (0.3, 0.6, 0.8), 0.2  # theirs: at epochs 30, 60 and 80 of 100


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
    """Ask for the rows of the largest disagreement, of equal ones the lower row first.

    The figure ``discrepancy`` is the sum of the three L1 distances of their probabilities, 0 to 6.
    Which two classes a row may be of is said by ``predictions``.

    Parameters
    ----------
    steps : of the training (authors: 38,610 of a whole network).
    """
    table = as_table(features)
    check_two_classes(classes, "mcdal")
    own = np.unique(classes, return_inverse=True)[1]
    with torch_alone("mcdal", seed):
        heads, _ = trained(table, labeled, own, steps=steps, seed=seed, progress=progress)
        found = discrepancies(table, candidates, heads)
    taken = np.argsort(-found, kind="stable")[:budget]
    first, second, _ = two_likeliest(predictions[candidates[taken]])
    return Query(
        candidates[taken],
        tuple(f"classifiers disagree, {pair}" for pair in between(first, second)),
        {"discrepancy": found[taken]},
        {"steps": steps},
    )


def trained(
    table: Table, labeled: Rows, classes: Rows, *, steps: int, seed: int, progress: Progress
) -> tuple[nn.ModuleList, list[float]]:
    """The classifier and the two others, and what their loss was in every step.

    Parameters
    ----------
    labeled, classes : int64 [L], rows with a label, and their classes from 0, none without a row.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    from usl.active.shared.discrepancy import agreed_loss, apart_loss

    # Rows keep their length of 1. At sqrt(d), which layers and rates are made for, the classifiers
    # soon are so sure of everything that where they differ says nothing about their errors.
    n, width, n_classes = len(table), table.shape[1], int(classes.max()) + 1
    rng = np.random.default_rng(seed)
    known = Drawn(table, labeled, rng)
    others = Drawn(table, np.setdiff1d(np.arange(n), labeled), rng)
    heads = nn.ModuleList(nn.Linear(width, n_classes) for _ in range(3))
    main, auxiliary = heads[0], heads[1:]
    how = {"lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY}
    optimizers = [torch.optim.SGD(main.parameters(), **how)]
    optimizers.append(torch.optim.SGD(auxiliary.parameters(), **how))
    falls = [int(share * steps) for share in FALLS]
    schedules = [torch.optim.lr_scheduler.MultiStepLR(one, falls, FACTOR) for one in optimizers]
    targets, losses = torch.from_numpy(classes), []
    for _ in reported(steps, "classifiers", progress):
        # 1. All three learn the labels.
        points, places = known.draw()
        given = targets[places]
        loss = functional.cross_entropy(main(points), given)
        loss = loss + agreed_loss([head(points) for head in auxiliary], given)
        heads.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        # 2. The two others differ where the labels leave them free; the classifier stays.
        free, _ = others.draw()
        seen = [head(free) for head in heads]
        loss = apart_loss(
            [head(points) for head in auxiliary], given, [seen[0].detach(), *seen[1:]]
        )
        heads.zero_grad()
        loss.backward()
        optimizers[1].step()
        for schedule in schedules:
            schedule.step()
        losses.append(loss.item())
    return heads, losses


def discrepancies(table: Table, rows: Rows, heads: nn.ModuleList) -> Values:
    """The sum of the pairwise L1 distances of what ``heads`` say of each of ``rows``, [r]."""
    from usl.active.shared.discrepancy import total_distance

    return looked_at(table, rows, lambda points: total_distance([head(points) for head in heads]))
