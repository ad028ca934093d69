"""Forward passes side by side: one per core, each on one torch thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from usl.numeric.blocks import thread_count

T = TypeVar("T")
R = TypeVar("R")


def use_large_pages() -> None:
    """Have torch ask for pages of 2 MB, on Linux; for the time before torch is imported.

    A layer's output is larger than what the C library keeps, so each is fetched from the system
    anew. In pages of 4 KB that takes a third of a forward pass.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def on_every_core(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``[function(item) for item in items]``, with torch held to one thread inside.

    Splitting one pass over all cores instead makes every layer wait for the slowest core: as soon
    as anything else runs (decoding, say), passes take several times as long. And sums in one
    thread have the same bits on any number of cores.
    """
    import torch

    # The number of torch threads belongs to the calling thread, but setting it also changes the
    # default of threads yet to come; the last line brings that back.
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            thread_count(), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)


def full_passes(
    network: Callable[[Any], Any],
    prepared: Sequence[NDArray[Any]],
    size: int,
    dim: int,
    *,
    side_by_side: bool = True,
) -> NDArray[np.float32]:
    """Rows, float32 [b, dim], of b prepared pictures, ``size`` in a pass, the last one filled up.

    ``side_by_side`` runs one pass per core.
    """
    import torch

    rows = np.empty((len(prepared), dim), dtype=np.float32)

    def one_pass(start: int) -> None:
        part = prepared[start : start + size]
        batch = np.zeros((size, *part[0].shape), dtype=np.float32)
        batch[: len(part)] = part
        with torch.inference_mode():
            found = network(torch.from_numpy(batch))
        rows[start : start + len(part)] = found[: len(part)].cpu().numpy()

    starts = range(0, len(prepared), size)
    if side_by_side:
        on_every_core(one_pass, starts)
    else:
        for start in starts:
            one_pass(start)
    return rows
