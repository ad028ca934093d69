"""``usl select --dry-run``: what a selection would cost, without doing it."""

from __future__ import annotations

import os
from typing import Any

from usl.core.blocks import thread_count
from usl.core.kmeans import EXACT_CLUSTERS, EXACT_PAIRS
from usl.core.representativeness import EXACT_ROWS
from usl.core.workspace import Workspace
from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.features.plan import describe
from usl.selection.memory import run_needs

# Seconds on two cores, for features of 128 dimensions.
PAIR = 2.5e-9  # two rows, in the exact neighbour search
LISTED_ROW = 45e-6  # a row, in the search through inverted lists
LLOYD_PAIR = 5e-9  # a row and a centroid, each iteration
LLOYD_ITERATIONS = 50  # as many as it mostly takes
CANDIDATE_ROW = 60e-6  # a row in k-means through candidates, all iterations


def plan_run(
    source: str | os.PathLike[str] | Collection,
    budget: int,
    *,
    method: str = "usl",
    model: str = "auto",
    pca: int | None = None,
    memory: int | str | None = None,
    **method_params: Any,
) -> dict[str, Any]:
    """What ``start_run`` with these parameters would embed, how long it would take, in what memory.

    ``memory_mb`` is with all tables in memory, ``least_memory_mb`` with those in files that can
    be; a network's own memory comes on top. The seconds are those of ``usl`` on this many cores
    with nothing else to do, from measurements on two.
    """
    collection = open_collection(source)
    plan, raw, default = describe(collection, model, "train")
    n, width, pca = plan["images"], plan["width"], default if pca is None else pca
    dimensions = min(width, pca or width)
    held, work = run_needs(collection, width, pca, method, budget, method_params)
    tables = 4 * n * dimensions + (raw if collection.features is None else 0)
    plan |= {
        "budget": budget,
        "memory_mb": round((held + work + tables) / 1e6),
        "least_memory_mb": round((held + work) / 1e6),
    }
    bound = Workspace(memory)
    if bound.memory is not None:
        bound.hold(held)
        bound.reserve(work)
        plan["tables_in_files"] = held + work + tables > bound.memory
    if method == "usl":
        exact = bool(method_params.get("exact"))
        clusters = method_params.get("n_clusters") or budget
        plan |= estimated_seconds(n, dimensions, clusters, exact=exact)
    return plan


def estimated_seconds(n: int, d: int, clusters: int, *, exact: bool = False) -> dict[str, float]:
    """Seconds of the two long stages for n items of width d, as ``{"search_seconds": ...}``."""
    scale = max(d, 32) / 128 * 2 / thread_count()
    search = PAIR * n * n if exact or n <= EXACT_ROWS else LISTED_ROW * n
    lloyd = exact or clusters <= EXACT_CLUSTERS or n * clusters <= EXACT_PAIRS
    groups = LLOYD_PAIR * LLOYD_ITERATIONS * n * clusters if lloyd else CANDIDATE_ROW * n
    return {
        "search_seconds": round(search * scale, 1),
        "partition_seconds": round(groups * scale, 1),
    }
