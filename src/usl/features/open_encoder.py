"""Find an encoder by name: the families of :mod:`usl.features.encoders` are asked in turn."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.features import encoders
from usl.features.contract import Encoder
from usl.features.head_encoder import HeadEncoder, split_layer
from usl.features.shared.download import NotFetchedError

if TYPE_CHECKING:
    from PIL import Image

BETTER_ENCODER_ADVICE = (
    "the features are raw pixels (PCA), which show colours and layout, not contents. A much better "
    "encoder needs no network: pip install 'usl[torch]'"
)


def best_installed() -> str:
    """Name of the best encoder that works offline here; imports nothing to find out."""
    from usl.features.encoders.efficientnet_lite import package_of

    needed = ("torch", "timm", package_of("efficientnet_lite1"))
    return "efficientnet_lite1" if all(find_spec(name) for name in needed) else "pixels"


def open_encoder(name: str = "auto", *, fetch: bool = True) -> Encoder:
    """The encoder that ``name`` stands for.

    ``auto`` (the best that is installed), ``pixels``, ``efficientnet_lite1``,
    ``efficientnet_lite0``, an encoder that comes with the package
    (:func:`usl.features.encoders.backbone.shipped`), one that ``usl`` trained (the path of its
    ``.safetensors`` file, or of the folder that holds its ``encoder.safetensors``), any timm model
    (``timm:NAME`` or ``NAME``), a folder in the hub's format (``local-dir:FOLDER``), or a
    checkpoint (``ARCH@FILE_OR_URL``, as in ``resnet50@weights.pth``; ARCH is a timm architecture
    or ``resnet18_cifar``). ``NAME#layer=head`` is the head of one that has a head
    (:mod:`usl.features.head_encoder`). Only a timm model or an address may use the network, and
    nothing does without ``fetch``: for a name that comes out of a file, not from the user.

    Raises
    ------
    UsageError
        no such encoder (the nearest name is suggested).
    MissingDependencyError
        the encoder is known, but a package for it is not installed.
    DataError
        the weights cannot be fetched, read, or do not fit the architecture; a folder without
        weights.
    NotFetchedError
        the weights are not on this machine, without ``fetch``.
    """
    name, layer = split_layer(name)
    if name == "auto":
        name = best_installed()
    for family in all_families():
        told = {} if fetch or not hasattr(family, "fetches") else {"fetch": False}
        encoder: Encoder | None = family.load(name, **told)
        if encoder is not None:
            return HeadEncoder(encoder) if layer == "head" else encoder
    raise _unknown(name)


def is_remote(name: str) -> bool:
    """Whether opening the encoder of this name may use the network."""
    name, _ = split_layer(name)
    families = all_families()
    own = {own for family in families if hasattr(family, "names") for own in family.names()}
    if name in ("auto", *own):
        return False
    return any(family.fetches(name) for family in families if hasattr(family, "fetches"))


def file_of(name: str) -> str:
    """The file or folder that a name stands for; the name itself where it is none."""
    name, _ = split_layer(name)
    return name.partition("@")[2] or name.removeprefix("local-dir:")


def open_recorded(name: str, record: Mapping[str, Any]) -> Encoder:
    """The encoder that a record names, which anybody may have written: nothing is fetched for it.

    Where its weights are not on this machine, rows of pictures that were encoded before still come
    from the cache.
    """
    try:
        return as_recorded(open_encoder(name, fetch=False), record)
    except NotFetchedError as error:
        return CachedAlone(record, error)


def as_recorded(encoder: Encoder, record: Mapping[str, Any]) -> Encoder:
    """The encoder in the precision of a record; of whole pictures if there were no others then.

    Raises
    ------
    UsageError
        this machine has no instructions for that precision.
    """
    former = "fp16" if str(record.get("key", "")).endswith("-f16") else "fp32"
    encoder = encoder.in_precision(record.get("precision", former))
    return encoder if record.get("at_scale") else encoder.of_whole_pictures()


class CachedAlone(Encoder):
    """An encoder without its weights: its rows in the cache serve, and it makes no new ones."""

    dtype = np.dtype(np.float32)  # of all networks
    preprocessing: Mapping[str, Any] = {"center": True, "standardize": True, "pca": None}

    def __init__(self, record: Mapping[str, Any], error: DataError) -> None:
        """``record`` is the ``encoder`` section of a ``run.json``, ``error`` why it has no more."""
        self.name, self.key = str(record["name"]), str(record["key"])
        self.dim, self.supervision = int(record["width"]), str(record["supervision"])
        self.least = 1 if record.get("at_scale") else None  # which tells the caches apart
        self.error = error

    def check_weights(self) -> None:
        """Raise the error."""
        raise self.error

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """Raise the error."""
        raise self.error

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Raise the error."""
        raise self.error


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
