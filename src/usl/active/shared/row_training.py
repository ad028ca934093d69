"""What strategies share that train a small torch network on rows of features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from usl.core.errors import missing_extra
from usl.core.progress import Progress
from usl.numeric.arrays import Rows, Values
from usl.numeric.table import Table

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 128  # rows in a step, as in the releases; labelled ones come more than once where few
BLOCK = 4096  # rows looked at together afterwards; fixed, because products are rounded by block
REPORT_EVERY = 50  # steps


@contextmanager
def torch_alone(strategy: str, seed: int) -> Iterator[None]:
    """A context in which torch computes on one thread and draws by ``seed``.

    A sum on one thread has the same bits on any number of cores, and rows are so few in a step that
    a second thread would only be waited for.

    Raises
    ------
    MissingDependencyError : torch is not installed; ``strategy`` is who asks.
    """
    if not find_spec("torch"):
        raise missing_extra("torch", "torch", f"The query strategy {strategy!r}")
    import torch

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.random.fork_rng(devices=[]):
            # Only the CPU's generator: torch.manual_seed would change those of every device.
            torch.random.default_generator.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def points_of(table: Table, rows: Rows, length: float = 1.0) -> Tensor:
    """Rows of a table, scaled to ``length``, float32 [r, d]."""
    import torch

    return torch.from_numpy(table.take(rows) * np.float32(length))


class Drawn:
    """Batches of some rows of a table, drawn without an end.

    A batch holds a row once while there are enough; of fewer than ``BATCH`` rows each comes as
    often as any other, or once less.

    Parameters
    ----------
    rows : int64 [r], at least one; length : what they are scaled to.
    """

    def __init__(
        self, table: Table, rows: Rows, rng: np.random.Generator, length: float = 1.0
    ) -> None:
        self.table, self.rows, self.rng, self.length = table, rows, rng, length

    def draw(self) -> tuple[Tensor, Rows]:
        """Points of the table, [BATCH, d], and their places among ``rows``."""
        count = len(self.rows)
        if count < BATCH:
            rounds = -(-BATCH // count)
            places = np.concatenate([self.rng.permutation(count) for _ in range(rounds)])[:BATCH]
        else:
            places = self.rng.choice(count, BATCH, replace=False, shuffle=False)
        return points_of(self.table, self.rows[places], self.length), places


def reported(steps: int, label: str, progress: Progress) -> Iterator[int]:
    """The numbers of ``steps`` steps, from 0, reported every few."""
    for step in range(steps):
        yield step
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == steps:
            progress(step + 1, steps, label)


def looked_at(
    table: Table, rows: Rows, function: Callable[[Tensor], Tensor], length: float = 1.0
) -> Values:
    """``function`` of each of ``rows``, scaled to ``length``, float64 [r]."""
    import torch

    found: list[Any] = []
    with torch.inference_mode():
        for start in range(0, len(rows), BLOCK):
            points = points_of(table, rows[start : start + BLOCK], length)
            found.append(function(points).double().numpy())
    return np.concatenate(found)
