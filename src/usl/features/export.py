"""Features as a file of their own, which is a source like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from usl.core.errors import UsageError
from usl.data.addresses import shown
from usl.data.collection import Collection
from usl.data.sinks import check_sink, exists, write_to
from usl.features.embed import Embedding


def check_target(out: Path | None, *, overwrite: bool) -> None:
    """Refuse a file that exists or that is no ``.npz``, before any work is done for it."""
    if out is None:
        return
    check_sink(out)
    if out.suffix != ".npz":
        raise UsageError(f"--out: {shown(out)} given; features are written as .npz.")
    if exists(out) and not overwrite:
        raise UsageError(
            f"--out: {shown(out)} exists. Choose another file, or replace it: --overwrite."
        )


def write_features(out: Path, collection: Collection, embedding: Embedding) -> None:
    """Write ``features`` [n, d], ``ids`` and ``subset`` [n] (``labels`` if known)."""
    kept = embedding.kept
    columns: dict[str, Any] = {
        "features": embedding.rows,
        "ids": collection.ids[kept],
        "subset": collection.subsets[kept],
    }
    if collection.labels is not None:
        columns["labels"] = np.array([label or "" for label in collection.labels[kept]])
    with write_to(out) as handle:
        np.savez(handle, **columns)
