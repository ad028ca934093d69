"""Names of weights: what stands before a network's own, and what belongs to no backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usl.core.hashing import DIGEST_BYTES

Weights = Mapping[str, Any]

# Parts of names that tell of moving averages, and of what lies beside a backbone as expected.
COPIES = ("momentum", "teacher", "target", "encoder_k", "ema")
BESIDE = (
    *("projector", "projection", "predictor", "prediction", "classifier", "prototype"),
    *("queue", "memory_bank", "groupdis", "contrastive_head"),
)
HEADS = {"fc", "pre_fc", "linear", "head", "heads", "l2norm"}  # whole parts of names


def best_prefix(weights: Weights, anchors: tuple[str, ...]) -> str | None:
    """What stands before all the ``anchors``: no moving average if possible, then the shortest."""
    first = anchors[0]
    prefixes = {
        name[: -len(first)] for name in weights if name == first or name.endswith(f".{first}")
    }
    complete = [prefix for prefix in prefixes if all(prefix + name in weights for name in anchors)]
    return min(complete, key=preference, default=None)


def preference(prefix: str) -> tuple[bool, int, str]:
    """Sorting key of prefixes: moving averages last, then by length."""
    return is_copy(prefix), len(prefix), prefix


def is_copy(prefix: str) -> bool:
    """Whether a prefix names a moving average of another network."""
    parts = prefix.lower().split(".")
    return any(word == part or word in part.split("_") for part in parts for word in COPIES)


def is_expected(name: str, wanted: Weights) -> bool:
    """Whether a weight without a place belongs to a head, a queue or a copy of the network."""
    parts = name.split(".")
    beside = any(part in HEADS or any(word in part.lower() for word in BESIDE) for part in parts)
    if beside or is_copy(name):
        return True
    return any(".".join(parts[start:]) in wanted for start in range(1, len(parts)))


def common_prefix(weights: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What stands before the network's names in the file (``module.``, say); the best match.

    Among equal ones, no moving average of the network.
    """
    anchor = next(iter(wanted))
    candidates = {""} | {name[: -len(anchor)] for name in weights if name.endswith("." + anchor)}
    return max(
        sorted(candidates, key=preference),
        key=lambda prefix: sum(prefix + name in weights for name in wanted),
    )


def state_digest(state: Mapping[str, Any]) -> str:
    """Hex BLAKE2b-128 of a state dict's names, types, shapes and values."""
    import hashlib

    import torch

    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
