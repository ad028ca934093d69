"""New scores for tasks that are to come in an order, changing as few as possible."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

LEAST = 1e-6  # between two scores; where there is no such room left, all are given anew


def ascending(now: Sequence[float], top: float) -> list[float]:
    """Scores in the order of ``now``, strictly ascending within (0, top).

    1. Of the scores that are there the longest ascending run stays.
    2. The others get scores between their neighbours that stay.

    Parameters
    ----------
    now : the scores that there are, in the order wanted; those outside (0, top) cannot stay.
    """
    stay = _longest_run([score if 0 < score < top else None for score in now])
    found = [0.0, *now, top]
    marks = [0, *(place + 1 for place in stay), len(now) + 1]
    for left, right in pairwise(marks):
        step = (found[right] - found[left]) / (right - left)
        for place in range(left + 1, right):
            found[place] = found[left] + step * (place - left)
    gaps = [after - before for before, after in pairwise(found)]
    if min(gaps) < LEAST:
        return [top * (place + 1) / (len(now) + 1) for place in range(len(now))]
    return found[1:-1]


def _longest_run(scores: Sequence[float | None]) -> list[int]:
    """Places of the longest strictly ascending subsequence; of several the first found."""
    best: list[list[int]] = []  # that end at each place
    for place, score in enumerate(scores):
        runs = [
            best[before]
            for before in range(place)
            if score is not None and best[before] and float(scores[before] or 0) < score
        ]
        longest = max(runs, key=len, default=[])
        best.append([] if score is None else [*longest, place])
    return max(best, key=len, default=[])
