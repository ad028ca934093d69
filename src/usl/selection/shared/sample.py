"""Sample rows, for methods whose cost grows faster than their number."""

from __future__ import annotations

import numpy as np

from usl.numeric.arrays import Rows


def draw_sample(
    n: int, budget: int, labeled: Rows, candidates: Rows, size: int, rng: np.random.Generator
) -> Rows:
    """``size`` of ``n`` rows, sorted; all of them if there are no more, never below the budget.

    Candidates and other unlabelled rows enter in proportion, so that the sample is as dense as the
    collection; but candidates take at least half, or there is little to choose from. Labelled rows
    take at most half of all, also where that leaves the sample smaller.
    """
    if n <= size:
        return np.arange(n)
    known = rng.permutation(labeled)[: size // 2]
    others = np.setdiff1d(np.arange(n), np.concatenate([labeled, candidates]))
    room = max(size - len(known), budget)
    share = room * len(candidates) // (len(candidates) + len(others))
    count = min(len(candidates), max(budget, share, room // 2))
    chosen = rng.choice(candidates, count, replace=False, shuffle=False)
    rest = rng.choice(others, min(len(others), room - count), replace=False, shuffle=False)
    return np.sort(np.concatenate([known, chosen, rest]))


def draw_pool(candidates: Rows, size: int, seed: int) -> Rows:
    """A random subset of ``size`` candidates, sorted; all of them if there are no more."""
    if size >= len(candidates):
        return candidates
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(candidates, size, replace=False, shuffle=False))
