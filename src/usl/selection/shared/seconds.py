"""Estimated seconds of the long stages of a selection, for ``--dry-run`` and the time left.

Seconds with nothing else to do, from measurements on two cores with features of 128 dimensions.
A method that can say it has a function ``seconds`` (:mod:`usl.selection.contract`).
"""

from __future__ import annotations

from collections.abc import Mapping

from usl.core.progress import Repeated, Stage
from usl.numeric.blocks import thread_count
from usl.numeric.kmeans import EXACT_CLUSTERS, EXACT_PAIRS
from usl.numeric.neighbor_search import EXACT_ROWS

PAIR = 2.5e-9  # two rows, in an exact search
LISTED_ROW = 45e-6  # a row, in the search through inverted lists
LLOYD_PAIR = 3e-9  # a row and a centroid, each iteration
LLOYD_ITERATIONS = 50  # as many as it mostly takes
PARTITION = 5e-3  # k-means of however few rows
CANDIDATE_ROW = 60e-6  # a row in k-means through candidates, all iterations
SHOWN = {  # what the stages are reported as while they are at work
    "search": ("neighbours", "density"),
    "partition": ("k-means", "partitions"),
    "training": ("usl_t",),
}


def stages(expected: Mapping[str, float], groups: int = 1) -> list[Stage]:
    """The stages of a method's ``seconds``, in their order, for each of so many groups."""
    return [
        Stage(
            name,
            groups * seconds,
            labels=SHOWN.get(name, ()),
            passes=groups * (seconds.passes if isinstance(seconds, Repeated) else 1),
            ends_at=LLOYD_ITERATIONS if name == "partition" else None,
            kind="selection" if name in SHOWN else name,
        )
        for name, seconds in expected.items()
        if seconds > 0
    ]


def nearest_seconds(n: int, m: int, d: int) -> float:
    """The nearest of m points for each of n items of width d, all pairs compared."""
    return _scaled(PAIR * n * m, d)


def search_seconds(n: int, d: int, *, exact: bool = False) -> float:
    """A search of the neighbours of n items of width d."""
    if exact or n <= EXACT_ROWS:
        return nearest_seconds(n, n, d)
    return _scaled(LISTED_ROW * n, d)


def partition_seconds(
    n: int, d: int, clusters: int, *, iterations: int = LLOYD_ITERATIONS, exact: bool = False
) -> float:
    """k-means of n items of width d."""
    lloyd = exact or clusters <= EXACT_CLUSTERS or n * clusters <= EXACT_PAIRS
    pairs = LLOYD_PAIR * iterations * n * clusters if lloyd else CANDIDATE_ROW * n
    return PARTITION + _scaled(pairs, d)


def _scaled(seconds: float, d: int) -> float:
    return seconds * max(d, 32) / 128 * 2 / thread_count()
