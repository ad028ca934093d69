"""The permutation that torch draws from a seed, without torch: released code starts from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def first_of_randperm(n: int, count: int, seed: int) -> NDArray[np.int64]:
    """``torch.manual_seed(seed); torch.randperm(n)[:count]`` on a CPU, int64 [count].

    That is the exchange of Fisher and Yates from the front, each place drawn as the next 32 bits
    of a Mersenne twister modulo the places left; for n up to 2^32 / 20, as torch does it.
    """
    drawn = np.random.RandomState(seed & 0xFFFFFFFF).randint(0, 2**32, count, dtype=np.uint32)
    places = np.arange(count) + drawn.astype(np.int64) % (n - np.arange(count))
    moved: dict[int, int] = {}  # what stands at a place, where it is not its own number
    found = np.empty(count, dtype=np.int64)
    for number, place in enumerate(places.tolist()):
        found[number] = moved.get(place, place)
        moved[place] = moved.get(number, number)
    return found
