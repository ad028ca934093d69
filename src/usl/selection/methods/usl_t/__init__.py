"""USL-T on frozen features: clusters that are learned, then one pick in each (paper 2.3, 6.12).

1. Neighbours of every item, found once in the fixed space.
2. Cluster weights trained by the global loss (learnable k-means) and the local loss (neighbours
   share a cluster, held against collapse): :mod:`usl.selection.methods.usl_t.heads`.
3. The most confident item of every cluster, or the densest.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import UslWarning
from usl.core.parameters import Between, NotNegative, Positive, clamp_k, not_none
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.distances import density
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import Table, as_table
from usl.selection.contract import Picks
from usl.selection.methods.usl_t.calibration import calibrated
from usl.selection.methods.usl_t.estimate import learning_bytes, training_seconds
from usl.selection.methods.usl_t.heads import learn
from usl.selection.methods.usl_t.lengths import WithLengths
from usl.selection.methods.usl_t.losses import Reweight
from usl.selection.methods.usl_t.neighbors import checked_neighbors
from usl.selection.methods.usl_t.presets import PRESETS, SMALL, Preset
from usl.selection.methods.usl_t.step import Training
from usl.selection.methods.usl_t.together import FROZEN, Network, together
from usl.selection.methods.usl_t.words import NAME as NAME
from usl.selection.methods.usl_t.words import SYMBOLS as SYMBOLS
from usl.selection.methods.usl_t.words import TERMS as TERMS
from usl.selection.shared.clusters import away_from_taken, best_per_cluster, fill_up, serve
from usl.selection.shared.kept import kept_nearest
from usl.selection.shared.memory import BASE, PER_ITEM, Size, search_bytes
from usl.selection.shared.seconds import search_seconds

DRAWN = "clusters start from random rows, batches are drawn"
PICKING = ("k", "pick_by", "spare", "propagate")
TRAINING = (
    *("heads", "tau", "alpha", "t", "lam", "local", "momentum", "scale"),
    *("steps", "batch_size", "lr", "reweight", "votes"),
)


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    lengths: Float32 | None = None,
    preset: Literal["paper", "threshold", "released"] = "paper",
    heads: Annotated[int | None, Positive] = None,
    tau: Annotated[float | None, Between(0, 1)] = None,
    alpha: Annotated[float | None, NotNegative] = None,
    t: Annotated[float | None, Positive] = None,
    lam: Annotated[float | None, NotNegative] = None,
    local: Annotated[float | None, Between(0, 1)] = None,
    momentum: Annotated[float | None, Between(0, 1)] = None,
    k: Annotated[int | None, Positive] = None,
    scale: Annotated[float | None, Positive] = None,
    steps: Annotated[int | None, Positive] = None,
    batch_size: Annotated[int | None, Positive] = None,
    lr: Annotated[float | None, Positive] = None,
    reweight: Reweight | None = None,
    votes: Literal["mean", "first"] | None = None,
    pick_by: Literal["confidence", "density"] | None = None,
    spare: Annotated[float | None, NotNegative] = None,
    propagate: Annotated[int | None, NotNegative] = None,
    end_to_end: bool = False,
    epochs: Annotated[int | None, Positive] = None,
    network_lr: Annotated[float | None, Positive] = None,
    neighbors: ArrayLike | None = None,
    trainable: Any = None,
) -> Picks:
    """Learn as many clusters as labels are wanted, and pick the best item of each.

    Every parameter left at None comes from the preset.

    Parameters
    ----------
    preset : ``paper`` is Table 9, with both losses; ``threshold`` has the released code's tau, by
        which the local loss acts alone; ``released`` follows the authors' code. Each has a column
        for up to 100,000 items and one for more.
    heads : sets of clusters trained side by side; the first decides, all vote on confidence.
    tau : confidence threshold of the global loss, Eq. 10 (paper: not given, here 0).
    alpha : strength of the logit adjustment, Eq. 11 (paper: 5; 2.5 large).
    t : temperature of the sharpening, Eq. 13 (paper: 0.25; 0.5 large).
    lam : lambda, weight of the local loss, Eq. 15 (paper: 5; 0.5 large).
    local : share of the steps in which the local loss takes part; it may be off early (6.9).
    momentum : mu of the moving average, Eq. 12 (paper: 0.5).
    k : neighbours that may share a cluster, Eq. 14 (paper: 20).
    scale : of the logits, scale times cosine; by default derived from the features.
    steps : of the optimiser (Adam).
    batch_size : items per step.
    lr : learning rate of Adam.
    pick_by : confidence (paper; the largest max y-hat) or density (paper, large scale).
    spare : share of clusters beyond the budget; the largest are kept (paper, large: 0.03).
    propagate : the densest so many items of a cluster receive its label, as source ``propagated``
        (paper, large: 20).
    reweight : class weights in the global loss: off (paper), sure (a weighted mean over the sure
        ones; released, CIFAR-10) or batch (divided by the batch; released, CIFAR-100).
    votes : whose confidence decides: the mean of all heads or the first (released, CIFAR-100).
    end_to_end : train the encoder together with the clusters, from images (paper 2.3); needs an
        encoder whose network is known, and usl[torch]. Its weights are kept in the run folder.
    epochs : of end-to-end training (10; released: 200).
    network_lr : its learning rate, of Adam (1e-3, along a cosine; released: 1e-4, constant).
    neighbors : rows of each item's nearest items in these features, int [n, k or more], nearest
        first and without the item itself, if they are known already.
    trainable : what end-to-end training needs beside features
        (:class:`usl.selection.methods.usl_t.network.Trainable`); ``usl select`` makes it.

    Raises
    ------
    TrainingFailedError : a loss that is not finite, or clusters that collapse; the message says
        what to change.
    """
    given, n = locals(), len(features)  # of the parameters the settings take their own by name
    settings, network = _resolve(n, given), together(preset, n, given)
    n_clusters = settings.clusters(n, budget + len(labeled))

    # 1. Neighbours, fixed throughout. A single item has none.
    if n == 1:
        return Picks(candidates[:1], clusters=np.zeros(1, np.int64), density=np.zeros(1))
    table = as_table(features)
    near, densities = _neighborhood(table, settings, neighbors, keep, progress)

    # 2. Clusters.
    training = calibrated(settings.training, table, n_clusters, seed)
    how: dict[str, Any] = {"seed": seed, "progress": progress}
    backbone = None
    if network is not None:
        from usl.selection.methods.usl_t.end_to_end import learn_end_to_end

        learned, backbone = learn_end_to_end(
            table, near, n_clusters, training, trainable, network, preset=preset, **how
        )
    else:
        seen = lengths if settings.lengths else None
        points = table if seen is None else WithLengths(table, seen)
        learned = learn(points, near, n_clusters, training, keep=keep, lengths=seen, **how)
    clusters, confidence = learned.clusters, learned.confidence
    _warn_of_empty(clusters, n_clusters, settings.spare)

    # 3. The best item of each cluster, uncovered and large clusters first.
    score = densities if settings.pick_by == "density" else confidence
    picks = serve(best_per_cluster(score, clusters, candidates), clusters, budget, labeled)
    further = away_from_taken(table, score)
    picks = fill_up(picks, clusters, budget, labeled, candidates, further)
    return Picks(
        picks,
        clusters=clusters,
        density=densities,
        utility=score[picks],
        confidence=confidence,
        propagated=_propagated(picks, clusters, densities, settings.propagate, labeled),
        history=learned.history,
        parameters={"preset": preset, **_record(settings, training, network, lengths)},
        backbone=backbone,
    )


def _neighborhood(
    table: Table, settings: Preset, given: ArrayLike | None, keep: Keep, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows that may share a cluster with each row, int64 [n, k], and densities, float64 [n]."""
    if given is None:
        near, distances = kept_nearest(table, settings.k, keep=keep, progress=progress)
    else:
        near, distances = checked_neighbors(given, table, settings.k)
    if settings.include_self:
        near = np.column_stack([np.arange(len(table)), near])
    return near, density(distances.mean(axis=1, dtype=np.float64))


