"""Checkpoints: ``ARCH@FILE_OR_URL``, as in ``resnet50@weights.pth``. Nothing stored in one can run.

ARCH is a timm architecture (``timm:`` before it is allowed) or ``resnet18_cifar``, FILE a path or
an address, which alone has the network used. Pickles are read with ``weights_only=True``: a file
that holds anything but tensors, plain containers and parsed command lines is refused, not run.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from usl.core.errors import DataError, UsageError, did_you_mean, missing_extra
from usl.core.hashing import bytes_digest, json_digest
from usl.core.progress import Progress, silent
from usl.core.unpacked import check_unpacked
from usl.features.contract import CHECKPOINT_ENDINGS, Encoder, require_timm
from usl.features.encoders.backbone import NetworkEncoder
from usl.features.encoders.timm_model import LOCAL, TimmEncoder, known_names
from usl.features.shared.download import NotFetchedError, file_name, is_address, local_copy
from usl.features.shared.fit_weights import CIFAR_ARCH, fit
from usl.features.shared.known_checkpoints import CLD_CIFAR, Foreign, block_names, recognise
from usl.learning.sealed_file import check_seal

PRIORITY, FORM = 20, "ARCH@CHECKPOINT"

# Where training scripts put the weights inside what they save, the most specific first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "resnet", "teacher", "student")


def fetches(name: str) -> bool:
    """Whether the file is an address of another machine."""
    address = name.partition("@")[2]
    return is_address(address) and not address.lower().startswith("file:")


def load(name: str, *, fetch: bool = True) -> Encoder | None:
    """The encoder of ``ARCH@FILE_OR_URL``; a file alone is refused with advice."""
    if name.startswith(LOCAL):
        return None
    if "@" in name:
        require_timm(f"The checkpoint encoder {name!r}")
        return open_checkpoint(name, fetch=fetch)
    if not name.endswith(CHECKPOINT_ENDINGS):
        return None
    if name.endswith(".safetensors") and not Path(name).expanduser().is_file():
        raise DataError(f"{name}: no such weights file.")
    raise UsageError(
        f"encoder {name!r}: a checkpoint needs its architecture: write ARCH@{name}, "
        f"as in resnet50@{name}."
    )


def open_checkpoint(name: str, progress: Progress = silent, *, fetch: bool = True) -> Encoder:
    """The encoder of ``ARCH@FILE_OR_URL``.

    The checkpoint may be of a known project (:mod:`usl.features.shared.known_checkpoints`), which
    then settles how pictures are prepared. Any other may be wrapped (``{"state_dict": ...}``), its
    names prefixed (``module.``, ``backbone.``), and it may hold a classifier, which is left out;
    its supervision is unknown. ``progress`` follows a download.

    Raises
    ------
    UsageError
        unknown architecture, or no such kind of file.
    DataError
        the file is missing, damaged, refused, or its weights do not fit; or no download.
    """
    arch, _, file = name.partition("@")
    arch = arch.removeprefix("timm:")
    known = {*known_names(), CIFAR_ARCH}
    if arch.split(".")[0] not in known:
        raise UsageError(
            f"encoder {name!r}: unknown architecture {arch!r}.{did_you_mean(arch, known)} "
            f"Write ARCH@PATH with an architecture known to timm, as in resnet50@weights.pth, or "
            f"{CIFAR_ARCH}."
        )
    remote = is_address(file)
    last = file_name(file) if remote else Path(file).name
    if not last.endswith(CHECKPOINT_ENDINGS):
        raise UsageError(
            f"encoder {name!r}: a checkpoint ends in {', '.join(CHECKPOINT_ENDINGS)}; "
            f"this is {last!r}."
        )
    path = Path(file).expanduser().absolute()
    if remote:
        try:
            path = local_copy(file, progress, fetch=fetch)
        except NotFetchedError:
            raise NotFetchedError(name) from None
    weights = load_file(path)
    try:
        foreign = recognise(weights, f"{path.parent.name}/{last}")
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: tensors of shapes that no network has ({error}).") from error
    told = foreign.supervision if foreign else "unknown"
    full_name = f"{arch}@{file if remote else path}"
    digest = bytes_digest(path.read_bytes())
    if arch == CIFAR_ARCH:
        return _our_network(full_name, weights, foreign, path, digest)

    import timm

    model = timm.create_model(arch, pretrained=False, num_classes=0)
    fitted = fit(weights, foreign, model.state_dict(), classifiers(model), path)
    model.load_state_dict(fitted, strict=False)  # only step counters may be absent
    data = foreign.data if foreign else {}
    encoder = TimmEncoder(full_name, arch, model, digest, told, data)
    encoder.head = foreign.head if foreign else None
    return encoder


class CheckpointNetwork(NetworkEncoder):
    """Our own network with the weights of a checkpoint that does not describe itself.

    solo-learn's padding of the first convolution is kept by :meth:`backbone`, but a backbone file
    has no place for it: saved and read again, such a network pads by 1.
    """

    def __init__(self, name: str, path: Path, backbone: Any, digest: str, supervision: str) -> None:
        """Wrap ``backbone``; ``digest`` is that of the file and of all that was settled for it."""
        self.name, self.path, self.meta, self._backbone = name, path, {}, backbone
        self._settle(CIFAR_ARCH, backbone, supervision, digest)

    def backbone(self) -> Any:
        """A fresh trainable :class:`usl.learning.backbone.Backbone` with the file's weights."""
        return copy.deepcopy(self._backbone)


