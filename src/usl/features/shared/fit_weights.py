"""The weights of a file fitted to a network: complete, of the right shapes, what is left named."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from usl.core.errors import DataError, UslWarning
from usl.features.shared.known_checkpoints import Foreign
from usl.features.shared.weight_names import Weights, common_prefix, is_expected

CIFAR_ARCH = "resnet18_cifar"  # named where a stem fits it
SHOWN = 4  # names quoted in a message


def fit(
    weights: Mapping[str, Any],
    foreign: Foreign | None,
    wanted: Mapping[str, Any],
    heads: tuple[str, ...],
    path: Path,
) -> dict[str, Any]:
    """The file's weights under the network's names, checked for completeness and shapes.

    Raises
    ------
    DataError
        naming the first weights that are missing or have another shape.

    Weights that have no place are named in a :class:`UslWarning`; heads (``heads`` are the
    network's own), queues and copies of the network are left out silently.
    """
    source = foreign or plain(weights, wanted, heads)
    found = source.weights
    missing = [
        name for name in wanted if name not in found and not name.endswith("num_batches_tracked")
    ]
    kind = f" (a {source.format} checkpoint)" if foreign else ""
    if missing:
        raise DataError(
            f"{path}{kind} does not fit: {len(missing)} of {len(wanted)} weights are missing "
            f"({quoted(missing)}). It holds {len(weights)}, such as {quoted(weights)}. "
            "Is the architecture the right one?"
        )
    for name in (name for name in wanted if name in found):
        theirs, ours = list(found[name].shape), list(wanted[name].shape)
        if theirs != ours:
            small = f" With a 3x3 stem, it may be {CIFAR_ARCH}." if theirs[2:] == [3, 3] else ""
            raise DataError(
                f"{path}{kind} does not fit: {name} has shape {theirs}, the network "
                f"needs {ours}. Is the architecture the right one?{small}"
            )
    extra = [name for name in weights if name not in source.used and not is_expected(name, wanted)]
    # a ResNet with more blocks than the network is a misfit, not an extra
    extra += [name for name in found if foreign and name not in wanted]
    if extra:
        warnings.warn(
            f"{path}: {len(extra)} weights have no place in the network and are left out "
            f"({quoted(extra)}).",
            UslWarning,
            stacklevel=4,
        )
    return {name: found[name] for name in wanted if name in found}


def plain(weights: Weights, wanted: Weights, heads: tuple[str, ...]) -> Foreign:
    """A checkpoint of no known project: the network's own names, behind one prefix."""
    prefix = common_prefix(weights, wanted)
    under = {name: name.removeprefix(prefix) for name in weights if name.startswith(prefix)}
    own = tuple(f"{head}." for head in heads)
    used = frozenset(old for old, new in under.items() if new in wanted or new.startswith(own))
    return Foreign("plain", {new: weights[old] for old, new in under.items()}, used)


def quoted(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    first = list(names)
    return ", ".join(first[:SHOWN]) + (", ..." if len(first) > SHOWN else "")