def _record(
    settings: Preset, training: Training, network: Network | None, lengths: Float32 | None
) -> dict[str, Any]:
    """What was done, and nothing that was not."""
    resolved = {**asdict(settings), **asdict(training)}
    for name in ("training", "lengths"):
        resolved.pop(name)
    if network is not None:
        if not network.heads_first:
            resolved = {name: value for name, value in resolved.items() if name not in FROZEN}
        return resolved | network.record()
    if settings.lengths:
        resolved["lengths"] = "unknown, heads saw unit rows" if lengths is None else "seen by heads"
    return resolved


def needed(n: int, width: int, budget: int, labeled: int, parameters: Mapping[str, Any]) -> int:
    """Bytes that a selection takes beside its tables, with these parameters of :func:`pick`.

    What a network takes that is trained end to end is not counted.
    """
    settings = _settings(n, parameters)
    wanted, k = budget + labeled, min(settings.k, n - 1)
    count = settings.clusters(n, wanted)
    found = 12 * k * n  # numbers and distances
    held = found + (8 * (k + 1) * n if settings.include_self else 0) + 40 * n
    stages = {
        "neighbors": 2 * found + search_bytes(n, width, k),
        "learned": held + learning_bytes(n, width, count, k, settings.training),
    }
    around = Size(n, width, wanted, count, k=0).total()
    return int(max(around, BASE + PER_ITEM * n + max(stages.values())))


