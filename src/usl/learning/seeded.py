"""Initial weights by a seed, with torch's global generators left as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which layers are made on the CPU, with weights drawn by ``seed``."""
    # Only the CPU's generator is seeded: torch.manual_seed would change those of every device.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.random.default_generator.manual_seed(seed)
        yield
