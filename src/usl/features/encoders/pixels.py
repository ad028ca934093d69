"""The encoder of the core install: the picture itself, 32 x 32, to be reduced by PCA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.features.contract import Encoder
from usl.features.shared.preparation import Preparation
from usl.features.shared.resize import square_uint8

if TYPE_CHECKING:
    from PIL import Image

PRIORITY = 0
SIZE = 32


def names() -> list[str]:
    """Its one name."""
    return [Pixels.name]


def load(name: str) -> Encoder | None:
    """The encoder; it needs no weights."""
    return Pixels() if name == Pixels.name else None


class Pixels(Encoder):
    """Shorter side to 32 pixels, centre crop, bicubic: uint8 rows [32 * 32 * 3], channels last.

    64 principal components without whitening: on Fashion-MNIST and CIFAR-10 they find neighbours
    as well as 128 or 256 do, and 40 picks lead to classifiers no worse. (Whitening finds better
    neighbours, but worse classifiers from few labels.)
    """

    name = "pixels"
    key = "pixels-32-v1"  # a change of the input preparation needs a new key
    dim = SIZE * SIZE * 3
    dtype = np.dtype(np.uint8)
    supervision = "none"
    least = 2 * SIZE
    preprocessing: Mapping[str, Any] = {"center": True, "standardize": False, "pca": 64}

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and flatten."""
        return square_uint8(image, SIZE).reshape(-1)

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
        """Stack."""
        return np.stack(prepared)

    def module(self) -> Any:
        """Channels last, flattened."""
        from torch import nn

        class Flat(nn.Module):  # type: ignore[misc]
            def forward(self, images: Any) -> Any:
                return images.permute(0, 2, 3, 1).flatten(1)

        return Flat()

    def preparation(self) -> Preparation:
        """Whole numbers from 0 to 255."""
        return Preparation("bytes", SIZE)
