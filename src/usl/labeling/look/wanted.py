"""What is asked of a collection: a class, filters, an order; read from a request's parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from usl.core.errors import UsageError

ORDERS = ("surest", "doubtful", "name")
SOURCES = ("none", "predicted", "labelled", "conflict", "swept")  # by their codes
LONGEST = 200  # characters of a class or a part of a name


@dataclass(frozen=True)
class Wanted:
    """Which images, in which order.

    ``label`` of the class, None for all; ``source`` of what is known of them, ``subset`` and
    ``flag`` ("" for any); ``least`` and ``most`` confidence; ``name`` a part of their ids;
    ``like`` the reference of an image, whose nearest come first.
    """

    label: str | None = None
    source: str = ""
    subset: str = ""
    flag: str = ""
    least: float = 0.0
    most: float = 1.0
    name: str = ""
    like: str = ""
    order: str = "surest"

    @classmethod
    def of(cls, given: Mapping[str, str], *, flags: tuple[str, ...]) -> Wanted:
        """Read a request. UsageError names the parameter that makes no sense."""
        label = given.get("label")
        name = given.get("name", "")
        for text in (label or "", name):
            if len(text) > LONGEST:
                raise UsageError(f"label, name: send at most {LONGEST} characters.")
        return cls(
            label=label,
            source=_one_of(given, "source", ("", *SOURCES)),
            subset=_one_of(given, "subset", ("", "train", "val", "test")),
            flag=_one_of(given, "flag", ("", *flags)),
            least=_share(given, "least", 0.0),
            most=_share(given, "most", 1.0),
            name=name.casefold().strip(),
            like=given.get("like", ""),
            order=_one_of(given, "order", ORDERS),
        )


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = given.get(name, known[0])
    if value not in known:
        raise UsageError(f"{name}: {value[:40]!r} is not known; send {', '.join(known)}.")
    return value


def _share(given: Mapping[str, str], name: str, default: float) -> float:
    text = given.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UsageError(f"{name}: {text[:40]!r} is no number from 0 to 1.")
    return value
