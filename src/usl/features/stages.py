"""What embedding and preprocessing have to do, for the time left.

Seconds on two cores with nothing else to do, those of an encoder on so many as there are; from 3%
of the images on, their own speed counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Stage
from usl.data.image_source import Images
from usl.numeric.blocks import thread_count

if TYPE_CHECKING:
    from usl.features.contract import Encoder

HASH = 2e-5  # an image
PREPARED, ENCODED = 2e-4, 5e-3  # an image; one that goes through a network
BYTE = 6e-8  # of an image file that is decoded
MOMENT, DIRECTION = 3e-11, 6e-11  # a product of the second moments, and of their eigenvectors
VALUE = 4e-9  # of a row that is brought into the space
PIXELS, PCA, WIDTH = 3072, 64, 512  # of encoders, as long as they are not known
KIND = "embedding"


def embedding_stages(n: int, encoder: Encoder | str) -> list[Stage]:
    """Hashing and encoding n images."""
    return [
        Stage("hash", HASH * n, kind=KIND, guessed=True),
        Stage("images", _each(encoder) * n, kind=KIND, guessed=True),
    ]


def images_stage(images: Images, rows: NDArray[np.int64], encoder: Encoder) -> Stage:
    """Encoding these rows and no others; the large files take longer than the small ones."""
    costs = [_each(encoder) + BYTE * size for size in _file_sizes(images, rows)]
    return Stage("images", sizes=costs, part=len(rows) / max(1, len(images)))


def stages_of_space(n: int, encoder: Encoder | str, *, fitted: bool) -> list[Stage]:
    """The same, then fitting a space, unless it is fitted already, and bringing them into it."""
    width, pca = (PIXELS, PCA) if _is_pixels(encoder) else (WIDTH, None)
    return [*embedding_stages(n, encoder), *fitting_stages(n, width, None if fitted else pca)]


def fitting_stages(n: int, width: int, pca: int | None) -> list[Stage]:
    """Fitting so many principal components to n rows, and bringing them into the space."""
    few = min(n, width)  # the products of all pairs of rows or of dimensions, whichever are fewer
    fit = n * width * few * MOMENT + few**3 * DIRECTION
    first = [Stage("space", fit, kind="space")] if pca else []  # reports nothing
    return [*first, Stage("features", VALUE * n * width, kind="space")]


def expected_width(encoder: Encoder | str) -> int:
    """Dimensions of the space that an encoder's rows are brought into."""
    return PCA if _is_pixels(encoder) else WIDTH


def _is_pixels(encoder: Encoder | str) -> bool:
    return (encoder if isinstance(encoder, str) else encoder.name) == "pixels"


def _each(encoder: Encoder | str) -> float:
    return PREPARED if _is_pixels(encoder) else ENCODED * 2 / thread_count()


def _file_sizes(images: Images, rows: NDArray[np.int64]) -> Sequence[int]:
    """Bytes of the files behind the rows; none where images are no files."""
    path = getattr(images, "path", None)
    if path is None:
        return []
    try:
        return [path(row).stat().st_size for row in rows.tolist()]
    except OSError:  # which is told when it is read
        return []
