"""``usl select --dry-run``: what a selection would cost, without doing it."""

from __future__ import annotations

import os
from typing import Any

from usl.core.blocks import thread_count
from usl.core.errors import DataError
from usl.core.kmeans import EXACT_CLUSTERS, EXACT_PAIRS
from usl.core.representativeness import EXACT_ROWS
from usl.core.workspace import Workspace
from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.features.plan import describe
from usl.selection.constraint_files import read_constraints
from usl.selection.constraints import (
    Constraints,
    check_budget,
    check_constraints,
    check_end_to_end,
)
from usl.selection.memory import run_needs
from usl.selection.wanted import Share, Wanted

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
    constraints: Constraints | None = None,
    **method_params: Any,
) -> dict[str, Any]:
    """What ``start_run`` with these parameters would embed, how long it would take, in what memory.

    ``memory_mb`` is with all tables in memory, ``least_memory_mb`` with those in files that can
    be; a network's own memory comes on top. The seconds are those of ``usl`` on this many cores
    with nothing else to do, from measurements on two.

    ``constraints`` are checked before anything else, as far as that goes without features, with
    the errors of the run itself; ``constraints`` in the plan says what is left (:func:`planned`).
    """
    collection = open_collection(source)
    left = within(collection, budget, constraints, bool(method_params.get("end_to_end")))
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
    return plan | ({} if left is None else {"constraints": left})


def within(
    collection: Collection, budget: int, constraints: Constraints | None, end_to_end: bool
) -> dict[str, Any] | None:
    """What constraints leave to a selection from the train subset; None where there are none."""
    train = collection.rows_in("train")
    if not len(train):
        raise DataError(f"{collection.source}: the train subset is empty; nothing to pick from.")
    check_budget(budget, len(train))
    if constraints is None:
        return None
    wanted, _ = read_constraints(constraints, collection, train)
    wanted = wanted.restricted(train, len(collection), collection.ids)
    found, parts = check_constraints(wanted, len(train), budget, collection.ids[train])
    if end_to_end:
        check_end_to_end(wanted)
    return planned(wanted, found, parts)


def planned(constraints: Constraints, wanted: Wanted, parts: list[Share]) -> dict[str, Any]:
    """What is known of a selection within constraints while there are no features.

    ``candidates`` that the method may pick from, ``included`` and ``excluded`` items, ``to_pick``;
    for each of ``groups`` its items, candidates, must-includes and picks (must-includes counted);
    and ``needs_features``, the constraints that only the selection itself can check.
    """
    plan: dict[str, Any] = {
        "candidates": int(wanted.free.sum()),
        "included": len(wanted.include),
        "excluded": len(wanted.exclude),
        "to_pick": sum(needs for _, _, needs in parts),
    }
    if wanted.groups is not None:
        free, included = (wanted.groups.counts(x) for x in (wanted.free, wanted.include))
        plan["groups"] = {
            str(name): {
                "items": 0 if rows is None else len(rows),
                "candidates": int(free[group]),
                "included": int(included[group]),
                "picks": needs + int(included[group]),
            }
            for group, (name, rows, needs) in enumerate(parts)
        }
    plan["needs_features"] = [
        name
        for name, value in (
            ("collapse_duplicates", constraints.distance_of_duplicates),
            ("min_distance", constraints.min_distance),
        )
        if value is not None
    ]
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
