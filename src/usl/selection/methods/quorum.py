"""Quorum: of many sets of picks, one per cluster, the set that says most about all items.

Our own method (docs/method.md has the reasons and the evidence):

1. Partitions: k-means into as many clusters as labels are wanted, of features averaged with those
   of their neighbours, from many starts. An item counts by the *room* it takes, the square of its
   mean distance to its neighbours, so that a rare kind of image gets clusters too.
2. Picks of each: the item with the largest product of *consensus*, the share of its neighbours in
   its own cluster, and *density*, its mean cosine with the nearest n / 2m items, which are about
   half a cluster.
3. Beside them the picks of USL-T: of clusters that are learned, the most confident items.
4. The set of picks that say most about all items when they spread over the neighbour graph, as
   labels will in semi-supervised learning.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.errors import TrainingFailedError
from usl.core.parameters import NotNegative, Positive
from usl.core.progress import Progress, silent
from usl.numeric.blocks import map_blocks, one_blas_thread
from usl.numeric.distances import Float32, half_distances, halved, squared_from_half
from usl.numeric.kmeans import kmeans
from usl.numeric.neighbor_graph import normalized, similarity, symmetric_weights
from usl.numeric.neighbor_search import kept_nearest_others, kept_typical_distance, means_of
from usl.numeric.stage_cache import NOTHING, Keep
from usl.selection.contract import Picks
from usl.selection.methods.usl_t.estimate import learning_bytes, training_seconds
from usl.selection.methods.usl_t.heads import Training, calibrated, learn
from usl.selection.shared.clusters import away_from_taken, best_per_cluster, fill_up, serve
from usl.selection.shared.memory import BASE, PER_ITEM, Size, search_bytes
from usl.selection.shared.sample import draw_sample
from usl.selection.shared.seconds import (
    nearest_seconds,
    partition_seconds,
    search_seconds,
)

Rows = NDArray[np.int64]
Values = NDArray[np.float64]
DRAWN = "k-means starts from random rows"
SYMBOLS = {"chosen": ("", "whose clusters have the picks that tell the most")}
TERMS = {
    "confidence": ("consensus", "share of its nearest neighbours that lie in its own cluster"),
    "density": ("density", "mean cosine with the images nearest to it, about half a cluster"),
    "utility": ("score", "consensus times density, or what pick_by names; the largest wins"),
    "utility usl_t": ("max ŷ", "how surely it belongs to its learned cluster; the surest wins"),
}
EDGES = 10  # neighbours that an item is linked to in the graph
POWER = 4.0  # of the cosine, for the weight of a link, as in label spreading
DAMPING = 0.8  # alpha of the spread: how much of an item's score comes from its neighbours
COLUMNS = 128  # anchors spread at once
STEPS = 10  # of the spread; what is left out is 0.8^11, or 9% of it
ROWS_PER_CLUSTER = 20  # of the sample, at least
FEW, SEEDED = 256, 2048  # clusters that are started far apart, and rows to draw starts from
WORK = 50_000_000  # rows times clusters of all partitions; more clusters, fewer partitions
SPREAD = 4e-8  # seconds of an item and a pick of a partition, in the spread
FLOOR = 1e-12  # of a score: an item that no pick reaches knows nothing


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: Rows,
    candidates: Rows,
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    partitions: Annotated[int, Positive] = 20,
    k: Annotated[int, Positive] = 20,
    reach: Annotated[float, Positive] = 0.5,
    average: bool = True,
    room: Annotated[float, NotNegative] = 2.0,
    pick_by: Literal["both", "consensus", "density", "center"] = "both",
    learned: Annotated[int, NotNegative] = 1,
    sample: Annotated[int, Positive] = 50_000,
    iterations: Annotated[int, Positive] = 20,
) -> Picks:
    """Pick one item of every cluster, of the partition whose picks tell the most.

    The result's parameter ``chosen`` says where the picks come from: ``k-means`` or ``usl_t``.

    Parameters
    ----------
    partitions : of k-means, of which the best is taken; fewer where they have many clusters and so
        hardly differ in what they are worth (rows times clusters of all together: 50 million).
    k : neighbours that agree with a pick or not.
    reach : images the density looks at, as a share of a cluster of average size.
    average : whether images are averaged with their neighbours before k-means.
    room : power of its distance to its neighbours by which an image counts; the mean of k of them,
        in the clustering and in the choice of a partition. 0 counts all alike.
    pick_by : what the pick of a cluster is best in; ``center`` is nearness to the mean (kmeans).
    learned : sets of picks of clusters learned as by USL-T, compared with the others; none where
        there are so many clusters that one partition is all.
    sample : images looked at; drawn by the seed, alone to be picked, at least 20 per cluster.
    iterations : of k-means, at most.
    """
    rng = np.random.default_rng(seed)
    size = _size(sample, budget + len(labeled))
    rows = draw_sample(len(features), budget, labeled, candidates, size, rng)
    points = features if len(rows) == len(features) else features[rows]
    fixed = np.flatnonzero(np.isin(rows, labeled))
    allowed = np.flatnonzero(np.isin(rows, candidates))
    plan = Plan.of(len(rows), budget + len(fixed), partitions, learned)
    resolved: dict[str, Any] = {"partitions": plan.partitions, "k": k, "reach": reach}
    resolved |= {"sample": len(rows), "iterations": iterations, "average": average, "room": room}
    resolved |= {"pick_by": pick_by, "learned": plan.trainings}
    if len(rows) == 1:
        return Picks(rows[allowed], clusters=np.zeros(1, np.int64), parameters=resolved)

    # 1. What all partitions share: neighbours, their graph, densities.
    stages = Stages(points, rows if len(rows) < len(features) else None, keep, progress)
    near = stages.neighbors(k)
    graph = normalized(_graph(near)).astype(np.float32)
    weights = _room(near, k) ** room
    density = stages.density(_wide(reach, len(rows), plan.count))

    # 2. Partitions and the picks of each.
    averaged = _averaged(points, near) if average else points
    options: list[Option] = []

    def offer(source: str, clusters: Rows, score: Values, consensus: Values) -> None:
        picks = serve(best_per_cluster(score, clusters, allowed), clusters, budget, fixed)
        options.append(Option(source, clusters, consensus, score, picks))

    for turn in range(plan.partitions):
        start = _start(averaged, plan.count, weights, rng)
        found = kmeans(
            averaged, plan.count, rng=rng, iterations=iterations, start=start, weights=weights
        )
        clusters = found.clusters.astype(np.int64)
        consensus = _consensus(clusters, near, k)
        score = _score(pick_by, points, clusters, consensus, density)
        offer("k-means", clusters, score, consensus)
        progress(turn + 1, plan.partitions, "partitions")

    # 3. Learned clusters, and the picks that USL-T would make of them.
    for turn in range(plan.trainings):
        with suppress(TrainingFailedError):  # collapsed: there are the others
            clusters, score = stages.learned(near.rows[:, :k], plan.count, seed + turn)
            offer("usl_t", clusters, score, _consensus(clusters, near, k))

    # 4. The most telling.
    chosen = _most_telling(options, graph, weights, fixed)
    further = away_from_taken(points, chosen.score)
    picks = fill_up(chosen.picks, chosen.clusters, budget, fixed, allowed, further)
    return Picks(
        rows[picks],
        clusters=_everywhere(features, rows, points, chosen.clusters),
        density=_scattered(len(features), rows, density),
        utility=chosen.score[picks],
        confidence=_scattered(len(features), rows, chosen.consensus),
        parameters={**resolved, "chosen": chosen.source},
    )


def needed(n: int, width: int, budget: int, labeled: int, parameters: Mapping[str, Any]) -> int:
    """Bytes that a selection takes beside its tables, with these parameters of :func:`pick`."""
    given, plan = _planned(n, budget + labeled, parameters)
    rows, count = plan.rows, plan.count
    k = min(max(given["k"], EDGES), rows - 1)
    own = Size(rows, width, count, count, k)
    wide = _wide(given["reach"], rows, count)  # as many neighbours as densities look at
    search = max(search_bytes(rows, width, k), search_bytes(rows, width, wide))
    table = 4 * rows * width
    held = (table if rows < n else 0) + rows * (12 * k + 2 * 12 * EDGES + 40)
    options = plan.options * 24 * rows
    stages = {
        "neighbors": held + search,
        "averaged": held + 6 * table + 6 * 12 * 2 * EDGES * rows,
        "partitions": held + table + options + own.partition(count) + 12 * k * rows,
    }
    if plan.trainings:
        stages["learned"] = held + table + options + learning_bytes(rows, width, count, k)
    if plan.options > 1:
        spread_out = 4 * rows * min(rows, plan.options * count)
        spread_out += 16 * rows * min(rows, COLUMNS + count)
        stages["information"] = held + table + options + spread_out
    around = Size(n, width, count, count, k=0).total()
    return int(max(around, BASE + PER_ITEM * n + max(stages.values())))


def seconds(
    n: int, width: int, budget: int, labeled: int, parameters: Mapping[str, Any]
) -> dict[str, float]:
    """Seconds of the long stages, with these parameters of :func:`pick`."""
    given, plan = _planned(n, budget + labeled, parameters)
    rows, count = plan.rows, plan.count
    partition = partition_seconds(rows, width, count, iterations=given["iterations"])
    others = nearest_seconds(n - rows, count, width)  # which go to the nearest mean
    return {
        "search": 2 * search_seconds(rows, width),  # of neighbours, and for densities
        "partition": plan.partitions * partition + others,
        "training": plan.trainings * training_seconds(rows, width, count),
        "spread": SPREAD * rows * plan.options * count if plan.options > 1 else 0.0,
    }


def _planned(n: int, wanted: int, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], Plan]:
    """All parameters of :func:`pick`, and what it does with n items."""
    given = {name: own.default for name, own in inspect.signature(pick).parameters.items()}
    given |= parameters
    rows = min(n, _size(given["sample"], wanted))
    return given, Plan.of(rows, wanted, given["partitions"], given["learned"])


@dataclass(frozen=True)
class Plan:
    """How much is done: rows looked at, clusters of each partition, partitions, trainings."""

    rows: int
    count: int
    partitions: int
    trainings: int

    @classmethod
    def of(cls, rows: int, wanted: int, partitions: int, learned: int) -> Plan:
        """What is asked for, less where there are many clusters; never less than a partition."""
        count = min(rows, wanted)
        most = max(1, WORK // (rows * count))
        return cls(rows, count, min(partitions, most), learned if most > 1 else 0)

    @property
    def options(self) -> int:
        """Sets of picks to choose from."""
        return self.partitions + self.trainings


def _size(sample: int, wanted: int) -> int:
    """Most rows that are looked at."""
    return max(sample, ROWS_PER_CLUSTER * wanted)


def _wide(reach: float, rows: int, count: int) -> int:
    """How many neighbours the density looks at."""
    return int(np.clip(reach * rows / count, min(5, rows - 1), max(1, rows // 2)))


@dataclass(frozen=True)
class Near:
    """The nearest other items of each item, [n, k]: ``rows`` int64, ``distances`` float32."""

    rows: Rows
    distances: Float32


@dataclass(frozen=True)
class Option:
    """A partition, int64 [n], and where it comes from; consensus and score of all items [n]; picks.

    ``score`` decides which item of a cluster is picked.
    """

    source: str
    clusters: Rows
    consensus: Values
    score: Values
    picks: Rows


@dataclass(frozen=True)
class Stages:
    """What takes long, each kept once it is done: of ``points``, which are ``rows``, or all."""

    points: Float32
    rows: Rows | None
    keep: Keep
    progress: Progress

    def neighbors(self, k: int) -> Near:
        """The k nearest others of every point."""
        k = min(max(k, EDGES), len(self.points) - 1)
        found = kept_nearest_others(
            self.points, k, keep=self.keep, rows=self.rows, progress=self.progress
        )
        return Near(*found)

    def density(self, k: int) -> Values:
        """Mean cosine of every point with its k nearest others, 0 where it is negative."""
        squared, _ = kept_typical_distance(
            self.points, k, keep=self.keep, rows=self.rows, squared=True, progress=self.progress
        )
        return np.maximum(1 - squared / 2, 0)

    def learned(self, neighbors: Rows, count: int, seed: int) -> tuple[Rows, Values]:
        """Clusters as USL-T learns them, int64 [n] without empty ones, and confidences [n].

        With the settings of its paper preset: with the same seed and points they are those of
        :func:`usl.selection.methods.usl_t.pick`.
        """
        found = learn(
            self.points,
            neighbors,
            count,
            calibrated(Training(), self.points, count, seed),
            seed=seed,
            rows=self.rows,
            keep=self.keep,
            progress=self.progress,
        )
        _, clusters = np.unique(found.clusters, return_inverse=True)
        return clusters.astype(np.int64), found.confidence


def _room(near: Near, k: int) -> Values:
    """Mean distance of every row to its k nearest, of which the mean is 1; [n]."""
    away = np.maximum(near.distances[:, :k].mean(axis=1, dtype=np.float64), FLOOR)
    return np.asarray(away / away.mean())


def _graph(near: Near) -> sparse.csr_matrix:
    """The symmetric neighbour graph, sparse [n, n]."""
    links = slice(0, EDGES)
    return symmetric_weights(near.rows[:, links], similarity(near.distances[:, links], POWER))


def _averaged(points: Float32, near: Near) -> Float32:
    """Each item half itself and half the mean of those it is linked to; unit rows."""
    links = near.rows[:, :EDGES]
    linked = symmetric_weights(links, np.ones(links.shape))
    degree = np.asarray(linked.sum(axis=1))
    mixed = points + np.asarray(linked @ points) / np.maximum(degree, 1)
    lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed / np.maximum(lengths, FLOOR), dtype=np.float32)


def _start(space: Float32, count: int, weights: Values, rng: np.random.Generator) -> Float32 | None:
    """Centroids to start from, far from each other as k-means++ draws them, out of some of the
    rows; None, which is random rows, for many clusters.

    The greedy kind: of a few draws the one that leaves the rows nearest to the centroids (Arthur &
    Vassilvitskii, 2007, and their code).
    """
    if count > FEW:
        return None
    # Not by kmeanspp.pick, which passes over all rows in blocks: here that would take longer than
    # the k-means that it starts.
    size = min(len(space), max(SEEDED, ROWS_PER_CLUSTER * count))
    rows = rng.choice(len(space), size, replace=False)
    points, shares = space[rows], weights[rows]
    base = halved(points)
    trials = 2 + int(np.log(count))
    away = np.full(size, 4.0)  # squared distance to the nearest centroid: none is farther
    chosen: list[int] = []
    with one_blas_thread():  # which rounds by the number of its threads
        while len(chosen) < count:
            chances = shares * away
            chances[chosen] = 0
            if chances.sum() <= 0:  # all that are left coincide with one that is chosen
                chances = np.ones(size)
                chances[chosen] = 0
            places = rng.random(trials) * chances.sum()
            drawn = np.searchsorted(np.cumsum(chances), places, side="right")
            drawn = np.minimum(drawn, np.flatnonzero(chances)[-1])
            squared = squared_from_half(half_distances(points[drawn], base), points[drawn])
            squared = np.minimum(squared, away)
            best = int((squared @ shares).argmin())
            chosen.append(int(drawn[best]))
            away = squared[best].astype(np.float64)
    return points[chosen]


def _consensus(clusters: Rows, near: Near, k: int) -> Values:
    """The share of every row's k nearest in its own cluster, [n]."""
    return np.asarray((clusters[near.rows[:, :k]] == clusters[:, None]).mean(axis=1))


