"""Forward passes side by side: one per core, each on one torch thread."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from usl.numeric.blocks import thread_count

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
LARGEST_KEPT = 64 << 20  # bytes of a buffer

T = TypeVar("T")
R = TypeVar("R")


def keep_large_buffers() -> None:
    """Have glibc keep what a layer's output took for the next one, up to 128 MB; elsewhere nothing.

    By itself it gives buffers of more than 32 MB back to the system at once, and fetching them
    anew, page by page, takes a third of a forward pass. Whoever has set a ``MALLOC_..._`` of
    theirs keeps it.
    """
    own = any(name.startswith("MALLOC_") and name.endswith("THRESHOLD_") for name in os.environ)
    if sys.platform != "linux" or own:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in musl
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_KEPT)


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
