"""How a picture becomes the input of an exported network: as JSON, and as lines of plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

SQUARE = """\
width, height = image.size
side = min(width, height)
box = [(width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2]
"""
LINES = {
    "float": SQUARE
    + """\
shrink = max(1, int(side / size / 3))
bands, box = image.reduce(shrink).split(), [edge / shrink for edge in box]
bands = [band.convert("F").resize((size, size), Image.Resampling.BICUBIC, box) for band in bands]
pixels = np.clip(np.stack([np.asarray(band) for band in bands]), 0, 255)
""",
    "bytes": SQUARE
    + """\
image = image.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
""",
    "crop": """\
shorter, (width, height) = told["shorter_side"], image.size
sides = [int(shorter * side / min(image.size)) for side in image.size]
image = image.resize(sides, Image.Resampling[told["interpolation"].upper()])
left, top = [round((side - size) / 2) for side in image.size]
image = image.crop((left, top, left + size, top + size))
pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
""",
}
WORDS = {
    "float": "the centre square, shrunk by whole-number averaging to no less than three times the "
    "size, then resized channel by channel in floating point, bicubic, clipped to 0..255",
    "bytes": "the centre square, resized in 8 bits, bicubic, with Pillow's reducing_gap of 3",
    "crop": "the shorter side resized to shorter_side in 8 bits, then the centre cropped",
}


@dataclass(frozen=True)
class Preparation:
    """From an RGB picture of 8 bits to ``(pixels - mean) / std``, float32 [3, size, size].

    ``pixels`` lie between 0 and 255, ``mean`` and ``std`` are of the three channels. ``how`` says
    which of the ways above; ``shorter`` and ``interpolation`` are for ``crop``.
    """

    how: Literal["float", "bytes", "crop"]
    size: int
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    shorter: int = 0
    interpolation: str = "bicubic"

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        crop = {"shorter_side": self.shorter, "interpolation": self.interpolation}
        return {
            "colours": "RGB, turned as EXIF says",
            "resize": WORDS[self.how],
            "size": self.size,
            **(crop if self.how == "crop" else {}),
            "mean": list(self.mean),
            "std": list(self.std),
            "values": "(pixel - mean) / std of pixels 0..255, float32 [batch, 3, size, size]",
        }

    def lines(self) -> str:
        """Python that makes ``pixels`` of ``image``, ``size`` and the JSON ``told``."""
        return LINES[self.how]