def _our_network(
    name: str, weights: Mapping[str, Any], foreign: Foreign | None, path: Path, digest: str
) -> CheckpointNetwork:
    """The CIFAR ResNet-18 of :mod:`usl.learning.networks`, filled."""
    from usl.learning.backbone import new_backbone

    data = {**CLD_CIFAR, **(foreign.data if foreign else {})}
    backbone = new_backbone(
        "resnet18", size=data["input_size"][1], mean=data["mean"], std=data["std"], seed=0
    )
    network = backbone.network
    if foreign:
        foreign = foreign.renamed(block_names(foreign.weights, depth=2))
    network.load_state_dict(fit(weights, foreign, network.state_dict(), (), path), strict=False)
    padding = foreign.stem_padding if foreign else None
    if padding is not None:
        network.stem[0].padding = (padding, padding)
    settled = json_digest([digest, data["mean"], data["std"], data["input_size"], padding])
    told = foreign.supervision if foreign else "unknown"
    encoder = CheckpointNetwork(name, path, backbone, settled, told)
    encoder.head = foreign.head if foreign else None
    return encoder


def load_file(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name, wrappers removed. Nothing stored in it can run."""
    import torch

    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint file.")
    try:
        _check_archive(path)
        if path.suffix == ".safetensors":
            stored: Any = _load_safetensors(path)
        else:
            with _command_lines():
                stored = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} was refused: it is damaged, or holds Python objects besides tensors, which "
            "could run code when loaded. Save the weights alone, with torch.save("
            "model.state_dict(), 'weights.pth'), or as .safetensors."
        ) from error
    except (DataError, ImportError):
        raise
    except Exception as error:  # a damaged pickle or archive raises nearly anything
        first = str(error).strip().split("\n")[0]
        raise DataError(
            f"{path} is no readable checkpoint ({first}). Copy it again, or save the weights "
            "anew with torch.save(model.state_dict(), 'weights.pth')."
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(stored, Mapping) and isinstance(stored.get(wrapper), Mapping):
            stored = stored[wrapper]
    tensors = {
        str(name): value
        for name, value in (stored.items() if isinstance(stored, Mapping) else ())
        if isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise DataError(
            f"{path} holds no weights by name. Save a state dict: torch.save("
            "model.state_dict(), 'weights.pth')."
        )
    return tensors


def _check_archive(path: Path) -> None:
    """Refuse a packed checkpoint that is far larger unpacked; torch itself packs nothing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        check_unpacked(path, path.stat().st_size, total, "Save it anew with torch.save.")


def _command_lines() -> Any:
    """Let ``argparse.Namespace`` pass, plain attributes that many scripts save with the weights."""
    import torch

    # absent before torch 2.5: such files are then refused
    allow = getattr(torch.serialization, "safe_globals", None)
    return allow([argparse.Namespace]) if allow else nullcontext()


def _load_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise missing_extra("safetensors", "torch", f"{path}") from error
    try:
        content = path.read_bytes()
        check_seal(content, path, "Copy it again, or train again.")
        tensors: dict[str, Any] = load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return tensors


def classifiers(model: Any) -> tuple[str, ...]:
    """Names of the layers that turn features into class scores; they may be absent or extra."""
    names = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)
