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
from scipy import sparse

from usl.core.errors import TrainingFailedError
from usl.core.parameters import NotNegative, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import TINY, Float32, Rows, Values
from usl.numeric.kmeans import kmeans
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import Table, as_table, group_means
from usl.selection.contract import Picks
from usl.selection.methods.usl_t.calibration import calibrated
from usl.selection.methods.usl_t.estimate import learning_bytes, training_seconds
from usl.selection.methods.usl_t.heads import learn
from usl.selection.methods.usl_t.step import Training
from usl.selection.shared.clusters import away_from_taken, best_per_cluster, fill_up, serve
from usl.selection.shared.kept import kept_neighborhood
from usl.selection.shared.kmeanspp_start import ROWS_PER_CLUSTER, spread_out_start
from usl.selection.shared.memory import BASE, PER_ITEM, Size, search_bytes
from usl.selection.shared.neighborhood import EDGES, Neighborhood
from usl.selection.shared.sample import draw_sample
from usl.selection.shared.seconds import nearest_seconds, partition_seconds, search_seconds
from usl.selection.shared.spread import COLUMNS, information, spread

DRAWN = "k-means starts from random rows"
SYMBOLS = {"chosen": ("", "whose clusters have the picks that tell the most")}
TERMS = {
    "confidence": ("consensus", "share of its nearest neighbours that lie in its own cluster"),
    "density": ("density", "mean cosine with the images nearest to it, about half a cluster"),
    "utility": ("score", "consensus times density, or what pick_by names; the largest wins"),
    "utility usl_t": ("confidence", "how surely it is in its learned cluster; the surest wins"),
}
FEW = 10_000  # items whose clusters are learned sooner than those of more
LEARNING = Training(steps=500), Training()
WORK = 50_000_000  # rows times clusters of all partitions; more clusters, fewer partitions
SPREAD = 4e-8  # seconds of an item and a pick of a partition, in the spread


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
    table = as_table(features)
    sampled = len(rows) < len(table)
    values = table.take(rows if sampled else None)
    points = as_table(values)
    fixed = np.flatnonzero(np.isin(rows, labeled))
    allowed = np.flatnonzero(np.isin(rows, candidates))
    plan = Plan.of(len(rows), budget + len(fixed), partitions, learned)
    resolved: dict[str, Any] = {"partitions": plan.partitions, "k": k, "reach": reach}
    resolved |= {"sample": len(rows), "iterations": iterations, "average": average, "room": room}
    resolved |= {"pick_by": pick_by, "learned": plan.trainings}
    if len(rows) == 1:
        return Picks(rows[allowed], clusters=np.zeros(1, np.int64), parameters=resolved)

    # 1. What all partitions share: neighbours, their graph, densities.
    kept: dict[str, Any] = {"rows": rows if sampled else None, "keep": keep, "progress": progress}
    linked, wide = min(max(k, EDGES), len(rows) - 1), _wide(reach, len(rows), plan.count)
    nearest, away, squared = kept_neighborhood(points, linked, wide, squared=True, **kept)
    near = Neighborhood(nearest, away)
    graph = near.graph()
    weights = near.width(k) ** room
    density = np.maximum(1 - squared / 2, 0)  # the mean cosine, 0 where it is negative

    # 2. Partitions and the picks of each.
    averaged = near.averaged(values) if average else values
    options: list[Option] = []

    def offer(source: str, clusters: Rows, score: Values, consensus: Values) -> None:
        picks = serve(best_per_cluster(score, clusters, allowed), clusters, budget, fixed)
        options.append(Option(source, clusters, consensus, score, picks))

    for turn in range(plan.partitions):
        start = spread_out_start(averaged, plan.count, weights, rng)
        found = kmeans(
            averaged, plan.count, rng=rng, iterations=iterations, start=start, weights=weights
        )
        clusters = found.clusters.astype(np.int64)
        consensus = near.consensus(clusters, k)
        score = _score(pick_by, values, clusters, consensus, density)
        offer("k-means", clusters, score, consensus)
        progress(turn + 1, plan.partitions, "partitions")

    # 3. Learned clusters, and the picks that USL-T, its preset `threshold`, makes of them.
    for own in range(seed, seed + plan.trainings):
        with suppress(TrainingFailedError):  # collapsed: there are the others
            training = calibrated(LEARNING[len(rows) > FEW], points, plan.count, own)
            trained = learn(points, near.rows[:, :k], plan.count, training, seed=own, **kept)
            _, clusters = np.unique(trained.clusters, return_inverse=True)  # none is empty
            offer("usl_t", clusters, trained.confidence, near.consensus(clusters, k))

    # 4. The most telling.
    chosen = _most_telling(options, graph, weights, fixed)
    further = away_from_taken(points, chosen.score)
    picks = fill_up(chosen.picks, chosen.clusters, budget, fixed, allowed, further)
    return Picks(
        rows[picks],
        clusters=_everywhere(table, rows, points, chosen.clusters),
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
    search = search_bytes(rows, width, max(k, wide)) + 8 * rows
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
        "search": search_seconds(rows, width),
        "partition": plan.partitions * partition + others,
        "training": plan.trainings * training_seconds(rows, width, count, LEARNING[rows > FEW]),
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
class Option:
    """A partition, int64 [n], and where it comes from; consensus and score of all items [n]; picks.

    ``score`` decides which item of a cluster is picked.
    """

    source: str
    clusters: Rows
    consensus: Values
    score: Values
    picks: Rows


def _score(
    pick_by: str, values: Float32, clusters: Rows, consensus: Values, density: Values
) -> Values:
    """What the best item of a cluster has most of, [n]; not negative."""
    if pick_by == "center":
        means = group_means(as_table(values), clusters, int(clusters.max()) + 1)[clusters]
        lengths = np.linalg.norm(means, axis=1)
        along = np.einsum("ij,ij->i", values, means, dtype=np.float64)
        return np.asarray(np.maximum(along / np.maximum(lengths, TINY), 0))
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


def _everywhere(table: Table, rows: Rows, points: Table, clusters: Rows) -> Rows:
    """The partition of all items: outside the sample, by the nearest mean; int64 [n]."""
    if len(rows) == len(table):
        return clusters
    of = table.assign(group_means(points, clusters, int(clusters.max()) + 1))
    of[rows] = clusters
    return of


def _scattered(n: int, rows: Rows, values: Values) -> Values:
    """Values of the sample in a column of all items; nan outside."""
    column = np.full(n, np.nan)
    column[rows] = values
    return column
