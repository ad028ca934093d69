"""What an encoder is.

An encoder turns a picture into a raw feature row. Raw rows are what the cache keeps; centring,
scaling and the unit length are fitted later (:mod:`usl.features.preprocessing`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError, missing_extra

if TYPE_CHECKING:
    from PIL import Image

    from usl.features.shared.preparation import Preparation
    from usl.features.shared.projection import Projection

SUPERVISION = ("none", "ImageNet labels", "image-text pairs", "unknown")
PrecisionName = Literal["fp32", "bf16", "fp16"]
CHECKPOINT_ENDINGS = (".pth", ".pt", ".safetensors", ".pth.tar", ".ckpt")


@dataclass(frozen=True)
class EncoderInfo:
    """What is recorded about the encoder of an embedding.

    ``supervision`` is what its training was told: one of ``SUPERVISION``; shown beside every
    figure that rests on it. ``preprocessing`` holds the default ``center``, ``standardize`` and
    ``pca``. ``layer``: ``trunk`` or ``head`` where the checkpoint has both. ``at_scale``: whether
    files are read at a scale where they can be. ``precision`` of the network.
    """

    name: str
    key: str
    dim: int
    supervision: str
    preprocessing: Mapping[str, Any]
    layer: str | None = None
    at_scale: bool = False
    precision: str = "fp32"

    def record(self) -> dict[str, Any]:
        """The same as it is written beside features."""
        return {
            "name": self.name,
            "key": self.key,
            "supervision": self.supervision,
            **({} if self.layer is None else {"layer": self.layer}),
            **({"at_scale": True} if self.at_scale else {}),
            **({} if self.precision == "fp32" else {"precision": self.precision}),
            "width": self.dim,
            "preprocessing": dict(self.preprocessing),
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> EncoderInfo:
        """What :meth:`record` has written."""
        return cls(
            record["name"],
            record["key"],
            record["width"],
            record["supervision"],
            record["preprocessing"],
            layer=record.get("layer"),
            at_scale=bool(record.get("at_scale")),
            precision=str(record.get("precision", "fp32")),
        )


class Encoder(ABC):
    """One way from a picture to a raw feature row; a new one is a file in ``features/encoders``.

    Attributes
    ----------
    name : what the user types.
    key : identity of the cached rows, usable as a folder name: the name, and a hash of the weights
        and of the version of the input preparation. Equal keys mean equal rows.
    dim, dtype : width and type of a raw row.
    supervision : one of ``SUPERVISION``.
    preprocessing : default ``center``, ``standardize`` and ``pca`` for these rows.
    batch_size : pictures per ``forward`` that suit it.
    head : what the checkpoint has over these rows (:mod:`usl.features.head_encoder`), or None.
    least : pixels of a picture's shorter side that are enough for ``prepare``: twice what the
        network takes. Files are read at a scale where they can be. None for whole pictures.
    precision : in which the network computes.

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
    head: Projection | None = None
    least: int | None = None
    precision: PrecisionName = "fp32"
    layer = "trunk"

    def check_weights(self) -> None:
        """Raise the error that says why no picture can be encoded, where that is known."""
        return

    def in_precision(self, precision: PrecisionName) -> Self:
        """The same encoder with a network that computes in another precision, and another key.

        Raises
        ------
        UsageError
            it cannot, or not on this machine.
        """
        if precision == self.precision:
            return self
        raise UsageError(
            f"precision: the encoder {self.name!r} computes in {self.precision} alone. Leave "
            "--precision out."
        )

    def of_whole_pictures(self) -> Self:
        """The same encoder without scaled reads, as before usl had them."""
        if self.least is None:
            return self
        changed = copy(self)
        changed.least = None
        return changed

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

    def module(self) -> Any:
        """What :meth:`forward` computes as a ``torch.nn.Module`` on the CPU, for an export.

        From float32 [b, 3, size, size], as :meth:`preparation` has it, to float32 [b, dim]; in
        evaluation mode. An encoder that has none cannot be exported.
        """
        raise self._not_exported()

    def preparation(self) -> Preparation:
        """How a picture becomes the input of :meth:`module`; equal to :meth:`prepare`."""
        raise self._not_exported()

    def _not_exported(self) -> UsageError:
        return UsageError(
            f"encoder {self.name!r} cannot be exported. Those that can: pixels, efficientnet_lite0 "
            "and 1, our own networks, checkpoints, and timm models that crop a square."
        )

    def info(self) -> EncoderInfo:
        """The record of this encoder."""
        return EncoderInfo(
            self.name,
            self.key,
            self.dim,
            self.supervision,
            dict(self.preprocessing),
            None if self.head is None else self.layer,
            self.least is not None,
            self.precision,
        )


def has_timm() -> bool:
    """Whether torch and timm are installed; neither is imported."""
    return bool(find_spec("torch") and find_spec("timm"))


def require_timm(what: str) -> None:
    """Raise the error that tells how to install torch and timm, if either is missing."""
    for package in ("torch", "timm"):
        if not find_spec(package):
            raise missing_extra(package, "torch", what)


def require_torch(what: str) -> None:
    """Raise the error that tells how to install what training a network needs."""
    for package in ("torch", "timm", "lightning_fabric", "safetensors"):
        if not find_spec(package):
            raise missing_extra(package.replace("_", "-"), "torch", what)
