"""``usl select --dry-run``: what a selection would cost, without doing it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from usl.data.collection import Collection
from usl.features.contract import PrecisionName
from usl.features.dry_run import describe
from usl.features.head_encoder import LayerName, with_layer
from usl.selection.constraints.resolve import Share, Wanted
from usl.selection.constraints.select_within import Constraints
from usl.selection.contract import DEFAULT, METHODS, SECONDS
from usl.selection.memory_bound import run_needs
from usl.selection.prepare import prepare


def plan_run(
    source: str | os.PathLike[str] | Collection,
    budget: int,
    *,
    method: str = DEFAULT,
    model: str = "auto",
    layer: LayerName | None = None,
    precision: PrecisionName = "fp32",
    pca: int | None = None,
    memory: int | str | None = None,
    constraints: Constraints | None = None,
    as_: str | None = None,
    max_pixels: int | None = None,
    labels: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    use_known: bool = False,
    **method_params: Any,
) -> dict[str, Any]:
    """What ``start_run`` with these parameters would embed, how long it would take, in what memory.

    ``memory_mb`` is with all tables in memory, ``least_memory_mb`` with those in files that can
    be; a network's own memory comes on top. The seconds are those of the long stages of a method
    that says them (:mod:`usl.selection.shared.seconds`), on this many cores with nothing else to
    do.

    What the run would refuse is refused, as far as that shows without features, with the errors of
    the run itself; ``constraints`` in the plan says what they leave (:func:`planned`).
    """
    opened = {"as_": as_, "max_pixels": max_pixels}
    model = with_layer(model, layer)
    ready = prepare(
        source,
        budget,
        method,
        model,
        pca,
        memory,
        None,
        constraints,
        method_params,
        opened,
        labels,
        use_known,
    )
    labeled = len(ready.known.among(ready.train))
    collection = ready.collection
    plan, raw, default = describe(collection, model, "train", precision)
    n, width, pca = plan["images"], plan["width"], default if pca is None else pca
    dimensions = min(width, pca or width)
    held, work = run_needs(collection, width, pca, method, budget, method_params, labeled)
    tables = 4 * n * dimensions + (raw if collection.features is None else 0)
    plan |= {
        "budget": budget,
        "method": method,
        "memory_mb": round((held + work + tables) / 1e6),
        "least_memory_mb": round((held + work) / 1e6),
    }
    if labeled:
        plan["labels_already"] = labeled
    if ready.workspace.memory is not None:
        plan["tables_in_files"] = held + work + tables > ready.workspace.memory
    seconds = getattr(METHODS.load(method), SECONDS, None)
    if seconds is not None:
        stages = seconds(n, dimensions, budget, labeled, method_params)
        plan |= {f"{stage}_seconds": round(taken, 1) for stage, taken in stages.items()}
    if constraints is not None:
        plan["constraints"] = planned(ready.wanted, ready.shares)
    return plan


def planned(wanted: Wanted, parts: list[Share]) -> dict[str, Any]:
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
            ("collapse_duplicates", wanted.asked.distance_of_duplicates),
            ("min_distance", wanted.asked.min_distance),
        )
        if value is not None
    ]
    return plan
