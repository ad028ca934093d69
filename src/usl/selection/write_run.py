"""The files of a new run: picks, split, images, preprocessing, and the record of it all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.files import write_json, write_json_lines
from usl.core.hashing import array_digest
from usl.data.collection import Collection
from usl.data.frames import LIST
from usl.data.images import FileImages
from usl.features.space import Space
from usl.run import folder as runs
from usl.run.excluded import write_excluded
from usl.run.identity import KEY, new_identity
from usl.run.images import write_images
from usl.run.sources import LISTED, source_record
from usl.run.split import Split
from usl.selection.constraints.result import Constrained
from usl.selection.known_labels import Known
from usl.selection.prepare import Prepared
from usl.selection.result import Selection


def write_run(
    folder: Path,
    source: object,
    ready: Prepared,
    space: Space,
    picks: Selection,
    known: Known,
    readable: NDArray[np.bool_],
    seed: int,
    seconds: dict[str, float],
) -> None:
    """Write all files of a new run; ``readable`` bool [n], which images of the source are in it."""
    collection = ready.collection
    kept = collection.take(np.flatnonzero(readable))
    position = np.cumsum(readable) - 1
    split = Split.start(kept.ids, kept.subsets, picks=position[space.rows[picks.indices]])
    picks.save(folder, collection.ids[space.rows])
    known.put_in(split, collection.ids).write(folder)
    if collection.kind == LIST:
        write_json_lines(folder / LISTED, listed(collection))
    write_images(folder, kept)
    left_out = ready.train[np.asarray(ready.wanted.exclude, dtype=np.int64)]
    write_excluded(folder, collection.ids[left_out].tolist())
    space.preprocessing.save(folder / "preprocessing.npz")
    record = {
        "format": runs.FORMAT,
        KEY: new_identity(),
        **runs.environment(),
        "source": source_record(source, ready.collection),
        "encoder": space.record(),
        "selection": {
            **selection_record(picks, ready, space, seed),
            **({"known": known.record()} if len(known) else {}),
        },
        "seconds": seconds,
    }
    write_json(folder / runs.INFO, record)
    if picks.backbone is not None:
        keep_backbone(folder, picks, space)


def listed(collection: Collection) -> Iterator[dict[str, Any]]:
    """The rows of a manifest of the collection's files, by which the run finds them again."""
    images = collection.images
    assert isinstance(images, FileImages)
    for row, word in enumerate(collection.ids.tolist()):
        label = None if collection.labels is None else collection.labels[row]
        yield {
            "path": os.path.abspath(images.path(row)),
            "image_id": word,
            "subset": str(collection.subsets[row]),
            **({} if label is None else {"label": label}),
        }


def selection_record(picks: Selection, ready: Prepared, space: Space, seed: int) -> dict[str, Any]:
    """The ``selection`` section of ``run.json``; nothing of constraints where there were none."""
    found = picks.constraints if isinstance(picks, Constrained) else None
    return {
        "method": picks.method,
        "budget": len(picks),
        "seed": seed,
        "parameters": picks.parameters,
        "oracle": ready.oracle,
        **({"constraints": {**ready.files, **found}} if found else {}),
        "features": array_digest(space.features),
    }


def keep_backbone(folder: Path, picks: Selection, space: Space) -> None:
    """Write the encoder that the selection trained, as ``encoder.safetensors``."""
    from usl.learning.backbone import save_backbone

    save_backbone(
        folder / "encoder.safetensors",
        picks.backbone,
        space.embedding.encoder.supervision,
        method=picks.method,
        start=space.embedding.encoder.name,
        **{name: picks.parameters[name] for name in ("epochs", "network_lr")},
        seed=picks.seed,
    )
