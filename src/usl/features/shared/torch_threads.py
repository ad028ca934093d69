"""Forward passes side by side: one per core, each on one torch thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from usl.numeric.blocks import thread_count

T = TypeVar("T")
R = TypeVar("R")


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
