"""``--dry-run``: what embedding would cost, without doing it."""

from __future__ import annotations

from typing import Any

from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.features.cache import encoder_cache
from usl.features.contract import PrecisionName
from usl.features.embed import GIVEN
from usl.features.open_encoder import open_encoder
from usl.numeric.blocks import BLOCK_BYTES, thread_count
from usl.numeric.lazy_table import bytes_in_memory


def plan_embedding(
    source: Any,
    model: str = "auto",
    *,
    subset: str | None,
    precision: PrecisionName = "fp32",
    as_: str | None = None,
    max_pixels: int | None = None,
) -> dict[str, Any]:
    """Count what is there and what is cached; estimate memory, that of a network aside.

    Parameters
    ----------
    source : whatever :func:`usl.data.open_collection` understands.
    subset : the subset that would be embedded; None for all.
    precision, as_, max_pixels : as in :func:`usl.start_run`.
    """
    collection = open_collection(source, as_=as_, max_pixels=max_pixels)
    plan, rows, _ = describe(collection, model, subset, precision)
    return {**plan, "memory_mb": round((rows + 2 * thread_count() * BLOCK_BYTES) / 1e6)}


def describe(
    collection: Collection,
    model: str,
    subset: str | None,
    precision: PrecisionName = "fp32",
) -> tuple[dict[str, Any], int, int | None]:
    """The plan without memory, the bytes of the raw rows in memory, the encoder's default PCA."""
    part = collection if subset is None else collection.take(collection.rows_in(subset))
    pca = None
    plan: dict[str, Any] = {
        "source": collection.source,
        "kind": collection.kind,
        "images": len(part),
        "subset": subset or "all",
    }
    if part.features is not None:
        width, cached = int(part.features.shape[1]), len(part)
        rows = bytes_in_memory(part.features)
        plan |= {"encoder": (part.made_by or {"name": GIVEN})["name"]}
    else:
        assert part.images is not None
        encoder = open_encoder(model).in_precision(precision)
        width, rows = encoder.dim, len(part) * encoder.dim * encoder.dtype.itemsize
        cached = int(encoder_cache(encoder, part.images).contains(part.digests()).sum())
        pca = encoder.preprocessing["pca"]
        plan |= {"encoder": encoder.name, "supervision": encoder.supervision}
    plan |= {"width": width, "cached": cached, "to_compute": len(part) - cached}
    return plan, rows, pca
