"""What methods with presets share: choosing a column, checking numbers, clamping k."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from usl.core.errors import UsageError, UslWarning

T = TypeVar("T")


def column(presets: Mapping[str, Sequence[T]], name: str, number: int) -> T:
    """One column of the preset ``name``; :class:`UsageError` for an unknown one."""
    if name not in presets:
        raise UsageError(f"preset: {name!r} is unknown; use one of {', '.join(presets)}.")
    return presets[name][number]


def given_numbers(
    parameters: Mapping[str, float | None],
    *,
    positive: Collection[str] = (),
    at_most_one: Collection[str] = (),
    below_one: Collection[str] = (),
) -> dict[str, Any]:
    """Those parameters that are not None; checked to be finite, not negative and in bounds."""
    given = {name: value for name, value in parameters.items() if value is not None}
    for name, value in given.items():
        if not np.isfinite(value) or value < 0 or (name in positive and value == 0):
            bound = "above 0" if name in positive else "at least 0"
            raise UsageError(f"{name}: {value} given; it must be {bound} and finite.")
        if name in at_most_one and value > 1:
            raise UsageError(f"{name}: {value} given; it must be at most 1.")
        if name in below_one and value >= 1:
            raise UsageError(f"{name}: {value} given; it must be below 1.")
    return given


def check_choice(name: str, given: str, choices: Sequence[str]) -> None:
    """:class:`UsageError` where the parameter ``name`` is none of its ``choices``."""
    if given not in choices:
        known = f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise UsageError(f"{name}: {given!r} given; use {known}.")


def clamp_k(k: int, most: int, n: int) -> int:
    """``k`` neighbours, or with a warning as many as ``n`` items can have."""
    if k <= most:
        return k
    warnings.warn(
        f"k = {k} neighbours, but there are only {n} items; using k = {most}. Neighbours that are "
        "all items say little: choose a k well below the number of items.",
        UslWarning,
        stacklevel=5,
    )
    return most
