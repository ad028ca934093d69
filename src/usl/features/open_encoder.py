"""Find an encoder by name."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.features.contract import CHECKPOINT_ENDINGS, Encoder, require_timm
from usl.features.encoders.backbone import FILE_NAME, NetworkEncoder, backbone_path, shipped

BUILT_IN = ("pixels", "efficientnet_lite1", "efficientnet_lite0")

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
    or ``resnet18_cifar``). Only a timm model, or what the user names as one, may use the
    network.

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
    if name == "auto":
        name = best_installed()
    if name == "pixels":
        from usl.features.encoders.pixels import Pixels

        return Pixels()
    if name in BUILT_IN:
        from usl.features.encoders.efficientnet_lite import EfficientNetLite

        return EfficientNetLite(name)
    own = shipped()
    if name in own:
        return NetworkEncoder(own[name], name)
    if file := backbone_path(name):
        return NetworkEncoder(file)
    if name.startswith("local-dir:"):
        require_timm(f"The encoder {name!r}")
        from usl.features.encoders.timm_model import open_folder

        return open_folder(name)
    if "@" in name:
        require_timm(f"The checkpoint encoder {name!r}")
        from usl.features.encoders.checkpoint import open_checkpoint

        return open_checkpoint(name)
    if name.endswith(CHECKPOINT_ENDINGS):
        if name.endswith(".safetensors") and not Path(name).expanduser().is_file():
            raise DataError(f"{name}: no such weights file.")
        raise UsageError(
            f"encoder {name!r}: a checkpoint needs its architecture: write ARCH@{name}, "
            f"as in resnet50@{name}."
        )
    if name.startswith("timm:"):
        require_timm(f"The encoder {name!r}")
    if find_spec("timm") and find_spec("torch"):
        from usl.features.encoders.timm_model import known_names, open_timm

        plain = name.removeprefix("timm:")
        known = known_names()
        # a tag, as in resnet50.a1_in1k, is checked by timm itself
        if plain.split(".")[0] in known or plain.startswith(("hf-hub:", "hf_hub:")):
            return open_timm(plain)
        hint = did_you_mean(name, [*BUILT_IN, *own]) or did_you_mean(plain, known)
    else:
        hint = did_you_mean(name, [*BUILT_IN, *own])
    if Path(name).expanduser().is_dir():
        raise DataError(f"encoder {name!r}: this folder holds no {FILE_NAME}.")
    raise UsageError(
        f"unknown encoder {name!r}.{hint} Known: auto, {', '.join([*BUILT_IN, *own])}, "
        f"any timm model (timm:NAME; needs usl[torch]), ARCH@CHECKPOINT, and the path of an "
        f"{FILE_NAME} or of its folder."
    )
