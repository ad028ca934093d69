"""MMA with k-means: the smallest margins over several views, so many from each of 20 clusters.

Song, Berthelot, Rostamizadeh: Combining MixMatch and Active Learning for Better Accuracy with Fewer
Labels (2019), ``diff2.aug-kmeanprop-embd`` in the authors' code. The doubt is that of
:mod:`usl.active.strategies.mma`. k-means of the rows that may be asked for makes 20 clusters, and
each gives its most doubtful rows, in proportion to its size. The authors' code finds the clusters
by mini-batches; here all rows count in every step.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query, Views
from usl.active.shared.doubt import between, two_likeliest
from usl.active.shared.mean_view import mean_view
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.core.words import counted
from usl.numeric.arrays import Float32, Rows
from usl.numeric.kmeans import kmeans
from usl.numeric.table import as_table

NAME = "MMA + k-means"
NEEDS_MODEL = True
TASK = "mixmatch"
DRAWN = "k-means starts from random rows"
ITERATIONS = 100


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
    views: Views,
    looks: Annotated[int, Positive] = 2,
    clusters: Annotated[int, Positive] = 20,
) -> Query:
    """Ask for the quota of each cluster; over all of them the smallest p1 - p2 comes first.

    Parameters
    ----------
    looks : as of ``mma``.
    clusters : of the candidates (authors: 20); never more than there are.
    """
    first, second, margin = two_likeliest(mean_view(views, looks, candidates, progress))
    rng = np.random.default_rng(seed)
    points = as_table(features).take(candidates)
    count = min(clusters, len(candidates))
    found = kmeans(points, count, rng=rng, iterations=ITERATIONS, progress=progress)
    own = found.clusters.astype(np.int64)
    sizes = np.bincount(own)
    shares = quotas(sizes, budget, rng)
    order = np.argsort(margin, kind="stable")
    parts = [order[own[order] == one][:share] for one, share in enumerate(shares.tolist())]
    taken = np.concatenate(parts)
    taken = taken[np.argsort(margin[taken], kind="stable")]
    reasons = tuple(
        f"{pair}, of {counted(size, 'image')} that are alike"
        for pair, size in zip(
            between(first[taken], second[taken]), sizes[own[taken]].tolist(), strict=True
        )
    )
    parameters = {"looks": looks, "clusters": clusters}
    return Query(candidates[taken], reasons, {"margin": margin[taken]}, parameters)


def quotas(sizes: Rows, budget: int, rng: np.random.Generator) -> Rows:
    """How many each cluster gives, int64 [clusters], of sum ``budget``, none above its size.

    In proportion, rounded; what is missing comes from clusters drawn at random, what is too much
    is taken from the largest quota.
    """
    shares: Rows = np.rint(budget * (sizes / sizes.sum())).astype(np.int64)
    while shares.sum() < budget:
        shares[rng.choice(np.flatnonzero(sizes > shares))] += 1
    while shares.sum() > budget:
        shares[shares.argmax()] -= 1
    return shares
