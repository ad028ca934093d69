"""USL: density peaks of k-means clusters that keep their distance (paper 2.2, Algorithm 1).

1. Representativeness: U = 1 / mean distance to the k nearest neighbours (Eq. 1-3).
2. Diversity: k-means into as many clusters as labels are wanted; one pick in each (Eq. 4).
3. Exchange: clusters see each other's picks and move away from near ones (Eq. 5-7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError
from usl.core.parameters import Between, NotNegative, Positive, clamp_k, not_none
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Values
from usl.numeric.distances import density
from usl.numeric.inverted_search import Probing
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import Table, as_table
from usl.selection.contract import Picks
from usl.selection.shared.clusters import best_per_cluster, cluster_ids, fill_up, serve
from usl.selection.shared.kept import kept_mean_distance, kept_nearest
from usl.selection.shared.memory import Size
from usl.selection.shared.repulsion import Repulsion
from usl.selection.shared.seconds import partition_seconds, search_seconds

NAME = "USL"
DRAWN = "k-means starts from random rows, unless the clusters are given"
SYMBOLS = {
    "k": ("k", "neighbours in the density, Eq. 3"),
    "lam": ("λ", "weight of the regulariser, Eq. 7"),
    "alpha": ("α", "exponent of the distance, Eq. 5"),
    "momentum": ("m_reg", "moving average of the regulariser, Eq. 6"),
    "iterations": ("l", "passes of the exchange, Algorithm 1"),
    "density_by": (
        "",
        "what the density is: of the mean distance, of the k-th, or the mean cosine",
    ),
    "horizon": ("h", "nearest picks that repel; none: all of them"),
}
EQUATION_3 = ("density", "1 / mean distance to the nearest neighbours", "U (Eq. 3)")
TERMS = {
    "density": EQUATION_3,
    "regularizer": ("regulariser", "nearness to the picks of other clusters", "Reg (Eq. 5, 6)"),
    "utility": ("utility", "what decided: density less the weighted regulariser", "U′ (Eq. 7)"),
}
SMALL, FEW = 100_000, 100  # "large scale" is above SMALL items; Table 14 splits at FEW labels


@dataclass(frozen=True)
class Preset:
    """One row of settings. The last seven are private to the presets; see PRESETS."""

    k: int
    lam: float
    alpha: float
    momentum: float
    iterations: int
    horizon: int | None = None
    squared: bool = False
    count_self: bool = False
    cut: float | None = None
    own_cluster: bool = False
    own_in_horizon: bool = False
    kmeans_iterations: int = 200
    torch_start: bool = False

    @property
    def repulsion(self) -> Repulsion:
        """How picks repel, Eq. 5."""
        own = self.own_cluster, self.own_in_horizon
        return Repulsion(self.alpha, self.horizon, self.squared, self.cut, *own)


# The released code's ImageNet runs. The second excludes a candidate's own cluster, but only after
# the nearest picks are chosen; ImageNet_usl_moco_0.2.yaml, ImageNet_usl_clip_0.2.yaml.
RUN: dict[str, Any] = {"kmeans_iterations": 100, "torch_start": True}
MOCO = Preset(*(20, 1.5, 0.5, 0.0, 1, 128, True, True, None, True), **RUN)
CLIP = Preset(*(20, 0.05, 1.0, 0.0, 1, 32, True, True), own_in_horizon=True, **RUN)

PRESETS: dict[str, tuple[Preset, Preset, Preset]] = {
    # Table 14. Columns: up to 100 labels; more labels; more than 100,000 items.
    "paper": (
        Preset(k=400, lam=0.5, alpha=0.5, momentum=0.9, iterations=10),
        Preset(k=400, lam=1.0, alpha=1.0, momentum=0.9, iterations=10),
        Preset(k=20, lam=1.5, alpha=0.5, momentum=0.0, iterations=1, horizon=64),
    ),
    # What the released code does (its CIFAR-10, CIFAR-100 and ImageNet-MoCo runs):
    # squared     U = 1 / mean(d^2), and alpha acts on d^2: its 0.5 is the paper's exponent 1.
    # count_self  the point itself is one of the k, at distance 0; the mean still divides by k.
    # iterations  its 10 (2) count the unregularised first pass, so 9 (1) are regularised.
    # cut         d^2 from here on is replaced by 1e10, which leaves 1e-5 or 1e-10, not 0. On the
    #             unit sphere d^2 <= 4: the CIFAR-10 cut has no effect.
    # own_cluster ImageNet: a candidate is repelled by its own cluster's pick as well, but not by
    #             picks it coincides with.
    # torch_start k-means begins with the rows that torch draws from the seed.
    "released": (
        Preset(400, 0.5, 0.5, 0.9, 9, None, True, True, cut=4.0, torch_start=True),
        Preset(400, 1.0, 1.0, 0.9, 9, None, True, True, cut=1.0, torch_start=True),
        MOCO,
    ),
    # Its two ImageNet runs as they stand, whatever the number of images and of labels.
    "released-moco": (MOCO,) * 3,
    "released-clip": (CLIP,) * 3,
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
    preset: Literal["paper", "released", "released-moco", "released-clip"] = "paper",
    k: Annotated[int | None, Positive] = None,
    lam: Annotated[float | None, NotNegative] = None,
    alpha: Annotated[float | None, NotNegative] = None,
    momentum: Annotated[float | None, Between(0, 1, below=True)] = None,
    iterations: Annotated[int | None, NotNegative] = None,
    horizon: Annotated[int | None, NotNegative] = None,
    n_clusters: int | None = None,
    density_by: Literal["mean", "kth", "cosine"] = "mean",
    exact: bool = False,
    clusters: ArrayLike | None = None,
) -> Picks:
    """Pick the densest item of every cluster, spread out by the exchange between clusters.

    Every parameter left at None comes from the preset.

    Parameters
    ----------
    preset : ``paper`` follows the equations and Table 14; ``released`` follows the authors' code.
        Both have a row for up to 100 labels, for more, and for more than 100,000 items.
        ``released-moco`` and ``released-clip`` are its two ImageNet runs, at any size.
    k : neighbours in the density, Eq. 3 (paper: 400; 20 above 100,000 items).
    lam : lambda, weight of the regulariser, Eq. 7 (paper: 0.5, 1.0 above 100 labels, 1.5 large).
    alpha : exponent of the distance in the regulariser, Eq. 5 (paper: 0.5, 1.0, 0.5).
    momentum : m_reg, moving average of the regulariser, Eq. 6 (paper: 0.9; 0 large).
    iterations : l, regularised passes of Algorithm 1 (paper: 10; 1 large).
    horizon : h, only the h nearest picks repel a candidate; 0 for all (paper: all; 64 large).
    n_clusters : clusters to make, at least as many as there are labels to give and given; the
        largest are served (the paper's ImageNet run: 12,900 for 12,820 labels). Default: as many.
    density_by : mean (Eq. 3: 1 / mean distance to the k nearest), kth (Eq. 2: 1 / distance to the
        k-th; its power d is left out, it changes no order of densities) or cosine (6.6: mean
        cosine with the k nearest).
    exact : search all neighbours and compare with all centroids, however long it takes. Up to
        100,000 items that is what happens anyway; above, inverted lists find nearly all of them.
    clusters : a partition of your own, one cluster number per item, instead of k-means.
    """
    given: dict[str, float | None] = {
        "k": k,
        "lam": lam,
        "alpha": alpha,
        "momentum": momentum,
        "iterations": iterations,
        "horizon": horizon,
    }
    settings = resolve(preset, len(features), budget, given)
    table = as_table(features)
    partition = (
        cluster_ids(
            table,
            budget,
            labeled,
            seed=seed,
            iterations=settings.kmeans_iterations,
            n_clusters=n_clusters,
            exact=exact or None,
            torch_start=settings.torch_start,
            progress=progress,
            keep=keep,
        )
        if clusters is None
        else _own_partition(clusters, len(features))
    )

    # 1. Utility of every item, Eq. 3 (only the order matters: 1 / D-bar).
    how: dict[str, Any] = {"exact": exact or None, "clusters": partition}
    utility, probing = _utility(table, settings, density_by, keep=keep, progress=progress, **how)

    # 2. V-hat 0: the densest candidate of each cluster; uncovered clusters, the largest first.
    best = best_per_cluster(utility, partition, candidates)
    picks = serve(best, partition, budget, labeled)

    # 3. Algorithm 1. Only clusters that are served take part; labelled rows repel throughout.
    served = np.isin(partition[candidates], partition[picks])
    movable = candidates[served]
    average = np.zeros(len(movable))
    exchange = settings.repulsion
    for iteration in range(settings.iterations):
        anchors = np.concatenate([picks, labeled])
        repulsion = exchange.of(table, partition, movable, anchors)  # Eq. 5
        average = settings.momentum * average + (1 - settings.momentum) * repulsion  # Eq. 6
        regularized = np.full(len(features), -np.inf)
        regularized[movable] = utility[movable] - settings.lam * average  # Eq. 7
        picks = best_per_cluster(regularized, partition, movable)
        progress(iteration + 1, settings.iterations, "repulsion")

    def utility_given(rows: NDArray[np.int64], taken: NDArray[np.int64]) -> NDArray[np.float64]:
        nowhere = np.full(len(features), -1)  # here its own cluster's picks repel a row too
        return utility[rows] - settings.lam * exchange.of(table, nowhere, rows, taken)

    penalty = np.zeros(len(features))
    penalty[movable] = average
    picks = fill_up(picks, partition, budget, labeled, candidates, utility_given)
    return Picks(
        picks,
        clusters=partition,
        density=utility,
        utility=utility[picks] - settings.lam * penalty[picks],
        regularizer=penalty[picks],
        parameters={
            "preset": preset,
            **asdict(settings),
            **({} if density_by == "mean" else {"density_by": density_by}),
            **({} if probing is None else asdict(probing)),
        },
    )


def needed(n: int, width: int, budget: int, labeled: int, parameters: Mapping[str, Any]) -> int:
    """Bytes that a selection takes beside its tables, with these parameters of :func:`pick`."""
    preset = str(parameters.get("preset", "paper"))
    row = PRESETS[preset][_column_of(n, budget)]
    k, horizon = (
        getattr(row, name) if parameters.get(name) is None else parameters[name]
        for name in ("k", "horizon")
    )
    count = min(n, parameters.get("n_clusters") or budget + labeled)
    exact = bool(parameters.get("exact"))
    found = 24 * min(k, n) * n if parameters.get("density_by") == "kth" else 0
    return found + Size(n, width, budget + labeled, count, min(k, n), horizon, exact).total()


def seconds(
    n: int, width: int, budget: int, labeled: int, parameters: Mapping[str, Any]
) -> dict[str, float]:
    """Seconds of the long stages, with these parameters of :func:`pick`."""
    exact = bool(parameters.get("exact"))
    clusters = min(n, parameters.get("n_clusters") or budget + labeled)
    return {
        "partition": partition_seconds(n, width, clusters, exact=exact),
        "search": search_seconds(n, width, exact=exact),
    }


def _utility(
    table: Table, settings: Preset, by: str, *, keep: Keep, progress: Progress, **how: Any
) -> tuple[Values, Probing | None]:
    """How representative every item is, float64 [n], and how its neighbours were searched."""
    k, own = settings.k, settings.count_self
    if k == 0:
        return np.zeros(len(table)), None
    if by == "kth":  # Eq. 2; the item itself is the first of the k where it counts
        others = k - 1 if own else k
        if others == 0:
            return density(np.zeros(len(table))), None
        _, distances = kept_nearest(table, others, keep=keep, progress=progress)
        farthest = distances[:, -1].astype(np.float64)
        return density(farthest**2 if settings.squared else farthest), None
    squared = settings.squared or by == "cosine"
    how |= {"squared": squared, "count_self": own}
    mean, probing = kept_mean_distance(table, k, keep=keep, progress=progress, **how)
    return (1 - mean / 2 if by == "cosine" else density(mean)), probing


def resolve(preset: str, n: int, budget: int, given: dict[str, float | None]) -> Preset:
    """The preset's column for this size, with the parameters that are given."""
    settings = replace(PRESETS[preset][_column_of(n, budget)], **not_none(given))
    return replace(settings, k=clamp_k(settings.k, n if settings.count_self else n - 1, n))


def _column_of(n: int, budget: int) -> int:
    """Which of a preset's columns is for this size."""
    return 2 if n > SMALL else (0 if budget <= FEW else 1)


def _own_partition(clusters: ArrayLike, n: int) -> NDArray[np.int64]:
    """Renumber a user's cluster numbers to 0..c-1; :class:`DataError` when they do not fit."""
    given = np.asarray(clusters)
    if given.shape != (n,):
        raise DataError(f"clusters: shape {given.shape} given; one number per item, ({n},).")
    if not np.issubdtype(given.dtype, np.integer):
        raise DataError(f"clusters: {given.dtype} given; cluster numbers must be integers.")
    return np.unique(given, return_inverse=True)[1].astype(np.int64)
