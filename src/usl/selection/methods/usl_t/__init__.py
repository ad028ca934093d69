"""USL-T on frozen features: clusters that are learned, then one pick in each (paper 2.3, 6.12).

1. Neighbours of every item, found once in the fixed space.
2. Cluster weights trained by the global loss (learnable k-means) and the local loss (neighbours
   share a cluster, held against collapse): :mod:`usl.selection.methods.usl_t.heads`.
3. The most confident item of every cluster, or the densest.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.parameters import Between, NotNegative, Positive, clamp_k, not_none
from usl.core.progress import Progress, silent
from usl.numeric.distances import Float32, density, nearest
from usl.numeric.neighbor_search import kept_nearest_others
from usl.numeric.stage_cache import NOTHING, Keep
from usl.selection.contract import Picks
from usl.selection.methods.usl_t.estimate import learning_bytes, training_seconds
from usl.selection.methods.usl_t.heads import Training, assign, calibrated, learn, train_heads
from usl.selection.methods.usl_t.words import NAME as NAME
from usl.selection.methods.usl_t.words import SYMBOLS as SYMBOLS
from usl.selection.methods.usl_t.words import TERMS as TERMS
from usl.selection.shared.clusters import away_from_taken, best_per_cluster, fill_up, serve
from usl.selection.shared.memory import BASE, PER_ITEM, Size, search_bytes
from usl.selection.shared.seconds import search_seconds

DRAWN = "clusters start from random rows, batches are drawn"
SMALL = 100_000  # items; above, the paper's ImageNet settings apply
PICKING = ("k", "pick_by", "spare", "propagate")
TRAINING = ("heads", "tau", "alpha", "t", "lam", "momentum", "scale", "steps", "batch_size", "lr")
EPOCHS = 10  # of end-to-end training; the paper's 200 are for a GPU


@dataclass(frozen=True)
class Preset:
    """One column of settings: the training, and how picks are drawn from its clusters."""

    k: int = 20
    include_self: bool = False
    pick_by: str = "confidence"
    spare: float = 0.0
    propagate: int = 0
    training: Training = field(default_factory=Training)

    def clusters(self, n: int, wanted: int) -> int:
        """How many clusters n items are put in, of which ``wanted`` are to be labelled."""
        return min(n, wanted + int(np.ceil(self.spare * wanted)))


PRESETS: dict[str, tuple[Preset, Preset]] = {
    # Table 9 and 6.12; columns: up to 100,000 items, more. The paper trains a network or, large,
    # freezes it; steps, batch and rate are ours for frozen features, and so is the scale.
    "paper": (
        Preset(),
        Preset(
            pick_by="density",  # "we instead query the sample with top density in each cluster"
            spare=0.03,  # 3,000 clusters for 2,911 picks, the largest kept
            propagate=20,  # "annotate the 20 samples with max density"
            training=Training(tau=0.0, alpha=2.5, t=0.5, lam=0.5, tail=0.25, steps=3000),
        ),
    ),
    # The released code, as far as frozen features go: there are no augmented views, so the
    # pseudo-label and the loss share one image. Its z-bar starts at 1 / C and is used before its
    # update, and its argmin of Eq. 8 is an argmax, as here.
    "released": (
        Preset(
            include_self=True,  # the first k + 1 columns of the table: itself with p = 1/21
            training=Training(
                heads=3,  # losses summed; clusters of head 0, confidence as the mean over heads
                scale=1.0,
                linear=True,  # nn.Linear with bias, its default start, no unit weights
                reweight=True,  # class weights n / count in the global loss
                lr=1e-4,
                weight_decay=1e-4,
                steps=9800,  # 200 epochs of 50,000 at batch 1,024
                tail=0.0,  # centroids are restarted on ImageNet only
            ),
        ),
        Preset(
            include_self=True,
            pick_by="density",
            spare=0.03,
            propagate=20,
            training=Training(
                heads=3,
                tau=0.0,
                alpha=2.5,
                t=0.5,
                lam=0.5,
                scale=40.0,  # NormedLinear's fixed factor
                lr=1e-4,
                weight_decay=1e-4,
                batch_size=2048,
                steps=6250,  # 10 epochs of 1.28 M; a stray break makes it 10 steps as released
                tail=0.25,  # smallest < 100 and largest > 1000 at 427 a cluster on average
                head=2.3,
                noise=1e-7,  # lost in float32 rounding: the pair separates by chance alone
            ),
        ),
    ),
}


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    preset: Literal["paper", "released"] = "paper",
    heads: Annotated[int | None, Positive] = None,
    tau: Annotated[float | None, Between(0, 1)] = None,
    alpha: Annotated[float | None, NotNegative] = None,
    t: Annotated[float | None, Positive] = None,
    lam: Annotated[float | None, NotNegative] = None,
    momentum: Annotated[float | None, Between(0, 1)] = None,
    k: Annotated[int | None, Positive] = None,
    scale: Annotated[float | None, Positive] = None,
    steps: Annotated[int | None, Positive] = None,
    batch_size: Annotated[int | None, Positive] = None,
    lr: Annotated[float | None, Positive] = None,
    pick_by: Literal["confidence", "density"] | None = None,
    spare: Annotated[float | None, NotNegative] = None,
    propagate: Annotated[int | None, NotNegative] = None,
    end_to_end: bool = False,
    epochs: int = EPOCHS,
    network_lr: float = 1e-3,
    neighbors: ArrayLike | None = None,
    trainable: Any = None,
) -> Picks:
    """Learn as many clusters as labels are wanted, and pick the best item of each.

    Every parameter left at None comes from the preset.

    Parameters
    ----------
    preset : ``paper`` is Table 9; ``released`` follows the authors' code. Both have a column for
        up to 100,000 items and one for more.
    heads : sets of clusters trained side by side; the first decides, all vote on confidence.
    tau : confidence threshold of the global loss, Eq. 10 (paper: 0.95; 0 large).
    alpha : strength of the logit adjustment, Eq. 11 (paper: 5; 2.5 large).
    t : temperature of the sharpening, Eq. 13 (paper: 0.25; 0.5 large).
    lam : lambda, weight of the local loss, Eq. 15 (paper: 5; 0.5 large).
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
    end_to_end : train the encoder together with the clusters, from images (paper 2.3); needs an
        encoder whose network is known, and usl[torch]. Its weights are kept in the run folder.
    epochs : of end-to-end training.
    network_lr : learning rate of end-to-end training (Adam).
    neighbors : rows of each item's nearest items in these features, int [n, k or more], nearest
        first and without the item itself, if they are known already.
    trainable : what end-to-end training needs beside features
        (:class:`usl.selection.methods.usl_t.network.Trainable`); ``usl select`` makes it.

    Raises
    ------
    TrainingFailedError : a loss that is not finite, or clusters that collapse; the message says
        what to change.
    """
    settings = _resolve(
        len(features),
        {
            "preset": preset,
            "heads": heads,
            "tau": tau,
            "alpha": alpha,
            "t": t,
            "lam": lam,
            "momentum": momentum,
            "k": k,
            "scale": scale,
            "steps": steps,
            "batch_size": batch_size,
            "lr": lr,
            "pick_by": pick_by,
            "spare": spare,
            "propagate": propagate,
        },
    )
    n, training = len(features), settings.training
    n_clusters = settings.clusters(n, budget + len(labeled))

    # 1. Neighbours, fixed throughout. A single item has none.
    if n == 1:
        return Picks(candidates[:1], clusters=np.zeros(1, np.int64), density=np.zeros(1))
    if neighbors is None:
        found, distances = kept_nearest_others(features, settings.k, keep=keep, progress=progress)
    else:
        found, distances = _own_neighbors(neighbors, features, settings.k)
    densities = density(distances.mean(axis=1, dtype=np.float64))
    near = np.column_stack([np.arange(n), found]) if settings.include_self else found

    # 2. Clusters.
    training = calibrated(training, features, n_clusters, seed)
    backbone = None
    if end_to_end:
        from usl.selection.methods.usl_t.network import train_network

        trained, history = train_heads(
            features, near, n_clusters, training, seed=seed, progress=progress
        )
        points, trained, later, backbone = train_network(
            near,
            trained,
            training,
            _checked_trainable(trainable),
            epochs=epochs,
            batch_size=training.network_batch,
            lr=network_lr,
            seed=seed,
            settings={"n_clusters": n_clusters, "preset": preset, **asdict(training)},
            progress=progress,
        )
        history += [
            {"head": 0, **record, "step": training.steps + record["step"], "network": True}
            for record in later
        ]
        clusters, confidence = assign(trained, points, progress)
    else:
        learned = learn(
            features, near, n_clusters, training, seed=seed, keep=keep, progress=progress
        )
        clusters, confidence, history = learned.clusters, learned.confidence, learned.history
    empty = n_clusters - len(np.unique(clusters))
    if empty > max(settings.spare, 0.01) * n_clusters:
        warnings.warn(
            f"usl_t: {empty} of {n_clusters} clusters are empty; the largest get a second pick.",
            UslWarning,
            stacklevel=4,
        )

    # 3. The best item of each cluster, uncovered and large clusters first.
    score = densities if settings.pick_by == "density" else confidence
    picks = serve(best_per_cluster(score, clusters, candidates), clusters, budget, labeled)
    further = away_from_taken(features, score)
    picks = fill_up(picks, clusters, budget, labeled, candidates, further)
    resolved = {**asdict(settings), **asdict(training)}
    resolved.pop("training")
    if end_to_end:
        resolved |= {"end_to_end": True, "epochs": epochs, "network_lr": network_lr}
    return Picks(
        picks,
        clusters=clusters,
        density=densities,
        utility=score[picks],
        confidence=confidence,
        propagated=_propagated(picks, clusters, densities, settings.propagate, labeled),
        history=history,
        parameters={"preset": preset, **resolved},
        backbone=backbone,
    )


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


def seconds(
    n: int, width: int, budget: int, labeled: int, parameters: Mapping[str, Any]
) -> dict[str, float]:
    """Seconds of the long stages, with these parameters of :func:`pick`; those of no network."""
    settings = _settings(n, parameters)
    count = settings.clusters(n, budget + labeled)
    known = parameters.get("neighbors") is not None
    return {
        "search": 0.0 if known else search_seconds(n, width),
        "training": training_seconds(n, width, count, settings.training),
    }


def _checked_trainable(trainable: Any) -> Any:
    if trainable is None:
        raise UsageError(
            "end_to_end: needs images and an encoder to train; these are features alone. Use "
            "`usl select SOURCE --method usl_t --end-to-end`, or pass trainable."
        )
    return trainable


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


def _own_neighbors(
    given: ArrayLike, features: Float32, k: int
) -> tuple[NDArray[np.int64], Float32]:
    """Check a table of neighbours against the features, and add the distances."""
    table = np.asarray(given)
    n = len(features)
    if table.ndim != 2 or len(table) != n or not np.issubdtype(table.dtype, np.integer):
        raise DataError(
            f"neighbors: {table.dtype} of shape {table.shape} given; row numbers [{n}, k] are "
            "needed, for these very features."
        )
    if table.shape[1] < k:
        raise DataError(f"neighbors: {table.shape[1]} columns given, but k is {k}.")
    table = table[:, :k].astype(np.int64)
    if table.min() < 0 or table.max() >= n:
        raise DataError(f"neighbors: row numbers must lie between 0 and {n - 1}.")
    sample = np.unique(np.linspace(0, n - 1, 100).astype(np.int64))
    exact, _ = nearest(features[sample], features, min(k + 1, n))
    hits = [len(np.intersect1d(a, b)) for a, b in zip(exact, table[sample], strict=True)]
    if np.mean(hits) < 0.3 * k:
        raise DataError(
            f"neighbors: only {np.mean(hits) / k:.0%} of them are among the nearest in these "
            "features; they were computed on other features. Leave them out, or recompute them."
        )
    distances = np.empty(table.shape, dtype=np.float32)
    for start in range(0, n, 4096):
        rows = slice(start, start + 4096)
        gaps = features[table[rows]] - features[rows, None]
        distances[rows] = np.sqrt(np.einsum("nkd,nkd->nk", gaps, gaps))
    return table, distances
