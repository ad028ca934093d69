"""Checks of a plan's values: each refusal is one line that names the key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from usl.core.errors import UsageError, did_you_mean

BUILTIN = "builtin:"  # what comes with the package
CLASSES = "classes"  # as many labels as there are classes


def check_keys(given: Mapping[str, Any], known: Mapping[str, type], prefix: str) -> None:
    """:class:`UsageError` for a key that nobody knows, or a value of another type."""
    for key, value in given.items():
        if key not in known:
            listing = ", ".join(known)
            raise UsageError(
                f"unknown key {prefix + key!r}.{did_you_mean(key, known)} Known keys: {listing}."
            )
        kind = known[key]
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            words = {str: "text", int: "a whole number", float: "a number", bool: "true or false",
                     list: "a list", dict: "a table"}  # fmt: skip
            raise UsageError(f"{prefix}{key}: {value!r} given; it must be {words[kind]}.")


def check_known(key: str, given: Iterable[str], known: Iterable[str]) -> None:
    """:class:`UsageError` for a name that the plan does not have."""
    known = list(known)
    for name in given:
        if name not in known:
            raise UsageError(
                f"{key}: {name!r} is not in this plan.{did_you_mean(str(name), known)} "
                f"There is {', '.join(known)}."
            )


def at_least(where: str, value: Any, least: int) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{where}: {value!r} given; use whole numbers from {least}.")
    return value


def number_of_labels(where: str, value: Any) -> int | str:
    """A number of labels, or :data:`CLASSES`."""
    if value == CLASSES:
        return CLASSES
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f'{where}: {value!r} given; use "{CLASSES}" or a whole number.')
    return at_least(where, value, 1)


def in_numbers(labels: int | str, classes: int) -> int:
    """The same as a number, for so many classes."""
    return classes if labels == CLASSES else int(labels)
