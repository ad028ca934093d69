"""Selection methods that train the encoder, too, such as ``usl_t`` with ``end_to_end = true``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.benchmarking.entries import Entry
from usl.benchmarking.pools import Draw, Pool


def with_trainable(entry: Entry, draw: Draw, pool: Pool, folder: Path) -> dict[str, Any]:
    """The parameters of a method, and what one that trains the pool's encoder needs besides.

    ``folder`` holds the checkpoints, from which a training that was stopped goes on.

    Raises :class:`usl.core.errors.UsageError` for an encoder that cannot be trained further.
    """
    if not entry.end_to_end:
        return dict(entry.params)
    from usl.features.start_backbone import start_backbone
    from usl.learning.pictures import open_pictures
    from usl.selection.methods.usl_t.network import Trainable

    images = pool.pictures(draw)[0].images
    assert images is not None
    encoder = str(pool.trained.get(pool.encoder, pool.encoder))

    def backbone() -> Any:
        return start_backbone("", encoder, None, seed=0)[0]

    trainable = Trainable(
        backbone,
        lambda size, progress: open_pictures(images, size, name=pool.dataset, progress=progress),
        mean=draw.space.mean,
        deviation=draw.space.deviation,
        components=draw.space.components,
        folder=folder,
    )
    return {**entry.params, "trainable": trainable}
