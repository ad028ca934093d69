"""From a collection to the points a method works on: encode, centre, scale, project, normalise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.progress import Progress, expect, silent
from usl.data.collection import Collection
from usl.features.contract import Encoder, EncoderInfo, PrecisionName
from usl.features.embed import Embedding, embed
from usl.features.preprocessing import Preprocessing
from usl.features.stages import fitting_stages, stages_of_space
from usl.numeric.arrays import Float32
from usl.numeric.lazy_table import taken
from usl.numeric.workspace import Workspace


class NothingReadableError(DataError):
    """None of the images can be read; ``skipped`` holds ``(image_id, reason)`` of each."""

    def __init__(self, message: str, skipped: tuple[tuple[str, str], ...]) -> None:
        """The message, and the images."""
        super().__init__(message)
        self.skipped = skipped


@dataclass(frozen=True, eq=False)
class Space:
    """The images of a collection that could be read, as points on the unit sphere.

    ``features`` float32 [r, d]; ``rows`` int64 [r], their rows in the collection; ``embedding``
    tells the encoder, what was reused and what was skipped.
    """

    features: Float32
    rows: NDArray[np.int64]
    preprocessing: Preprocessing
    embedding: Embedding

    def lengths(self) -> NDArray[np.float32]:
        """The length of every point before it was scaled to 1, float32 [r]."""
        return self.preprocessing.lengths(self.embedding.rows)

    def record(self) -> dict[str, Any]:
        """The ``encoder`` section of ``run.json``."""
        encoder = self.embedding.encoder
        return {
            "name": encoder.name,
            "key": encoder.key,
            "supervision": encoder.supervision,
            **({} if encoder.layer is None else {"layer": encoder.layer}),
            **({"at_scale": True} if encoder.at_scale else {}),
            **({} if encoder.precision == "fp32" else {"precision": encoder.precision}),
            "width": int(self.embedding.rows.shape[1]),
            "dimensions": int(self.features.shape[1]),
            "preprocessing": self.preprocessing.digest,
            "reused": self.embedding.reused,
            "computed": self.embedding.computed,
            "seconds": round(self.embedding.seconds, 3),
            "unreadable": [list(pair) for pair in self.embedding.skipped],
        }


def open_space(
    collection: Collection,
    model: str | Encoder = "auto",
    *,
    rows: NDArray[np.int64] | None = None,
    preprocessing: Preprocessing | None = None,
    settings: dict[str, Any] | None = None,
    precision: PrecisionName = "fp32",
    on_corrupt: Literal["skip", "fail"] = "skip",
    workspace: Workspace | None = None,
    progress: Progress = silent,
) -> Space:
    """Encode ``rows`` of the collection (default: all) and bring them into one space.

    Parameters
    ----------
    model : an encoder or its name; ``auto`` takes the best that is installed.
    preprocessing : a fitted one to apply; without it one is fitted on the rows of the train
        subset, with the encoder's defaults changed by ``settings`` (center, standardize, pca).
    precision : as in :func:`usl.features.embed.embed`.
    on_corrupt : ``skip`` unreadable images, or ``fail`` at the first.
    workspace : where the tables lie; default: in memory.
    """
    wanted = np.arange(len(collection)) if rows is None else rows
    part = collection.take(wanted)
    if part.features is None:
        expect(progress, *stages_of_space(len(part), model, fitted=preprocessing is not None))
    embedding = embed(
        part,
        model,
        precision=precision,
        on_corrupt=on_corrupt,
        workspace=workspace,
        progress=progress,
    )
    if len(embedding.rows) == 0:
        raise NothingReadableError(
            f"{collection.source}: none of the {len(part)} images could be read.", embedding.skipped
        )
    if preprocessing is None:
        train = part.subsets[embedding.kept] == "train"
        if not train.any():
            raise DataError(f"{collection.source}: no readable image in the train subset.")
        chosen = fit_settings(embedding.encoder, settings)
        n, width = embedding.rows.shape
        expect(progress, *fitting_stages(n, width, chosen["pca"]))
        preprocessing = Preprocessing.fit(taken(embedding.rows, np.flatnonzero(train)), **chosen)
    kept = wanted[embedding.kept]
    features = preprocessing.transform(embedding.rows, workspace, progress=progress)
    return Space(features, kept, preprocessing, embedding)


def fit_settings(encoder: EncoderInfo, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """What :meth:`Preprocessing.fit` is told: an encoder's defaults, changed where given."""
    changed = {name: value for name, value in (settings or {}).items() if value is not None}
    return {**encoder.preprocessing, **changed}


def restrict(space: Space, chosen: NDArray[np.bool_]) -> Space:
    """The space with some of its points only."""
    return replace(space, features=space.features[chosen], rows=space.rows[chosen])
