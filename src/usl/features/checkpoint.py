"""Local checkpoints: ``ARCH@PATH``, as in ``resnet50@weights.pth``. No network, no code execution.

ARCH is a timm architecture (``timm:`` before it is allowed), PATH a ``.pth``, ``.pt`` or
``.safetensors`` file. Pickles are read with ``weights_only=True``: a file that holds anything but
tensors and plain containers is refused, not run.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from usl.core.errors import DataError, UsageError, UslWarning, did_you_mean, missing_extra
from usl.core.hashing import bytes_digest
from usl.features.encoder import CHECKPOINT_ENDINGS
from usl.features.timm_model import TimmEncoder, known_names

# Where training scripts put the weights inside what they save, the most specific first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "teacher", "student")
SHOWN = 4  # names quoted in a message


def open_checkpoint(name: str) -> TimmEncoder:
    """The encoder of ``ARCH@PATH``; its supervision is unknown.

    The checkpoint may be wrapped (``{"state_dict": ...}``), its names prefixed (``module.``,
    ``backbone.``, ``module.encoder_q.``), and it may hold a classifier, which is left out.

    Raises
    ------
    UsageError
        unknown architecture, or no such kind of file.
    DataError
        the file is missing, damaged, refused, or its weights do not fit.
    """
    import timm

    arch, _, file = name.partition("@")
    arch = arch.removeprefix("timm:")
    known = known_names()
    if arch.split(".")[0] not in known:
        raise UsageError(
            f"encoder {name!r}: unknown architecture {arch!r}.{did_you_mean(arch, known)} "
            "Write ARCH@PATH with an architecture known to timm, as in resnet50@weights.pth."
        )
    path = Path(file).expanduser().absolute()
    if path.suffix not in CHECKPOINT_ENDINGS:
        raise UsageError(
            f"encoder {name!r}: a checkpoint ends in {', '.join(CHECKPOINT_ENDINGS)}; "
            f"this is {path.name!r}."
        )
    weights = load_file(path)
    model = timm.create_model(arch, pretrained=False, num_classes=0)
    fitted = fit_names(weights, model.state_dict(), classifiers(model), path)
    model.load_state_dict(fitted, strict=False)  # only step counters may be absent
    return TimmEncoder(f"{arch}@{path}", arch, model, bytes_digest(path.read_bytes()), "unknown")


def load_file(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name, wrappers removed. Nothing stored in it can run."""
    import torch

    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint file.")
    try:
        if path.suffix == ".safetensors":
            stored: Any = _load_safetensors(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} was refused: it is damaged, or holds Python objects besides tensors, which "
            "could run code when loaded. Save the weights alone, with torch.save("
            "model.state_dict(), 'weights.pth'), or as .safetensors."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
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


def _load_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file as load
    except ImportError as error:
        raise missing_extra("safetensors", "torch", f"{path}") from error
    try:
        tensors: dict[str, Any] = load(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return tensors


def classifiers(model: Any) -> tuple[str, ...]:
    """Names of the layers that turn features into class scores; they may be absent or extra."""
    names = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def fit_names(
    weights: Mapping[str, Any], wanted: Mapping[str, Any], heads: tuple[str, ...], path: Path
) -> dict[str, Any]:
    """``weights`` under the network's names, checked for completeness and shapes.

    Raises
    ------
    DataError
        naming the first weights that are missing or have another shape.

    Weights that have no place are named in a :class:`UslWarning`; ``heads`` are left out silently.
    """
    prefix = common_prefix(weights, wanted)
    under = {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }
    missing = [
        name for name in wanted if name not in under and not name.endswith("num_batches_tracked")
    ]
    if missing:
        raise DataError(
            f"{path} does not fit: {len(missing)} of {len(wanted)} weights are missing "
            f"({quoted(missing)}). It holds {len(weights)}, such as {quoted(weights)}. "
            "Is the architecture the right one?"
        )
    for name in wanted.keys() & under.keys():
        if under[name].shape != wanted[name].shape:
            raise DataError(
                f"{path} does not fit: {name} has shape {list(under[name].shape)}, the network "
                f"needs {list(wanted[name].shape)}. Is the architecture the right one?"
            )
    extra = [
        name
        for name in under
        if name not in wanted and not name.startswith(tuple(f"{head}." for head in heads))
    ]
    if extra:
        warnings.warn(
            f"{path}: {len(extra)} weights have no place in the network and are left out "
            f"({quoted(extra)}).",
            UslWarning,
            stacklevel=4,
        )
    return {name: under[name] for name in wanted if name in under}


def common_prefix(weights: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What stands before the network's names in the file (``module.``, say); the best match."""
    anchor = next(iter(wanted))
    candidates = {""} | {name[: -len(anchor)] for name in weights if name.endswith("." + anchor)}
    return max(
        sorted(candidates, key=lambda prefix: (len(prefix), prefix)),
        key=lambda prefix: sum(prefix + name in weights for name in wanted),
    )


def quoted(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    first = list(names)
    return ", ".join(first[:SHOWN]) + (", ..." if len(first) > SHOWN else "")
