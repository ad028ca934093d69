"""List the selection methods, and what each says of itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from usl.selection.contract import METHODS, NESTED


def list_methods() -> list[str]:
    """Names of the selection methods that are installed, sorted."""
    return METHODS.names()


def is_oracle(method: str) -> bool:
    """Whether a method reads the true labels, and so is only a yardstick."""
    return bool(getattr(METHODS.load(method), "ORACLE", False))


def is_nested(method: str, budget: int = 1, params: Mapping[str, Any] | None = None) -> bool:
    """Whether the first of ``budget`` picks are those of a smaller budget with the same seed.

    ``params`` are the method's own: a budget above its ``pool`` enlarges that, so the picks change.
    """
    if not getattr(METHODS.load(method), NESTED, False):
        return False
    own = parameters_of(method)
    return "pool" not in own or budget <= (params or {}).get("pool", own["pool"].default)


def takes(module: ModuleType, name: str) -> bool:
    """Whether a method asks for something it need not: ``keep``, ``lengths``, ``predictions``."""
    return name in inspect.signature(getattr(module, METHODS.function)).parameters


def parameters_of(method: str) -> dict[str, inspect.Parameter]:
    """A method's own parameters: what its configuration, help and documentation show."""
    return METHODS.parameters(METHODS.load(method))
