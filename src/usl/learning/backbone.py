"""A backbone: a network with its input side and normalisation, from pictures 0..1 to features.

Kept as one safetensors file: the weights, and a record (:mod:`usl.learning.backbone_file`) of all
that is needed to use them. Reading one runs nothing stored in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from usl.core.errors import DataError, UsageError
from usl.core.files import atomic_write
from usl.learning.backbone_file import KEY, BackboneRecord, read_record
from usl.learning.blueprint import blueprint
from usl.learning.sealed_file import check_seal, sealed
from usl.learning.seeded import seeded


class Backbone(nn.Module):  # type: ignore[misc]
    """Normalisation and a network.

    Attributes
    ----------
    name : of the network: a file of ``usl.learning.networks``, or ``timm:ARCH``.
    size : side in px of the pictures it is made for; others work, the pooling takes any.
    dim : width of the features.
    mean, std : buffers, float32 [1, 3, 1, 1].
    network : maps normalised pictures to features.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.name, self.size, self.dim = name, size, int(network.dim)
        self.network = network.to(memory_format=torch.channels_last)
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures, float 0..1 [b, 1 or 3, h, w], to features [b, dim]; grey fills three channels.

        Under autocast the features have its precision.
        """
        return self.network(self._normal(images))

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """What every stage of the network says of pictures, [b, width] each; features come last.

        Maps are averaged over their places. Only for a network that tells its stages: it then has
        ``widths``, those of its stages.
        """
        return [one.mean((2, 3)) for one in self.network.stages(self._normal(images))]

    def _normal(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures as the network takes them."""
        if not images.is_floating_point():
            raise UsageError(
                f"a backbone takes pictures with values 0 to 1, these are {images.dtype}: "
                "divide by 255, or augment them first."
            )
        normal = (images - self.mean) / self.std  # grey is broadcast to the three means
        return normal.contiguous(memory_format=torch.channels_last)


def new_backbone(
    name: str,
    *,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int,
) -> Backbone:
    """A backbone with random weights, in training mode, on the CPU.

    Equal arguments give equal weights; torch's global generators are left as they were.

    Parameters
    ----------
    name : a file of ``usl.learning.networks``, or ``timm:ARCH`` for an architecture of timm.
    size : side of the pictures in px; default: what the network is made for.
    mean, std : of the three channels, values 0..1; default: CIFAR-10's for networks of small
        pictures, ImageNet's for the others.
    seed : of the initial weights, 0 to 2^63 - 1.

    Raises
    ------
    UsageError
        no such network (the nearest name is suggested), or a parameter out of range.
    MissingDependencyError
        the network needs a package that is not installed.
    """
    plan = blueprint(name)
    size = plan.size if size is None else size
    mean = plan.mean if mean is None else mean
    std = plan.std if std is None else std
    if size < 1:
        raise UsageError(f"size: {size} given; use at least 1 px.")
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise UsageError("mean, std: three numbers each, those of std above 0.")
    with seeded(seed):
        return Backbone(name, plan.build(), size, mean, std)


def save_backbone(
    path: str | os.PathLike[str], backbone: Backbone, supervision: str = "none", **meta: Any
) -> None:
    """Write a backbone file: whole or not at all, the old file kept until then.

    ``supervision`` is what the training was told, from the start of the weights on: one of
    ``usl.features.contract.SUPERVISION``. ``meta`` is anything JSON can hold (method, epochs,
    digest of the data). Equal weights and arguments give equal bytes.

    Raises
    ------
    UsageError
        ``meta`` holds something that is not JSON.
    """
    record = BackboneRecord(
        network=backbone.name,
        size=backbone.size,
        dim=backbone.dim,
        mean=_numbers(backbone.mean),
        std=_numbers(backbone.std),
        supervision=supervision,
        meta=meta,
    )
    try:
        told = record.to_json()
    except (TypeError, ValueError) as error:
        raise UsageError(f"meta of a backbone: {error}. Use text, numbers and lists.") from error
    weights = {
        name: value.detach().cpu().contiguous()
        for name, value in backbone.network.state_dict().items()
    }
    with atomic_write(path) as handle:
        handle.write(sealed(save(weights, metadata={KEY: told})))


def load_backbone(path: str | os.PathLike[str]) -> tuple[Backbone, dict[str, Any]]:
    """A saved backbone, in training mode, on the CPU; and ``{"supervision": ..., **meta}``.

    Raises
    ------
    DataError
        the file is missing, damaged, not a backbone file (then: write ARCH@file), of an unknown
        network, or its weights do not fit the network.
    MissingDependencyError
        the network needs a package that is not installed.
    """
    path = Path(path).expanduser()
    record = read_record(path)
    try:
        backbone = new_backbone(
            record.network, size=record.size, mean=record.mean, std=record.std, seed=0
        )
    except UsageError as error:
        raise DataError(f"{path}: {error}") from error
    if record.dim != backbone.dim:
        raise DataError(
            f"{path} tells of {record.dim} features, the network {record.network!r} has "
            f"{backbone.dim}: it was written by another version of usl; train again."
        )
    try:
        content = path.read_bytes()
        check_seal(content, path, "Copy it again, or train again.")
        weights = load(content)
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error}). Copy it again, or train again.") from error
    check_weights(weights, backbone.network.state_dict(), record.network, path)
    backbone.network.load_state_dict(weights)
    return backbone, {"supervision": record.supervision, **record.meta}


def check_weights(
    weights: Mapping[str, Any], wanted: Mapping[str, Any], network: str, path: Path
) -> None:
    """Refuse weights whose names or shapes are not those of ``wanted``; the first is named."""
    for name in [*wanted, *weights]:
        theirs, ours = weights.get(name), wanted.get(name)
        if theirs is not None and ours is not None and theirs.shape == ours.shape:
            continue
        has, needs = (
            "is absent" if tensor is None else f"has shape {list(tensor.shape)}"
            for tensor in (theirs, ours)
        )
        raise DataError(
            f"{path} does not fit the network {network!r}: {name} {has} in the file and {needs} "
            "in the network. It holds weights of another architecture, or of another version of "
            "usl; train again."
        )


def _numbers(buffer: torch.Tensor) -> tuple[float, ...]:
    return tuple(buffer.flatten().tolist())
