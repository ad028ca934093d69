"""What an encoder is, and how one is found by name.

An encoder turns a picture into a raw feature row. Raw rows are what the cache keeps; centring,
scaling and the unit length are fitted later (:mod:`usl.features.preprocessing`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError, did_you_mean, missing_extra

if TYPE_CHECKING:
    from PIL import Image

SUPERVISION = ("none", "ImageNet labels", "image-text pairs", "unknown")
BUILT_IN = ("pixels", "efficientnet_lite1", "efficientnet_lite0")
CHECKPOINT_ENDINGS = (".pth", ".pt", ".safetensors")

BETTER_ENCODER_ADVICE = (
    "the features are raw pixels (PCA), which show colours and layout, not contents. A much better "
    "encoder needs no network: pip install 'usl[torch]'"
)


@dataclass(frozen=True)
class EncoderInfo:
    """What is recorded about the encoder of an embedding.

    ``supervision`` is what its training was told: one of ``SUPERVISION``; shown beside every
    figure that rests on it. ``preprocessing`` holds the default ``center``, ``standardize`` and ``pca``.
    """

    name: str
    key: str
    dim: int
    supervision: str
    preprocessing: Mapping[str, Any]


class Encoder(ABC):
    """One way from a picture to a raw feature row; a new encoder is one file with a subclass.

    Attributes
    ----------
    name : what the user types.
    key : identity of the cached rows, usable as a folder name: the name, and a hash of the weights
        and of the version of the input preparation. Equal keys mean equal rows.
    dim, dtype : width and type of a raw row.
    supervision : one of ``SUPERVISION``.
    preprocessing : default ``center``, ``standardize`` and ``pca`` for these rows.
    batch_size : pictures per ``forward`` that suit it.

    Rows depend on the picture alone, up to floating-point rounding: a network may sum in another
    order for another batch size (relative differences of about 1e-6).
    """

    name: str
    key: str
    dim: int
    dtype: np.dtype[Any]
    supervision: str
    preprocessing: Mapping[str, Any]
    batch_size: int = 64

    @abstractmethod
    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """One picture (``L`` or ``RGB``, any size) to the small array that ``forward`` takes.

        Called from several threads at once.
        """

    @abstractmethod
    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Prepared pictures [b] to raw rows [b, dim] of ``dtype``. Called from one thread."""

    def encode(self, images: Sequence[Image.Image]) -> NDArray[Any]:
        """Pictures [b] to raw rows [b, dim]."""
        return self.forward([self.prepare(image) for image in images])

    def info(self) -> EncoderInfo:
        """The record of this encoder."""
        return EncoderInfo(
            self.name, self.key, self.dim, self.supervision, dict(self.preprocessing)
        )


def best_installed() -> str:
    """Name of the best encoder that works offline here; imports nothing to find out."""
    from usl.features.efficientnet_lite import package_of

    needed = ("torch", "timm", package_of("efficientnet_lite1"))
    return "efficientnet_lite1" if all(find_spec(name) for name in needed) else "pixels"


def open_encoder(name: str = "auto") -> Encoder:
    """The encoder that ``name`` stands for.

    ``auto`` (the best that is installed), ``pixels``, ``efficientnet_lite1``,
    ``efficientnet_lite0``, any timm model (``timm:NAME`` or ``NAME``), or a local checkpoint of a
    timm architecture (``ARCH@PATH``, as in ``resnet50@weights.pth``). Only a timm model, or what
    the user names as one, may use the network.

    Raises
    ------
    UsageError
        no such encoder (the nearest name is suggested).
    MissingDependencyError
        the encoder is known, but a package for it is not installed.
    DataError
        the weights cannot be fetched, read, or do not fit the architecture.
    """
    if name == "auto":
        name = best_installed()
    if name == "pixels":
        from usl.features.pixels import Pixels

        return Pixels()
    if name in BUILT_IN:
        from usl.features.efficientnet_lite import EfficientNetLite

        return EfficientNetLite(name)
    if "@" in name:
        require_timm(f"The checkpoint encoder {name!r}")
        from usl.features.checkpoint import open_checkpoint

        return open_checkpoint(name)
    if name.endswith(CHECKPOINT_ENDINGS):
        raise UsageError(
            f"encoder {name!r}: a checkpoint needs its architecture: write ARCH@{name}, "
            f"as in resnet50@{name}."
        )
    if name.startswith("timm:"):
        require_timm(f"The encoder {name!r}")
    if find_spec("timm") and find_spec("torch"):
        from usl.features.timm_model import known_names, open_timm

        plain = name.removeprefix("timm:")
        known = known_names()
        # a tag, as in resnet50.a1_in1k, is checked by timm itself
        if plain.split(".")[0] in known or plain.startswith(("hf-hub:", "hf_hub:")):
            return open_timm(plain)
        hint = did_you_mean(name, BUILT_IN) or did_you_mean(plain, known)
    else:
        hint = did_you_mean(name, BUILT_IN)
    raise UsageError(
        f"unknown encoder {name!r}.{hint} Known: auto, {', '.join(BUILT_IN)}, "
        "any timm model (timm:NAME; needs usl[torch]), and ARCH@CHECKPOINT."
    )


def require_timm(what: str) -> None:
    """Raise the error that tells how to install torch and timm, if either is missing."""
    for package in ("torch", "timm"):
        if not find_spec(package):
            raise missing_extra(package, "torch", what)
