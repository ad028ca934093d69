"""What strategies share that train a small torch network on rows of features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from usl.core.errors import missing_extra
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


class Drawn:
    """Batches of some rows of a table, drawn without an end.

    A batch holds each row once while there are enough; of fewer rows than ``BATCH`` all come as
    often as it takes.

    Parameters
    ----------
    rows : int64 [r], at least one.
    length : of the rows that are handed out; those of the table have length 1.
    """

    def __init__(self, table: Table, rows: Rows, length: float, rng: np.random.Generator) -> None:
        self.table, self.rows, self.length, self.rng = table, rows, length, rng

    def draw(self) -> tuple[Tensor, Rows]:
        """Rows of the table, [BATCH, d], and their places among ``rows``."""
        import torch

        count = len(self.rows)
        if count < BATCH:
            places = np.concatenate(
                [self.rng.permutation(count) for _ in range(-(-BATCH // count))]
            )
            places = places[:BATCH]
        else:
            places = self.rng.choice(count, BATCH, replace=False, shuffle=False)
        points = self.table.take(self.rows[places]) * np.float32(self.length)
        return torch.from_numpy(points), places


def looked_at(
    table: Table, rows: Rows, length: float, function: Callable[[Tensor], Tensor]
) -> Values:
    """``function`` of each of ``rows``, scaled to ``length``, float64 [r]."""
    import torch

    found: list[Any] = []
    with torch.inference_mode():
        for start in range(0, len(rows), BLOCK):
            points = table.take(rows[start : start + BLOCK]) * np.float32(length)
            found.append(function(torch.from_numpy(points)).double().numpy())
    return np.concatenate(found)
