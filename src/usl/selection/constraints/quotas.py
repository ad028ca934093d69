"""Quotas: how many picks each group gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.words import more_such

Shares = Literal["equal", "proportional"]
Quotas = Mapping[str, int] | Shares
WORDS: tuple[str, ...] = get_args(Shares)


@dataclass(frozen=True)
class Groups:
    """Which group each item is in: ``names``, sorted, and ``of`` int64 [n], numbers of names."""

    names: list[str]
    of: NDArray[np.int64]

    @classmethod
    def from_column(cls, values: ArrayLike) -> Groups:
        """From one name per item; :class:`DataError` naming a row that has none."""
        column = np.asarray(values, dtype=object)
        if column.ndim != 1:
            raise DataError(f"groups: shape {column.shape} given; one group per item is needed.")
        words = ["" if v is None or v != v else str(v).strip() for v in column.tolist()]
        names, of = np.unique(np.array(words, dtype=np.str_), return_inverse=True)
        if len(words) and names[0] == "":
            row = words.index("")
            raise DataError(f"groups: row {row} has no group{more_such(words.count(''), 'row')}.")
        return cls(names.tolist(), of.astype(np.int64))

    def rows(self, group: int) -> NDArray[np.int64]:
        """The items of a group, ascending."""
        return np.flatnonzero(self.of == group)

    def counts(self, chosen: NDArray[Any]) -> NDArray[np.int64]:
        """How many of the ``chosen`` items (rows or mask [n]) each group has, int64 [g]."""
        return np.bincount(self.of[chosen], minlength=len(self.names))


def parse_quotas(words: Sequence[str]) -> Quotas | None:
    """From the command line: ``equal``, ``proportional``, or any number of ``NAME=COUNT``."""
    if not words:
        return None
    if len(words) == 1 and words[0] in WORDS:
        return "equal" if words[0] == "equal" else "proportional"
    quotas: dict[str, int] = {}
    for word in words:
        name, sign, count = word.rpartition("=")
        if not sign or not name.strip() or not count.strip().isdecimal():
            raise UsageError(
                f"--quota: {word!r} given; write NAME=COUNT, once per group, or equal or "
                f"proportional alone.{did_you_mean(word, WORDS)}"
            )
        if name.strip() in quotas:
            raise UsageError(f"--quota: the group {name.strip()!r} is given twice.")
        quotas[name.strip()] = int(count)
    return quotas


def shares(
    quotas: Quotas,
    names: list[str],
    budget: int,
    *,
    sizes: NDArray[np.int64],
    weights: NDArray[np.int64],
    included: NDArray[np.int64],
    free: NDArray[np.int64],
) -> NDArray[np.int64]:
    """How many of the ``budget`` each group gets, must-includes counted: int64 [g].

    Parameters
    ----------
    quotas : counts by name (a group without one gets none), or how to share: ``equal`` numbers
        (small groups give way to the others), or ``proportional`` to ``weights``.
    names, sizes : of the groups, sorted, and how many items each has, int64 [g].
    weights : int64 [g], how many of them count where shares are proportional.
    included : int64 [g], must-includes of each group; free : int64 [g], what else may be picked.

    Raises
    ------
    UsageError
        for quotas that name no group, do not add up, exceed a group, or fall short of its
        must-includes.
    """
    most = included + free
    if isinstance(quotas, str):
        if quotas not in WORDS:
            raise UsageError(
                f"quotas: {quotas!r} given; use counts by group, or {' or '.join(WORDS)}."
                f"{did_you_mean(quotas, WORDS)}"
            )
        if budget > most.sum():
            raise UsageError(
                f"budget: {budget} given, but the groups hold {most.sum()} items to choose from."
            )
        return _shared(np.ones_like(most) if quotas == "equal" else weights, budget, included, most)
    wanted = np.zeros(len(names), dtype=np.int64)
    for name, count in quotas.items():
        if name not in names:
            raise UsageError(
                f"quotas: no item is in a group {name!r}.{did_you_mean(str(name), names)} "
                f"Groups: {_listing(names)}."
            )
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise UsageError(
                f"quotas: {count!r} given for {name!r}; it must be a whole number, 0 or more."
            )
        wanted[names.index(name)] = count
    if wanted.sum() != budget:
        raise UsageError(
            f"quotas: they add up to {wanted.sum()}, but the budget is {budget}. Change one or "
            "the other."
        )
    for group, name in enumerate(names):
        if wanted[group] > most[group]:
            size = int(sizes[group])
            left = "" if size == most[group] else f", of which {most[group]} can be picked"
            raise UsageError(
                f"quotas: {wanted[group]} asked of {name!r}, but the group has {size} items{left}."
            )
        if wanted[group] < included[group]:
            raise UsageError(
                f"quotas: {wanted[group]} asked of {name!r}, but {included[group]} of its items "
                "must be included. Raise the quota, or include fewer."
            )
    return wanted


def _shared(
    weights: NDArray[np.int64], budget: int, least: NDArray[np.int64], most: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Share ``budget`` by the divisors 1, 3, 5, ...; within bounds; ties to the first name."""
    given = least.copy()
    for _ in range(budget - int(least.sum())):
        claim = np.where(given < most, weights / (2 * given + 1), -1.0)
        given[int(claim.argmax())] += 1
    return given


def _listing(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")
