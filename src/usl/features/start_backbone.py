"""The backbone a training starts from: random weights, or those of an encoder."""

from __future__ import annotations

from usl.core.errors import UsageError
from usl.features.contract import Encoder
from usl.features.open_encoder import open_encoder
from usl.learning.backbone import Backbone, new_backbone


def start_backbone(
    network: str, init: str | Encoder | None, size: int | None, seed: int
) -> tuple[Backbone, str]:
    """The backbone to train, and what its start was told.

    Parameters
    ----------
    network : a file of ``usl.learning.networks``, or ``timm:ARCH``; random weights.
    init : an encoder, or its name, whose network and weights to start from instead.
    size : side of the pictures in pixels; default: the network's.

    Raises
    ------
    UsageError
        an unknown network, or an encoder that is no network (``pixels``).
    """
    if init is None:
        return new_backbone(network, size=size, seed=seed), "none"
    encoder = open_encoder(init) if isinstance(init, str) else init
    make = getattr(encoder, "backbone", None)
    if make is None:
        raise UsageError(
            f"The encoder {encoder.name!r} cannot be trained further. Take efficientnet_lite1, "
            "cifar-cld-small, the result of usl pretrain, ARCH@FILE or a timm model."
        )
    backbone: Backbone = make()
    if size is not None:
        backbone.size = size
    return backbone, encoder.supervision
