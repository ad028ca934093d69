"""Two streams of batches: the labelled images over and over, the unlabelled ones in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.learning.batches import part_of
from usl.learning.pictures import Pictures

LABELED, UNLABELED = 0, 1  # their random streams


class Endless:
    """Rows in random order, every one once per round, round after round without a gap.

    A batch may reach over rounds, so it may be larger than the set: 40 labels fill a batch of 64.
    A pure function of the seed and the step, like :class:`usl.learning.batches.Shuffled`.
    """

    def __init__(self, n: int, batch_size: int, seed: int, stream: int) -> None:
        if n < 1 or batch_size < 1:
            raise UsageError(f"batch_size: {batch_size} given for {n} images; use at least 1.")
        self.n, self.batch_size, self.seed, self.stream = n, batch_size, seed, stream
        self._rounds: dict[int, NDArray[np.int64]] = {}

    def rows(self, step: int) -> NDArray[np.int64]:
        """Rows of a step, int64 [batch_size]."""
        first, last = step * self.batch_size, (step + 1) * self.batch_size
        rounds = range(first // self.n, (last - 1) // self.n + 1)
        self._rounds = {number: self._round(number) for number in rounds}
        everything = np.concatenate([self._rounds[number] for number in rounds])
        start = first - rounds.start * self.n
        return everything[start : start + self.batch_size]

    def _round(self, number: int) -> NDArray[np.int64]:
        known = self._rounds.get(number)
        if known is not None:
            return known
        return np.random.default_rng([self.seed, self.stream, number]).permutation(self.n)


@dataclass(frozen=True)
class Streams:
    """The batches of semi-supervised training.

    Attributes
    ----------
    pictures : of all train images.
    labeled, classes, weights : rows with a label [L], their class numbers and weights.
    unlabeled : rows of the unlabelled stream [U].
    batch_size : labelled images per step; ``ratio`` times as many unlabelled ones.
    """

    pictures: Pictures
    labeled: NDArray[np.int64]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    unlabeled: NDArray[np.int64]
    batch_size: int
    ratio: int
    seed: int

    def __call__(self, step: int, rank: int, ranks: int) -> Mapping[str, Any]:
        """One raw batch.

        ``images`` uint8 [b, c, h, w], ``classes`` int64 [b], ``weights`` float32 [b], ``rows``
        int64 [b]; with a ratio above 0 ``unlabeled`` uint8 [b ratio, c, h, w] and
        ``unlabeled_rows`` int64 [b ratio]. Of whole pictures also their shapes, see
        :meth:`usl.learning.pictures.Pictures.named`.
        """
        drawn = Endless(len(self.labeled), self.batch_size, self.seed, LABELED).rows(step)
        chosen = part_of(drawn, rank, ranks)
        rows = self.labeled[chosen]
        batch = {
            **self.pictures.named("images", rows),
            "classes": torch.from_numpy(self.classes[chosen]),
            "weights": torch.from_numpy(self.weights[chosen]).float(),
            "rows": torch.from_numpy(rows),
        }
        if self.ratio:
            count = self.batch_size * self.ratio
            drawn = Endless(len(self.unlabeled), count, self.seed, UNLABELED).rows(step)
            others = self.unlabeled[part_of(drawn, rank, ranks)]
            batch |= self.pictures.named("unlabeled", others)
            batch["unlabeled_rows"] = torch.from_numpy(others)
        return batch