def check(n: int, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of a training that would not be done; :class:`UsageError`."""
    together(str(parameters.get("preset", "paper")), n, parameters)


def seconds(
    n: int, width: int, budget: int, labeled: int, parameters: Mapping[str, Any]
) -> dict[str, float]:
    """Seconds of the long stages, with these parameters of :func:`pick`; those of no network."""
    settings = _settings(n, parameters)
    count = settings.clusters(n, budget + labeled)
    known = parameters.get("neighbors") is not None
    network = together(parameters.get("preset", "paper"), n, parameters)
    frozen = network is None or network.heads_first
    return {
        "search": 0.0 if known else search_seconds(n, width),
        "training": training_seconds(n, width, count, settings.training) if frozen else 0.0,
    }


def _warn_of_empty(clusters: NDArray[np.int64], n_clusters: int, spare: float) -> None:
    """Say so where more clusters are empty than are spare."""
    empty = n_clusters - len(np.unique(clusters))
    if empty > max(spare, 0.01) * n_clusters:
        warnings.warn(
            f"usl_t: {empty} of {n_clusters} clusters are empty; the largest get a second pick.",
            UslWarning,
            stacklevel=5,
        )


def _propagated(
    picks: NDArray[np.int64],
    clusters: NDArray[np.int64],
    densities: NDArray[np.float64],
    count: int,
    labeled: NDArray[np.int64],
) -> NDArray[np.int64] | None:
    """For every item the position of the pick whose label it shall receive, or -1; int64 [n]."""
    if count == 0:
        return None
    receives = np.full(len(clusters), -1, dtype=np.int64)
    order = np.lexsort((np.arange(len(clusters)), -densities, clusters))
    starts = np.searchsorted(clusters[order], clusters[picks])
    stops = np.searchsorted(clusters[order], clusters[picks], side="right")
    for position, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        receives[order[start : min(stop, start + count)]] = position
    receives[labeled] = -1
    receives[picks] = -1
    return receives


def _resolve(n: int, given: Mapping[str, Any]) -> Preset:
    """:func:`_settings`, with no more neighbours than n items can have."""
    settings = _settings(n, given)
    return replace(settings, k=clamp_k(settings.k, n - 1, n))


def _settings(n: int, given: Mapping[str, Any]) -> Preset:
    """The preset's column for n items with the given parameters of :func:`pick` in place.

    Those that are None or not there are the preset's.
    """
    base = PRESETS[given.get("preset", "paper")][int(n > SMALL)]
    picking = not_none({name: given.get(name) for name in PICKING})
    training = not_none({name: given.get(name) for name in TRAINING})
    return replace(base, **picking, training=replace(base.training, **training))
