"""Cold PAWS: the medoids of a t-SNE map of the features (Mannix & Bondell, 2023).

1. t-SNE into two dimensions (Barnes-Hut, started from the principal components).
2. k-medoids there: the sum of distances to the nearest medoid is to be small. The start is drawn
   as in k-means++, greedily; then points go to their nearest medoid, and each medoid to the point
   of its cluster with the least sum of distances, until no medoid moves.

As in the released code: perplexity 40, 1,000 iterations, alternating k-medoids, which ends in a
local minimum. Features are compared by the distances of unit rows, which order pairs as the cosine
does. Labelled rows are medoids that stay; medoids are only ever candidates.

An approximation, above 10,000 rows only: t-SNE is slow, so a random sample of that many is mapped,
and the picks come out of it.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from usl.core.parameters import AtLeast, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.blocks import rows_per_block
from usl.numeric.distances import squared_distances
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import as_table
from usl.selection.contract import Picks
from usl.selection.shared.sample import draw_sample

DRAWN = "medoids start from random rows, and t-SNE enlarges differences of rounding"
Rows = NDArray[np.int64]
Points = NDArray[np.float64]
FEWEST = 5  # points that make a map


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: Rows,
    candidates: Rows,
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    perplexity: Annotated[float, Positive] = 40.0,
    sample: Annotated[int, Positive] = 10_000,
    steps: Annotated[int, AtLeast(250)] = 1000,
    iterations: Annotated[int, Positive] = 300,
) -> Picks:
    """Pick the medoids of a t-SNE map of at most ``sample`` rows.

    The parameters of the result say how many were mapped (``embedded``), 0 where all candidates in
    question had to be picked.

    Parameters
    ----------
    perplexity : how many neighbours a point has, softly, in t-SNE; at most a third of the others.
    sample : most rows mapped, drawn by the seed, and picks come from these alone; never below the
        budget. Labelled rows take at most half of it, candidates at least half of the rest.
    steps : iterations of t-SNE; the first 250, with exaggerated attraction, are the least it does.
    iterations : upper bound of the alternations of k-medoids.
    """
    own = {"perplexity": perplexity, "sample": sample, "steps": steps, "iterations": iterations}
    rng = np.random.default_rng(seed)
    rows = draw_sample(len(features), budget, labeled, candidates, sample, rng)
    allowed = np.isin(rows, candidates)
    if allowed.sum() == budget:
        return Picks(rows[allowed], parameters={**own, "embedded": 0})
    perplexity = min(perplexity, (len(rows) - 1) / 3)
    parts: dict[str, Any] = {"rows": rows, "perplexity": perplexity, "steps": steps}
    parts["seed"] = int(rng.integers(2**31))
    progress(0, 1, "embedding")
    points = keep.arrays(
        "embedding",
        parts,
        lambda: {"points": _embed(as_table(features).take(rows), perplexity, steps, parts["seed"])},
    )["points"]
    progress(1, 1, "embedding")
    fixed = np.flatnonzero(np.isin(rows, labeled))
    start = _spread(points, budget, fixed, allowed, rng)
    medoids = _alternate(points, start, fixed, allowed, iterations, progress)
    resolved = {**own, "perplexity": perplexity, "embedded": len(rows)}
    return Picks(rows[medoids], parameters=resolved)


def _embed(features: Float32, perplexity: float, steps: int, seed: int) -> Points:
    """t-SNE of the rows, float64 [r, 2]; the rows themselves where they make no map.

    They are rounded to half precision, which is finer than what counts as coincident elsewhere
    (:data:`usl.numeric.distances.COINCIDENT`): t-SNE enlarges any difference, and tables that
    differ by rounding alone shall have one map.
    """
    if len(features) < FEWEST or features.shape[1] < 2:
        return features.astype(np.float64)
    table = features.astype(np.float16).astype(np.float32)
    if squared_distances(table[:1], table).max() == 0:  # PCA, the start, would divide by it
        return np.zeros((len(table), 2))
    from sklearn.manifold import TSNE

    tsne = TSNE(
        2,
        perplexity=perplexity,
        max_iter=steps,
        init="pca",
        learning_rate="auto",
        random_state=seed,
    )
    with threadpool_limits(1):  # its threads may add up forces in another order
        return np.asarray(tsne.fit_transform(table), dtype=np.float64)


def _spread(
    points: Points, count: int, fixed: Rows, allowed: NDArray[np.bool_], rng: np.random.Generator
) -> Rows:
    """The medoids to start from, ``count`` of those ``allowed``, int64 [count].

    Several are drawn in proportion to the squared distance to the nearest medoid so far, and the
    one that leaves the least sum of squares is kept. Where all coincide with a medoid, or there is
    none yet, the draw is uniform.
    """
    trials = 2 + int(np.log(count))
    squared: Points = np.full(len(points), np.inf)
    if len(fixed):
        squared = _nearest(points, points[fixed])[1] ** 2
    free = allowed.copy()
    medoids: list[int] = []
    while len(medoids) < count:
        weights = np.where(free, squared, 0.0)
        total = weights.sum()
        if np.isfinite(total) and total > 0:
            drawn = rng.choice(len(points), trials, p=weights / total)
        else:
            drawn = rng.choice(np.flatnonzero(free), 1)
        left = np.minimum(cdist(points[drawn], points, "sqeuclidean"), squared)
        best = int(left.sum(axis=1).argmin())
        squared = left[best]
        medoids.append(int(drawn[best]))
        free[medoids[-1]] = False
    return np.array(medoids, dtype=np.int64)


def _alternate(
    points: Points,
    start: Rows,
    fixed: Rows,
    allowed: NDArray[np.bool_],
    iterations: int,
    progress: Progress = silent,
) -> Rows:
    """k-medoids from ``start``, beside medoids that are ``fixed``; int64, as long as ``start``.

    A medoid moves only to a strictly better point, ties by the lower one. One that coincides with
    an earlier medoid has no cluster, and stays.
    """
    medoids = np.concatenate([fixed, start])
    free = allowed.copy()
    free[medoids] = False
    before: Rows = np.full(len(points), -1)
    for iteration in range(1, iterations + 1):
        clusters = _nearest(points, points[medoids])[0]
        moved = clusters != before
        changed = np.union1d(clusters[moved], before[moved])  # the others' medoids are best already
        order = np.argsort(clusters, kind="stable")
        bounds = np.searchsorted(clusters[order], np.arange(len(medoids) + 1))
        settled = True
        for cluster in changed[changed >= len(fixed)].tolist():
            members = order[bounds[cluster] : bounds[cluster + 1]]
            if not len(members):
                continue
            medoid = medoids[cluster]
            choices = np.append(medoid, members[free[members]])
            costs = _sums(points[choices], points[members])
            best = choices[costs.argmin()]  # the medoid comes first: it stays where nothing is less
            if best != medoid:
                medoids[cluster] = best
                free[medoid], free[best] = True, False
                settled = False
        progress(iteration, iterations, "k-medoids")
        if settled:
            break
        before = clusters
    return medoids[len(fixed) :]


def _nearest(points: Points, medoids: Points) -> tuple[Rows, Points]:
    """Position of every point's nearest medoid (ties: the earlier), and its distance; [n]."""
    nearest, distances = np.empty(len(points), dtype=np.int64), np.empty(len(points))
    size = rows_per_block(8 * len(medoids))
    for first in range(0, len(points), size):
        part = slice(first, first + size)
        block = cdist(points[part], medoids)
        nearest[part] = block.argmin(axis=1)
        distances[part] = block.min(axis=1)
    return nearest, distances


def _sums(points: Points, members: Points) -> Points:
    """Sum of distances of every point to all members, float64 [p]."""
    size = rows_per_block(8 * len(members))
    parts = [cdist(points[i : i + size], members).sum(1) for i in range(0, len(points), size)]
    return np.concatenate(parts)
