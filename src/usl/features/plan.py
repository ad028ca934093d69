"""``--dry-run``: what embedding and selection would cost, without doing either."""

from __future__ import annotations

from typing import Any

from usl.core.blocks import BLOCK_BYTES, thread_count
from usl.data.open import open_collection
from usl.features.cache import FeatureCache
from usl.features.open import open_encoder

SECONDS_PER_PAIR = 2.5e-9  # of exact neighbour search with two threads, measured at d = 128


def plan_embedding(
    source: str, model: str = "auto", *, subset: str | None, budget: int | None = None
) -> dict[str, Any]:
    """Count what is there and what is cached; estimate memory and, for a selection, time.

    Parameters
    ----------
    subset : the subset that would be embedded; None for all.
    budget : number of picks, when a selection is planned too.
    """
    collection = open_collection(source)
    part = collection if subset is None else collection.take(collection.rows_in(subset))
    plan: dict[str, Any] = {
        "source": collection.source,
        "kind": collection.kind,
        "images": len(part),
        "subset": subset or "all",
    }
    if part.features is not None:
        width, cached = int(part.features.shape[1]), len(part)
        plan |= {"encoder": "given"}
    else:
        encoder = open_encoder(model)
        width = encoder.dim
        cached = int(FeatureCache.open(encoder.key).contains(part.digests()).sum())
        plan |= {"encoder": encoder.name, "supervision": encoder.supervision}
    plan |= {"width": width, "cached": cached, "to_compute": len(part) - cached}
    plan["memory_mb"] = round((2 * len(part) * width * 4 + 2 * thread_count() * BLOCK_BYTES) / 1e6)
    if budget is not None:
        plan["budget"] = budget
        plan["search_seconds"] = round(len(part) ** 2 * SECONDS_PER_PAIR, 1)
    return plan
