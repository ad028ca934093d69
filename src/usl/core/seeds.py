"""Seeds: whatever scikit-learn takes for one becomes a number that a run can record."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from usl.core.errors import UsageError

MOST = 2**63 - 1


def seed_number(seed: Any) -> int:
    """The seed as a plain ``int``; :class:`UsageError` for what is none.

    None is any seed, drawn anew; a ``RandomState`` or ``Generator`` gives its next number.
    """
    if seed is None:
        return secrets.randbits(31)
    if isinstance(seed, np.random.RandomState):
        return int(seed.randint(2**31 - 1))
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**31 - 1))
    if isinstance(seed, np.ndarray) and seed.ndim == 0:
        seed = seed.item()
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed: {seed!r} given; it must be a whole number of at least 0.")
    if seed > MOST:
        raise UsageError(f"seed: {seed} given; it must be at most {MOST}.")
    return int(seed)
