"""One file that holds a training as it stands after a step: weights, optimiser, counters.

A safetensors file: tensors ``task.NAME`` and ``optimizer.NUMBER.NAME``, and in its metadata, as
JSON, the step, the optimiser's groups and what the training was asked to do. No pickle.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import atomic_write
from usl.learning.sealed_file import check_seal, sealed
from usl.numeric.kernel import differs, kernel

FORMAT = "usl training checkpoint, version 1"


@dataclass(frozen=True)
class State:
    """What a checkpoint tells beside its tensors."""

    step: int
    seconds: float
    settings: Mapping[str, Any]


def save_checkpoint(
    path: Path, task: nn.Module, optimizer: torch.optim.Optimizer, state: State
) -> None:
    """Write everything needed to go on, whole or not at all; an older file stays until then."""
    from safetensors.torch import save

    tensors = {f"task.{name}": value for name, value in task.state_dict().items()}
    stored = optimizer.state_dict()
    plain: dict[str, dict[str, Any]] = {}
    for number, values in stored["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{number}.{name}"] = value
            elif value is not None:
                plain.setdefault(str(number), {})[name] = value
    metadata = {
        "format": FORMAT,
        "step": state.step,
        "seconds": round(state.seconds, 3),
        "settings": dict(state.settings),
        "kernel": kernel(),
        "optimizer": {"state": plain, "param_groups": stored["param_groups"]},
    }
    content = save(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()},
        metadata={"usl": json.dumps(metadata)},
    )
    with atomic_write(path) as handle:
        handle.write(sealed(content))


def load_checkpoint(
    path: Path,
    task: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: Mapping[str, Any],
) -> State:
    """Bring a task and its optimiser to where the checkpoint left off.

    Raises
    ------
    DataError
        no checkpoint there, or a damaged one.
    UsageError
        the checkpoint is of a training with other settings; names the first that differs.
    """
    from safetensors import SafetensorError, safe_open

    begin = "Remove it and begin anew, without --resume."
    if not path.is_file():
        raise DataError(f"{path}: no checkpoint to resume from. Leave out --resume to begin anew.")
    try:
        check_seal(path.read_bytes(), path, begin)
        with safe_open(path, framework="pt") as stored:
            metadata = json.loads((stored.metadata() or {}).get("usl", "{}"))
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged ({error}). {begin}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise DataError(f"{path} is no checkpoint of this program, or of another version of it.")
    try:
        former, step = dict(metadata["settings"]), int(metadata["step"])
        seconds = float(metadata["seconds"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged (in its record: {error!r}). {begin}") from error
    check_same(path, former, json.loads(json.dumps(dict(settings))))
    if found := differs(metadata.get("kernel"), kernel()):
        warnings.warn(
            f"{path}: the training began on a processor of another kind ({found}). It goes on, but "
            "its weights are not those of an uninterrupted one to the last digit.",
            UslWarning,
            stacklevel=3,
        )
    try:
        task.load_state_dict(
            {name.removeprefix("task."): v for name, v in tensors.items() if name[:5] == "task."}
        )
        restore_optimizer(optimizer, metadata["optimizer"], tensors)
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} does not fit this training: {error}. {begin}") from error
    return State(step, seconds, former)


def check_same(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with a training that was asked to do something else."""
    for name in sorted({*stored, *wanted}):
        if stored.get(name) != wanted.get(name):
            raise UsageError(
                f"{path} cannot be resumed: its {name} is {stored.get(name)!r}, now it would be "
                f"{wanted.get(name)!r}. Give the former value, or begin anew without --resume."
            )


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    plain: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Put the state of the optimiser back."""
    state: dict[int, dict[str, Any]] = {
        int(number): dict(values) for number, values in plain["state"].items()
    }
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".", 2)
            state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": plain["param_groups"]})
    # In the layout of their parameter: another one would round differently from the next step on.
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for key, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    optimizer.state[parameter][key] = torch.empty_like(
                        parameter, dtype=value.dtype
                    ).copy_(value)
