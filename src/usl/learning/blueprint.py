"""How a network of a given name is built: one of our own, or ``timm:ARCH``, any of timm's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from usl.core.errors import UsageError, did_you_mean, missing_extra
from usl.core.methods import Methods

NETWORKS = Methods("usl.learning.networks", "build")
TIMM = "timm:"

# Normalisation has to be the same in training and in use, so it is part of the backbone and need
# not fit every collection exactly: the first batch normalisation takes up the rest. What counts is
# that published recipes and weights expect these: CIFAR-10's figures for networks of 32 px,
# ImageNet's for the larger ones.
CIFAR = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALL = 64  # px; networks made for larger pictures are normalised as on ImageNet


@dataclass(frozen=True)
class Blueprint:
    """``build`` gives the network with random weights; the rest are its defaults."""

    build: Callable[[], nn.Module]
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def network_names() -> list[str]:
    """Names of our own networks, sorted."""
    return NETWORKS.names()


def blueprint(name: str) -> Blueprint:
    """The blueprint of one of our networks, or of ``timm:ARCH``.

    ``name`` is never a path: it may come out of a weights file, which must not name code to run.

    Raises
    ------
    UsageError
        no such network; the nearest name is suggested.
    MissingDependencyError
        ``timm:ARCH`` without timm.
    """
    if name.startswith(TIMM):
        return _of_timm(name)
    known = network_names()
    if name not in known:
        raise UsageError(
            f"unknown network {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}, "
            "and timm:ARCH for those of timm."
        )
    module = NETWORKS.load(name)
    mean, std = CIFAR if module.SIZE <= SMALL else IMAGENET
    return Blueprint(module.build, module.SIZE, mean, std)


def as_trunk(model: Any) -> nn.Module:
    """A timm model (``num_classes=0``), given the ``dim`` of its pooled features."""
    model.dim = getattr(model, "head_hidden_size", None) or model.num_features
    return model


def _of_timm(name: str) -> Blueprint:
    try:
        import timm
        from timm.data import resolve_data_config
    except ImportError as error:
        raise missing_extra("timm", "torch", f"The network {name!r}") from error
    arch = name.removeprefix(TIMM)
    known = timm.list_models()
    if arch not in known:  # so no hub name, and no folder, either
        raise UsageError(f"unknown network {name!r}.{did_you_mean(arch, known)}")
    told = timm.models.get_pretrained_cfg(arch)
    config = resolve_data_config(pretrained_cfg=told.to_dict() if told else {})

    def build() -> nn.Module:
        return as_trunk(timm.create_model(arch, pretrained=False, num_classes=0))

    return Blueprint(build, config["input_size"][-1], config["mean"], config["std"])
