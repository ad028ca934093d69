"""Projection to two dimensions: t-SNE of the picks and a sample; the rest is interpolated."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.files import atomic_write
from usl.core.hashing import array_digest, json_digest
from usl.core.npz import read_npz
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.distances import nearest
from usl.numeric.neighbor_graph import similarity

FILE = "map.npz"
VERSION = 2  # raised when the same input would give another map
POINTS = 2_000  # others that t-SNE places: 4 s on two cores
MOST = 5_000  # the most that it may place: 30 s
DRAWN = 50_000  # points on the map in all: 3 s; of larger collections a sample is shown
PERPLEXITY, ITERATIONS = 30.0, 500
NEIGHBORS, POWER = 5, 8.0
NO_VARIANCE = 1e-9  # rounding alone leaves so much of unit rows that are all alike


@dataclass(frozen=True, eq=False)
class Projection:
    """Points of a map.

    ``rows`` int64 [q], their rows in the features, the picks first; ``xy`` float32 [q, 2], without
    unit or direction; ``mapped``, how many of the first rows t-SNE itself has placed.
    """

    rows: NDArray[np.int64]
    xy: Float32
    mapped: int


def project(
    features: Float32,
    picks: NDArray[np.int64],
    *,
    points: int = POINTS,
    seed: int = 0,
    progress: Progress = silent,
) -> Projection:
    """Place the picks and other rows, up to 50,000 in all, in the plane.

    t-SNE (PCA start, perplexity 30) takes the picks and ``points`` random others, at most 5,000 in
    all. Every further row is set at the mean of its 5 nearest rows among those, weighted by
    max(cosine, 0) ** 8.

    Parameters
    ----------
    features : float32 [n, d], unit rows.
    picks : int64 [m], rows, best first.

    Raises
    ------
    UsageError : ``points`` not between 0 and 5,000.
    """
    if not 0 <= points <= MOST:
        raise UsageError(f"points: {points} given; it must be between 0 and {MOST:,}.")
    others = np.ones(len(features), dtype=bool)
    others[picks] = False
    rest = np.random.default_rng(seed).permutation(np.flatnonzero(others))
    rows = np.concatenate([picks, rest])[: max(DRAWN, len(picks))]
    mapped = min(len(rows), len(picks) + points, MOST)
    progress(0, 1, "map")
    xy = np.empty((len(rows), 2), dtype=np.float32)
    xy[:mapped] = tsne(features[rows[:mapped]], seed)
    if mapped < len(rows):
        base = features[rows[:mapped]]
        found, distances = nearest(features[rows[mapped:]], base, min(NEIGHBORS, mapped))
        weights = similarity(distances, POWER)
        weights[weights.sum(axis=1) == 0] = 1.0
        weights /= weights.sum(axis=1, keepdims=True)
        xy[mapped:] = np.einsum("qk,qkc->qc", weights, xy[found])
    progress(1, 1, "map")
    return Projection(rows, xy, mapped)


def cached_projection(
    path: Path,
    features: Float32,
    picks: NDArray[np.int64],
    *,
    points: int = POINTS,
    seed: int = 0,
    keeping: Callable[[], AbstractContextManager[None]] = nullcontext,
    progress: Progress = silent,
) -> Projection:
    """As :func:`project`, kept in the file ``path`` for as long as the input stays the same.

    ``keeping`` is entered while the file is written.
    """
    key = json_digest(
        {
            "version": VERSION,
            "features": array_digest(features),
            "picks": array_digest(picks),
            "points": points,
            "seed": seed,
        }
    )
    try:
        stored = read_npz(path)
        if str(stored["key"]) == key:
            return Projection(stored["rows"], stored["xy"], int(stored["mapped"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or not usable: it is only there to save time
    made = project(features, picks, points=points, seed=seed, progress=progress)
    try:
        with keeping(), atomic_write(path) as handle:
            np.savez(handle, key=np.array(key), rows=made.rows, xy=made.xy, mapped=made.mapped)
    except (OSError, DataError):
        pass  # a run folder that cannot be written to costs time, never the report
    return made


def tsne(points: Float32, seed: int) -> Float32:
    """t-SNE of a few thousand rows, float32 [q, 2]; principal axes where it has no meaning."""
    flat = principal_axes(points)
    if len(points) < 5 or not flat.any():
        return flat
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = 1e-4 * flat / flat[:, 0].std()  # as scikit-learn's own PCA start
    method = TSNE(
        init=start,
        perplexity=min(PERPLEXITY, (len(points) - 1) / 3),
        max_iter=ITERATIONS,
        random_state=seed,
    )
    # One thread: at this size a second one gains nothing, and on a busy machine the threads wait
    # for each other at every iteration and take five times as long.
    with threadpool_limits(1):
        made = method.fit_transform(points)
    return np.asarray(made, dtype=np.float32)


def principal_axes(points: Float32) -> Float32:
    """The rows on their two principal axes, float32 [q, 2]; zeros where there is no variance."""
    from scipy.linalg import eigh

    centred = points - points.mean(axis=0, dtype=np.float64)
    width = points.shape[1]
    values, axes = eigh(centred.T @ centred, subset_by_index=[max(0, width - 2), width - 1])
    flat = np.zeros((len(points), 2), dtype=np.float32)
    for column, (value, axis) in enumerate(zip(values[::-1], axes.T[::-1], strict=True)):
        if value > NO_VARIANCE * len(points):
            flat[:, column] = centred @ (axis * np.sign(axis[np.abs(axis).argmax()]))
    return flat
