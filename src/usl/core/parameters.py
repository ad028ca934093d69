"""Parameters of methods: bounds that stand in the signature, and as many neighbours as there are.

A bound stands beside the type, ``k: Annotated[int, Positive] = 20``, and
:meth:`usl.core.methods.Methods.check` holds every given value to it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from usl.core.errors import UsageError, UslWarning, did_you_mean


@dataclass(frozen=True)
class Between:
    """Finite numbers from ``low`` to ``high``; without ``low`` itself, or ``high``, if so told."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def check(self, name: str, value: float) -> None:
        """:class:`UsageError` where the parameter ``name`` has a value out of bounds."""
        if not math.isfinite(value) or value < self.low or (self.above and value == self.low):
            least = f"{'above' if self.above else 'at least'} {self.low:g} and "
            bound = f"{least if math.isfinite(self.low) else ''}finite"
        elif value > self.high or (self.below and value == self.high):
            bound = f"{'below' if self.below else 'at most'} {self.high:g}"
        else:
            return
        raise UsageError(f"{name}: {value} given; it must be {bound}.")


@dataclass(frozen=True)
class AtLeast(Between):
    """Finite numbers from ``low`` upwards."""

    high: float = math.inf


Positive, NotNegative = AtLeast(0, above=True), AtLeast(0)
Finite = AtLeast(-math.inf)


def plain_type(annotation: Any) -> Any:
    """An annotation without its bounds: ``int`` of ``Annotated[int, Positive]``."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def check_value(name: str, value: Any, annotation: Any) -> None:
    """:class:`UsageError` where ``annotation`` rules out a value of the parameter ``name``.

    Looked at are numbers, their bounds, and the words of a ``Literal``; anything else is for the
    method to check.
    """
    plain = plain_type(annotation)
    kinds = get_args(plain) if get_origin(plain) in (Union, UnionType) else (plain,)
    if value is None and NoneType in kinds:
        return
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if words and value not in words:
        known = [str(word) for word in words]
        hint = did_you_mean(str(value), known)
        raise UsageError(f"{name}: {value!r} is unknown; use one of {', '.join(known)}.{hint}")
    if set(kinds) <= {int, float, NoneType}:
        if not isinstance(value, Real):
            raise UsageError(f"{name}: {value!r} given; it must be a number.")
        bounds = [bound for bound in get_args(annotation) if isinstance(bound, Between)]
        number: Any = value
        for bound in bounds or [Finite]:
            bound.check(name, number)
        if float not in kinds and number != int(number):
            raise UsageError(f"{name}: {value} given; it must be a whole number.")


def not_none(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those parameters that are given, and so replace a preset's."""
    return {name: value for name, value in parameters.items() if value is not None}


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
