"""Checks of the parameters of the methods."""

from __future__ import annotations

import math
from collections.abc import Sequence

from usl.core.errors import UsageError, did_you_mean


def check_positive(**numbers: float) -> None:
    """Refuse numbers that are not above 0 and finite."""
    for name, value in numbers.items():
        if not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name}: {value} given; use a number above 0.")


def check_at_least(least: int, **numbers: float) -> None:
    """Refuse numbers below ``least``, and those that are not finite."""
    for name, value in numbers.items():
        if not (value >= least and math.isfinite(value)):
            raise UsageError(f"{name}: {value} given; use a number from {least} upwards.")


def check_momentum(momentum: float) -> None:
    """Refuse what is no share that stays: 0 copies the weights, 1 would never move them."""
    if not 0 <= momentum < 1:
        raise UsageError(f"momentum: {momentum} given; use a number from 0 to below 1.")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is not among ``choices``."""
    if value not in choices:
        raise UsageError(
            f"{name}: {value!r} is unknown; use one of {', '.join(choices)}."
            f"{did_you_mean(str(value), choices)}"
        )
