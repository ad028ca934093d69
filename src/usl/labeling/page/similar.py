"""Nearest neighbours of an image, and those a pick stands for, to label them together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.data.collection import Collection
from usl.features.cache import ENDING, FeatureCache
from usl.features.preprocessing import Preprocessing
from usl.numeric.arrays import Float32
from usl.numeric.distances import squared_distances
from usl.numeric.lazy_table import taken
from usl.run.folder import Run
from usl.run.picks import read_picks

NEAREST = 96  # offered besides what a pick stands for
MOST = 480  # offered in all
BLOCK = 256  # rows brought into the run's space at once
COMPARED = 4096  # rows compared with one at once
TOO_LARGE = 1 << 30  # bytes of features that are not worth holding for this

Read = Callable[[NDArray[np.int64]], tuple[NDArray[Any], NDArray[np.bool_]]]


@dataclass(frozen=True)
class Alike:
    """An image like another: its row, the distance (None if unknown), whether it is stood for."""

    row: int
    distance: float | None
    represented: bool


class Similar:
    """The likeness of a run's images.

    Features come from the cache alone, so that no encoder need be loaded; where they are not in
    it, what the picks stand for is all there is.

    Parameters
    ----------
    run, collection : the run and its images.
    rows : row in the collection by image id.
    """

    def __init__(self, run: Run, collection: Collection, rows: dict[str, int]) -> None:
        self.run, self.collection, self._rows = run, collection, rows
        self._picks, self._represented, self._counts = _represented(run)
        self._features: tuple[Float32, NDArray[np.int64]] | None = None
        self._looked = False
        self._lock = threading.Lock()

    def represented(self, image_id: str) -> list[int]:
        """Rows of the images that a pick stands for, itself left out; of others none."""
        number = self._picks.get(image_id)
        if number is None:
            return []
        found = (self._rows.get(str(name)) for name in self._represented[number].as_py())
        own = self._rows.get(image_id)
        return [row for row in found if row is not None and row != own]

    def count(self, image_id: str) -> int:
        """How many images a pick stands for, itself included; 0 if it is no pick.

        Of a run that holds a sample of shards, those of its cluster in the whole table.
        """
        number = self._picks.get(image_id)
        if number is None:
            return 0
        return len(self._represented[number]) if self._counts is None else self._counts[number]

    def like(self, row: int) -> list[Alike]:
        """Images like one, nearest first: what it stands for and its nearest; train images only."""
        own = self.represented(str(self.collection.ids[row]))
        train = self.collection.subsets == "train"
        stood_for = set(own)
        distances = self.distances(row)
        if distances is None:
            return [Alike(other, None, True) for other in own[:MOST]]
        candidates = np.flatnonzero(train & np.isfinite(distances))
        candidates = candidates[candidates != row]
        nearest = candidates[np.argsort(distances[candidates], kind="stable")[:NEAREST]]
        merged = sorted({*own, *nearest.tolist()}, key=lambda other: (distances[other], other))
        return [
            Alike(other, _number(distances[other]), other in stood_for) for other in merged[:MOST]
        ]

    def nearest_first(self, row: int, others: Sequence[int]) -> list[int]:
        """``others``, the nearest to ``row`` first, if features are at hand already."""
        if self._features is None:
            return list(others)
        distances = self.distances(row)
        if distances is None:
            return list(others)
        return sorted(others, key=lambda other: (distances[other], other))

    def warm_in_background(self) -> None:
        """Fetch the features before they are needed."""
        threading.Thread(target=self.points, name="features", daemon=True).start()

    def distances(self, row: int) -> NDArray[np.float64] | None:
        """Distances of every image of the collection to one; infinite where unknown."""
        found = self.points()
        if found is None:
            return None
        features, position = found
        if position[row] < 0:
            return None
        one = features[position[row]][None]
        parts = range(0, len(features), COMPARED)  # all at once would be copied for it
        squares = [squared_distances(one, features[at : at + COMPARED])[0] for at in parts]
        near = np.sqrt(np.concatenate(squares))
        known = position >= 0
        distances = np.full(len(position), np.inf)
        distances[known] = near[position[known]]
        return distances

    def points(self) -> tuple[Float32, NDArray[np.int64]] | None:
        """Features float32 [p, d], and for each row of the collection which is its, or -1."""
        with self._lock:
            if not self._looked:
                self._looked = True
                try:
                    self._features = _features(self.run, self.collection)
                except (DataError, OSError, KeyError, ValueError):
                    self._features = None  # likeness is a help, not a need
            return self._features


def _number(distance: float) -> float | None:
    return round(float(distance), 4) if np.isfinite(distance) else None


def _represented(run: Run) -> tuple[dict[str, int], Any, list[int] | None]:
    """Number of each pick by id; for each number the ids it stands for (an Arrow array), and how
    many these are where the run holds only some of them.
    """
    try:
        table = read_picks(run.path, "represented", "cluster_size")
    except DataError:
        return {}, [], None  # a help, not a need
    if "represented" not in table.column_names:
        return {}, [], None
    numbers = {name: number for number, name in enumerate(table["image_id"].to_pylist())}
    whole = "shards" in run.info and "cluster_size" in table.column_names
    counts = table["cluster_size"].to_pylist() if whole else None
    return numbers, table["represented"].combine_chunks(), counts


def _features(run: Run, collection: Collection) -> tuple[Float32, NDArray[np.int64]] | None:
    """The run's features, from the source or the cache; None where they are not to be had."""
    n = len(collection)
    read = _reader(run, collection)
    if read is None:
        return None
    fitted = Preprocessing.load(run.path / "preprocessing.npz")
    position, count = np.full(n, -1, dtype=np.int64), 0
    points: Float32 = np.empty((0, 0), np.float32)
    for start in range(0, n, BLOCK):  # raw rows may be ten times as wide as those of the space
        rows = np.arange(start, min(start + BLOCK, n))
        raw, found = read(rows)
        if found.any():
            made = fitted.transform(raw[found])
            if not count:  # once, for all: parts to be joined at the end would take twice as much
                points = np.empty((n, made.shape[1]), np.float32)
            points[count : count + len(made)] = made
            position[rows[found]] = np.arange(count, count + len(made))
            count += len(made)
    return (points[:count], position) if count else None


def _reader(run: Run, collection: Collection) -> Read | None:
    """What reads raw features of some rows, and tells which it has; None if they are too many."""
    n = len(collection)
    if (given := collection.features) is not None:
        if given.size * given.dtype.itemsize > TOO_LARGE:
            return None
        return lambda rows: (np.asarray(taken(given, rows)), np.ones(len(rows), dtype=bool))
    record = run.info["encoder"]
    at_scale = record.get("at_scale", False) and getattr(collection.images, "scales", False)
    cache = FeatureCache.open(record["key"], at_scale=at_scale)
    dtype, width = _dtype(cache), int(record["width"])
    if dtype is None or n * width * dtype.itemsize > TOO_LARGE:
        return None
    recorded = run.recorded_digests()
    digests = np.array([recorded.get(name, "") for name in collection.ids.tolist()])

    def fetched(rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        raw = np.zeros((len(rows), width), dtype=dtype)
        return raw, cache.fetch(digests[rows], raw, np.arange(len(rows)))

    return fetched


def _dtype(cache: FeatureCache) -> np.dtype[Any] | None:
    """The type of the cached rows, from any shard."""
    for path in cache.folder.glob(f"*{ENDING}"):
        with open(path, "rb") as handle:
            np.load(handle, allow_pickle=False)  # the digests
            rows: NDArray[Any] = np.load(handle, allow_pickle=False)
            return rows.dtype
    return None