def _score(
    pick_by: str, points: Float32, clusters: Rows, consensus: Values, density: Values
) -> Values:
    """What the best item of a cluster has most of, [n]; not negative."""
    if pick_by == "center":
        means = means_of(points, clusters, int(clusters.max()) + 1)[clusters]
        lengths = np.linalg.norm(means, axis=1)
        along = np.einsum("ij,ij->i", points, means, dtype=np.float64)
        return np.asarray(np.maximum(along / np.maximum(lengths, FLOOR), 0))
    return {"both": consensus * density, "consensus": consensus, "density": density}[pick_by]


def _most_telling(
    options: list[Option], graph: sparse.csr_matrix, weights: Values, fixed: Rows
) -> Option:
    """The option whose picks, with the labelled rows, have the largest :func:`information`."""
    if len(options) == 1:
        return options[0]
    every = np.unique(np.concatenate([fixed, *(option.picks for option in options)]))
    scores = spread(graph, every)  # once: partitions have many picks in common
    anchors = [np.concatenate([option.picks, fixed]) for option in options]
    told = [information(scores[:, np.searchsorted(every, rows)], weights) for rows in anchors]
    return options[int(np.argmax(told))]


def spread(graph: sparse.csr_matrix, anchors: Rows) -> Float32:
    """Scores of all items for each anchor, float32 [n, a]: what reaches them over the graph.

    A score of 1 at an anchor spreads; at each of ``STEPS`` steps ``DAMPING`` of it is passed on. No
    score is less than ``FLOOR``, so that an item that nothing reaches knows nothing.

    Parameters
    ----------
    graph : normalised weights, sparse float32 [n, n]; anchors : int64 [a].
    """
    result = np.empty((graph.shape[0], len(anchors)), dtype=np.float32)
    for first in range(0, len(anchors), COLUMNS):
        part = anchors[first : first + COLUMNS]
        sources = part, np.arange(len(part))
        scores = np.zeros((graph.shape[0], len(part)), dtype=np.float32)
        scores[sources] = 1.0
        for _ in range(STEPS):
            scores = graph @ scores
            scores *= np.float32(DAMPING)
            scores[sources] += 1.0
        result[:, first : first + COLUMNS] = scores
    return np.maximum(result, np.float32(FLOOR), out=result)


