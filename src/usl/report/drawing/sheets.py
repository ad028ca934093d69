"""Contact sheets: thousands of thumbnails in a few JPEG files, within a limit of bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from usl.core.errors import DataError
from usl.core.progress import Progress, silent
from usl.data.decode import shrink
from usl.data.image_source import read_scaled, size_of
from usl.report.drawing.thumbnails import encoded

if TYPE_CHECKING:
    from PIL import Image

    from usl.data.image_source import Images

    Found = list[tuple[int, Image.Image]]  # row and picture

SIDES = (64, 56, 48, 40, 32)  # of a thumbnail: multiples of JPEG's 8, so none meets the next
QUALITY = 66
ACROSS = 16  # thumbnails in a row of a sheet, and rows on it
LEAST = 220  # bytes of a thumbnail: what the smallest take, of photographs
PIXELS = 1_000_000_000  # decoded for those that are not needed, about 15 s
AT_SCALE = 0.4  # of the time of a whole JPEG, read at an eighth of its size


@dataclass(frozen=True)
class Sheets:
    """Thumbnails as JPEG sheets.

    ``side`` of the square that each has, in pixels; ``rows`` whose they are, in order; ``sizes``
    the width and height that each fills of its square, from the top left; ``files`` the sheets,
    in base64, ``ACROSS`` rows of ``ACROSS`` each; ``unread``, rows that were tried and cannot be
    read.
    """

    side: int
    rows: list[int]
    sizes: list[tuple[int, int]]
    files: list[str]
    unread: list[int]

    def record(self, places: dict[int, int]) -> dict[str, Any]:
        """As the page reads it; ``places`` are the numbers of the rows there."""
        return {
            "side": self.side,
            "across": ACROSS,
            "of": [places[row] for row in self.rows],
            "sizes": self.sizes,
            "sheets": self.files,
            "unread": [places[row] for row in self.unread],
        }


def make_sheets(
    images: Images,
    needed: Sequence[int],
    wanted: Sequence[int],
    limit: int,
    progress: Progress = silent,
) -> Sheets | None:
    """Thumbnails of the rows ``needed``, then of those ``wanted``, in at most ``limit`` bytes.

    1. Read as many as could fit, at a scale where that can be. Those that cannot be read have none.
       Of ``wanted``, reading ends after the time of 10^9 pixels: photographs of 12 megapixels would
       take minutes.
    2. Make sheets at 64 pixels a thumbnail, or fewer, down to 32: the first that fit. Pictures
       that are small are never enlarged.
    3. If even the smallest do not fit, leave out the last ones.

    None where not even one fits.
    """
    most = max(0, limit) // LEAST
    more = wanted[: most - len(needed[:most])]
    found, unread = read_small(images, needed[:most], more, progress)
    longest = max((max(picture.size) for _, picture in found), default=0)
    enough = min((side for side in SIDES if side >= longest), default=SIDES[0])
    sides = [side for side in SIDES if side <= enough]
    while found:
        for side in sides:
            files, each = fill(found, side, limit)
            if each * len(found) <= limit:
                sizes = [shrink(picture, side).size for _, picture in found]
                return Sheets(side, [row for row, _ in found], sizes, files, unread)
        sides = sides[-1:]
        found = found[: min(len(found) - 1, int(0.97 * limit / each))]
    return None


def fill(found: Found, side: int, limit: int) -> tuple[list[str], float]:
    """Sheets of the pictures, until the limit is passed, and the bytes that each takes."""
    files: list[str] = []
    count = size = 0
    for start in range(0, len(found), ACROSS**2):
        part = [picture for _, picture in found[start : start + ACROSS**2]]
        files.append(sheet(part, side))
        count, size = count + len(part), size + len(files[-1])
        if size > limit:
            break
    return files, size / count


def read_small(
    images: Images, needed: Sequence[int], wanted: Sequence[int], progress: Progress
) -> tuple[Found, list[int]]:
    """Row and picture, at most 64 pixels long, of each row that can be read; rows that cannot."""
    found: Found = []
    unread: list[int] = []
    pixels = 0
    scales = getattr(images, "scales", False)
    total = len(needed) + len(wanted)
    for done, row in enumerate([*needed, *wanted]):
        progress(done, total, "thumbnails")
        if done >= len(needed) and pixels > PIXELS:
            break
        try:
            picture = read_scaled(images, row, 2 * SIDES[0])
            if done >= len(needed):
                whole = math.prod(size_of(images, row)) if scales else 0
                pixels += max(math.prod(picture.size), int(AT_SCALE * whole))
        except DataError:
            unread.append(row)
            continue
        found.append((row, shrink(picture, SIDES[0]).convert("RGB")))
    progress(total, total, "thumbnails")
    return found, unread


def sheet(pictures: Sequence[Image.Image], side: int) -> str:
    """One JPEG in base64. A picture's edges go on to the end of its square: that costs least."""
    from PIL import Image

    down = -(-len(pictures) // ACROSS)
    whole = np.zeros((down * side, ACROSS * side, 3), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        pixels = np.asarray(shrink(picture, side))
        below, beside = side - pixels.shape[0], side - pixels.shape[1]
        top, left = number // ACROSS * side, number % ACROSS * side
        filled = np.pad(pixels, ((0, below), (0, beside), (0, 0)), mode="edge")
        whole[top : top + side, left : left + side] = filled
    # Full resolution of the colours keeps them within the square; "optimize" fails on pure noise.
    return encoded(Image.fromarray(whole), "JPEG", quality=QUALITY, subsampling=0)
