"""Which rows a step sees: a pure function of the seed and the step.

So a training that is resumed sees what it would have seen, without any stored position.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from usl.core.errors import UsageError


class Batches(Protocol):
    """What a training loop draws from."""

    def __call__(self, step: int, rank: int, ranks: int) -> Mapping[str, Any]:
        """The tensors of one step, from 0; with several ranks, this rank's part.

        ``rows``, int64 [b], tells which images they are. Called from a thread of its own, ahead
        of time; equal arguments must give equal tensors.
        """


class Shuffled:
    """Rows in random order, every one once per epoch; an incomplete last batch is left out.

    Parameters
    ----------
    n : number of rows.
    batch_size : rows per step, over all ranks.
    seed : of the order.
    stream : keeps the orders of several streams with one seed apart.
    """

    def __init__(self, n: int, batch_size: int, seed: int, stream: int = 0) -> None:
        if n < 2:
            raise UsageError(f"{n} image{'' if n == 1 else 's'} given; training needs at least 2.")
        if not 2 <= batch_size <= n:
            raise UsageError(
                f"batch_size: {batch_size} given for {n:,} images; use a number from 2 to {n:,}."
            )
        self.n, self.batch_size, self.seed, self.stream = n, batch_size, seed, stream
        self.per_epoch = n // batch_size
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def rows(self, step: int) -> NDArray[np.int64]:
        """Rows of a step, int64 [batch_size]."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng([self.seed, self.stream, epoch])
            self._order = (epoch, rng.permutation(self.n))
        start = position * self.batch_size
        return self._order[1][start : start + self.batch_size]


def part_of(rows: NDArray[np.int64], rank: int, ranks: int) -> NDArray[np.int64]:
    """This rank's equal share of a batch."""
    if len(rows) % ranks:
        raise UsageError(f"batch_size: {len(rows)} cannot be divided among {ranks} processes.")
    share = len(rows) // ranks
    return rows[rank * share : (rank + 1) * share]


def step_generator(seed: int, step: int, rank: int, device: Any = "cpu") -> torch.Generator:
    """The source of everything random in one step on one rank."""
    word = np.random.SeedSequence([seed, step, rank]).generate_state(2, np.uint32)
    return torch.Generator(device).manual_seed(int(word[0]) << 31 ^ int(word[1]))
