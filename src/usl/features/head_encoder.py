"""An encoder's head: ``NAME#layer=head``, the space that its checkpoint was trained in.

USL's released code selects there: on the 128 numbers of the head of CLD or MoCo, or the 512 of
CLIP's projection, of unit length and not centred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.features.contract import Encoder, PrecisionName

if TYPE_CHECKING:
    from PIL import Image

    from usl.features.shared.preparation import Preparation

MARK = "#layer="  # between an encoder's name and the layer

LayerName = Literal["trunk", "head"]


class HeadEncoder(Encoder):
    """The rows of ``trunk`` through its head: unit length, not centred."""

    dtype = np.dtype(np.float32)
    preprocessing: Mapping[str, Any] = {"center": False, "standardize": False, "pca": None}
    layer = "head"

    def __init__(self, trunk: Encoder) -> None:
        """Wrap an encoder.

        Raises
        ------
        UsageError
            it has no head.
        DataError
            its head is for features of another width.
        """
        if trunk.head is None:
            raise UsageError(
                f"encoder {trunk.name!r}: --layer head: no head is known over its features, or one "
                "that gives class scores. Leave --layer out."
            )
        if trunk.head.width != trunk.dim:
            raise DataError(
                f"encoder {trunk.name!r}: its head takes {trunk.head.width} numbers, its trunk has "
                f"{trunk.dim}. Is the architecture the right one?"
            )
        self.trunk, self.head = trunk, trunk.head
        self.name, self.key = f"{trunk.name}{MARK}head", f"{trunk.key}-head"
        self.dim, self.supervision = trunk.head.dim, trunk.supervision
        self.batch_size, self.least = trunk.batch_size, trunk.least
        self.precision = trunk.precision

    def in_precision(self, precision: PrecisionName) -> HeadEncoder:
        """The head over the trunk of another precision."""
        if precision == self.precision:
            return self
        changed = HeadEncoder(self.trunk.in_precision(precision))
        changed.least = self.least
        return changed

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """As the trunk's."""
        return self.trunk.prepare(image)

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Unit rows, float32 [b, dim]."""
        assert self.head is not None
        return self.head(self.trunk.forward(prepared))

    def module(self) -> Any:
        """The trunk's, then the head."""
        from torch import nn

        assert self.head is not None
        return nn.Sequential(self.trunk.module(), self.head.module())

    def preparation(self) -> Preparation:
        """The trunk's."""
        return self.trunk.preparation()

    def backbone(self) -> Any:
        """The trunk alone, to be trained further."""
        return self.trunk.backbone()  # type: ignore[attr-defined]


def with_layer(name: str, layer: LayerName | None) -> str:
    """An encoder's name with the layer asked for; None leaves it as it is.

    Raises
    ------
    UsageError
        another layer than trunk or head, or than the one in the name.
    """
    if layer is None:
        return name
    plain, named = split_layer(name)
    known = get_args(LayerName)
    if layer not in known:
        raise UsageError(f"layer: {layer!r} given; use trunk or head.{did_you_mean(layer, known)}")
    if named and named != layer:
        raise UsageError(f"layer: {layer} given, but {name!r} names {named}. Leave one out.")
    return plain if layer == "trunk" else f"{plain}{MARK}head"


def split_layer(name: str) -> tuple[str, LayerName | None]:
    """An encoder's name without ``#layer=...``, and that layer.

    Raises
    ------
    UsageError
        another layer than trunk or head.
    """
    plain, mark, layer = name.rpartition(MARK)
    if not mark:
        return name, None
    for known in get_args(LayerName):
        if layer == known:
            return plain, known
    raise UsageError(f"encoder {name!r}: the layer {layer!r} is unknown; use trunk or head.")
