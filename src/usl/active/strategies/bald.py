"""BALD: the rows whose class would tell the most about a model of which parts are missing.

Houlsby, Huszar, Ghahramani, Lengyel: Bayesian Active Learning for Classification and Preference
Learning (2011), with dropout in place of the posterior (Gal, Islam, Ghahramani: Deep Bayesian
Active Learning with Image Data, ICML 2017). The figure is the mutual information of a row's class
and of what drops out, H(mean p) - mean H(p): large where every pass is sure, of different classes.

The head is a logistic regression on the labels, as in ``dropquery``.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
from usl.active.shared.dropped import Said, through_dropout
from usl.active.shared.head import logistic_head
from usl.core.parameters import AtLeast, Between
from usl.core.progress import Progress
from usl.numeric.arrays import Float32
from usl.numeric.table import as_table

NAME = "BALD"
NEEDS_MODEL = True
DRAWN = "draws the features that drop out"


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
    passes: Annotated[int, AtLeast(2)] = 20,
    dropout: Annotated[float, Between(0, 1, above=True, below=True)] = 0.75,
) -> Query:
    """Ask for the rows of the largest mutual information, of equal ones the lower row first.

    The figure ``information`` is in nats. The numbers of passes and of features that drop out are
    those of Gupte et al. (TMLR 2024) for such heads.

    Parameters
    ----------
    passes : predictions with dropout.
    dropout : probability that a feature drops out in a pass.
    """
    from scipy.special import entr

    table = as_table(features)
    head, numbers = logistic_head(table, labeled, classes, "bald")

    def figures(points: Float32, said: Said) -> tuple[NDArray[Any], ...]:
        mean = np.zeros((len(points), len(numbers)))
        entropy = np.zeros(len(points))
        for _ in range(passes):
            p = said(points)
            mean += p / passes
            entropy += entr(p).sum(axis=1) / passes
        likely, second, _ = two_likeliest(mean)
        return entr(mean).sum(axis=1) - entropy, numbers[likely], numbers[second]

    told, likely, second = through_dropout(table, candidates, head, seed, dropout, figures)
    taken = np.argsort(-told, kind="stable")[:budget]
    return Query(
        candidates[taken],
        between(likely[taken], second[taken]),
        {"information": told[taken]},
        {"passes": passes, "dropout": dropout},
    )
