"""How good pictures are, in a few figures each: dark, blank, blurred, tiny, oddly shaped.

The figures are plain, and of the picture shrunk to ``SIDE`` pixels; nothing is learned. What counts
as poor is judged within a collection where that makes sense: all pictures of a microscope may be
dark, all of a thumbnail collection tiny.

=========== =================================================================================
width       of the stored picture, pixels
height      the same
brightness  95th percentile of the grey values, 0 to 1
contrast    standard deviation of the grey values, 0 to 0.5
sharpness   standard deviation of the Laplacian over that of the grey values: the share of fine
            detail (Pertuz et al., Pattern Recognition 46, 2013: LAP4, normalised)
=========== =================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, StoreError
from usl.core.progress import Progress, silent
from usl.data.decode import decode_file, shrink
from usl.data.image_source import Images
from usl.data.images import FileImages

if TYPE_CHECKING:
    from PIL import Image

SIDE = 256  # longest side, in pixels, at which a picture is judged
FIGURES = ("width", "height", "brightness", "contrast", "sharpness")
COLUMN = "quality_"  # what the names of a run's columns of them begin with
KINDS = ("dark", "blank", "blurred", "tiny", "odd shape")
DARK = 0.2  # brightness below this, and half of the collection's median
BLANK = 0.01  # contrast below this
BLURRED = 0.04  # sharpness below this, and a third of the collection's median
TINY = 64  # shorter side below this, and half of the collection's median
ODD = 3.0  # longer side over the shorter one above this, and twice the collection's median

Figures = dict[str, NDArray[np.float64]]


def measure(images: Images, rows: NDArray[np.int64], progress: Progress = silent) -> Figures:
    """The figures of some pictures, float64 [len(rows)] by name; NaN where one cannot be read."""
    found = np.full((len(rows), len(FIGURES)), np.nan)
    for place, row in enumerate(rows.tolist()):
        try:
            found[place] = figures_of(*_small(images, row))
        except StoreError:
            raise
        except DataError:
            pass  # told of where pictures are asked for
        progress(place + 1, len(rows), "quality")
    return dict(zip(FIGURES, found.T, strict=True))


def figures_of(image: Image.Image, size: tuple[int, int]) -> tuple[float, ...]:
    """The figures of a picture, given ``SIDE`` pixels long at most; ``size`` is the stored one."""
    grey = np.asarray(image.convert("L"), dtype=np.float64) / 255
    contrast = float(grey.std())
    return (*map(float, size), float(np.quantile(grey, 0.95)), contrast, _sharpness(grey, contrast))


def poor(figures: Figures) -> dict[str, NDArray[np.bool_]]:
    """Which pictures are of which of ``KINDS``; none is where its figures are NaN."""
    width, height, brightness, contrast, sharpness = (figures[name] for name in FIGURES)
    shorter = np.minimum(width, height)
    shape = np.maximum(width, height) / np.maximum(shorter, 1)
    with np.errstate(invalid="ignore"):
        blank = contrast < BLANK
        return {
            "dark": ~blank & (brightness < min(DARK, _median(brightness) / 2)),
            "blank": blank,
            "blurred": ~blank & (sharpness < min(BLURRED, _median(sharpness) / 3)),
            "tiny": shorter < min(TINY, _median(shorter) / 2),
            "odd shape": shape > max(ODD, 2 * _median(shape)),
        }


def copies(digests: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which pictures have the very content of another one; [n] bool. ``""`` is no digest."""
    _, inverse, counts = np.unique(digests.astype(str), return_inverse=True, return_counts=True)
    return np.asarray((counts[inverse] > 1) & (digests != ""), dtype=bool)


def later_copies(digests: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which pictures have the very content of one before them; [n] bool."""
    later = np.ones(len(digests), dtype=bool)
    later[np.unique(digests.astype(str), return_index=True)[1]] = False
    return later


def _small(images: Images, row: int) -> tuple[Image.Image, tuple[int, int]]:
    """A picture, shrunk, and its stored size."""
    from PIL import Image

    if not isinstance(images, FileImages):
        image = images.read(row)
        return shrink(image, SIDE), image.size
    path = images.path(row)
    image = decode_file(path, str(images.names[row]), max_pixels=images.max_pixels, side=SIDE)
    try:
        with Image.open(path) as header:
            return image, header.size
    except (OSError, ValueError):  # a camera's raw file, say: its shape is what is known
        return image, image.size


def _sharpness(grey: NDArray[np.float64], contrast: float) -> float:
    if min(grey.shape) < 3 or contrast < BLANK:
        return float("nan")
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around / 4 - inner).std() / contrast)


def _median(values: NDArray[np.float64]) -> Any:
    known = values[np.isfinite(values)]
    return np.median(known) if len(known) else np.nan
