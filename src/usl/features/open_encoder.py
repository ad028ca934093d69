"""Find an encoder by name: the families of :mod:`usl.features.encoders` are asked in turn."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.features import encoders
from usl.features.contract import Encoder
from usl.features.head_encoder import HeadEncoder, split_layer

BETTER_ENCODER_ADVICE = (
    "the features are raw pixels (PCA), which show colours and layout, not contents. A much better "
    "encoder needs no network: pip install 'usl[torch]'"
)


def best_installed() -> str:
    """Name of the best encoder that works offline here; imports nothing to find out."""
    from usl.features.encoders.efficientnet_lite import package_of

    needed = ("torch", "timm", package_of("efficientnet_lite1"))
    return "efficientnet_lite1" if all(find_spec(name) for name in needed) else "pixels"


def open_encoder(name: str = "auto") -> Encoder:
    """The encoder that ``name`` stands for.

    ``auto`` (the best that is installed), ``pixels``, ``efficientnet_lite1``,
    ``efficientnet_lite0``, an encoder that comes with the package
    (:func:`usl.features.encoders.backbone.shipped`), one that ``usl`` trained (the path of its
    ``.safetensors`` file, or of the folder that holds its ``encoder.safetensors``), any timm model
    (``timm:NAME`` or ``NAME``), a folder in the hub's format (``local-dir:FOLDER``), or a
    checkpoint (``ARCH@FILE_OR_URL``, as in ``resnet50@weights.pth``; ARCH is a timm architecture
    or ``resnet18_cifar``). ``NAME#layer=head`` is the head of one that has a head
    (:mod:`usl.features.head_encoder`). Only a timm model, or what the user names as one, may use
    the network.

    Raises
    ------
    UsageError
        no such encoder (the nearest name is suggested).
    MissingDependencyError
        the encoder is known, but a package for it is not installed.
    DataError
        the weights cannot be fetched, read, or do not fit the architecture; a folder without
        weights.
    """
    name, layer = split_layer(name)
    if name == "auto":
        name = best_installed()
    for family in all_families():
        encoder: Encoder | None = family.load(name)
        if encoder is not None:
            return HeadEncoder(encoder) if layer == "head" else encoder
    raise _unknown(name)


def all_families() -> list[ModuleType]:
    """The modules of encoders, in the order in which they are asked."""
    found = [info.name for info in pkgutil.iter_modules(encoders.__path__)]
    modules = [import_module(f"{encoders.__name__}.{name}") for name in found]
    return sorted(modules, key=lambda module: (module.PRIORITY, module.__name__))


def _unknown(name: str) -> DataError | UsageError:
    """The error on a name that no family knows."""
    if Path(name).expanduser().is_dir():
        from usl.features.encoders.backbone import FILE_NAME

        return DataError(f"encoder {name!r}: this folder holds no {FILE_NAME}.")
    families = all_families()
    known = [own for family in families if hasattr(family, "names") for own in family.names()]
    forms = [family.FORM for family in reversed(families) if hasattr(family, "FORM")]
    hints = [family.near(name) for family in families if hasattr(family, "near")]
    hint = did_you_mean(name, known) or "".join(hints)
    return UsageError(
        f"unknown encoder {name!r}.{hint} Known: auto, {', '.join([*known, *forms[:-1]])}, and "
        f"{forms[-1]}."
    )