def information(scores: Float32, weights: Values) -> float:
    """What anchors tell about the items they are spread to, in nats: 0 to log of their number.

    An item's scores, divided by their sum, say to which anchor it belongs. The figure is the mutual
    information of items and anchors: the entropy of the mean over all items, less the mean entropy
    of an item. It is large where every item knows its anchor and no anchor holds much more than its
    share.

    Parameters
    ----------
    scores : those of :func:`spread`, float32 [n, a].
    weights : how much an item counts in the means, float64 [n].
    """
    shares = scores / scores.sum(axis=1, keepdims=True)
    counts = weights / weights.sum()
    # No matrix products: BLAS rounds by the number of its threads, and near ties are decided here.
    whole = np.einsum("n,na->a", counts, shares)
    own = np.einsum("na,na->n", shares, np.log(shares))
    return float((counts * own).sum() - (whole * np.log(whole)).sum())


def _everywhere(features: Float32, rows: Rows, points: Float32, clusters: Rows) -> Rows:
    """The partition of all items: outside the sample, by the nearest mean; int64 [n]."""
    if len(rows) == len(features):
        return clusters
    base = halved(means_of(points, clusters, int(clusters.max()) + 1))

    def block(start: int, stop: int) -> Rows:
        return np.asarray(half_distances(features[start:stop], base).argmin(axis=1))

    of = np.concatenate(list(map_blocks(block, len(features), 4096)))
    of[rows] = clusters
    return of


def _scattered(n: int, rows: Rows, values: Values) -> Values:
    """Values of the sample in a column of all items; nan outside."""
    column = np.full(n, np.nan)
    column[rows] = values
    return column
