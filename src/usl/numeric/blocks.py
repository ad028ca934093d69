"""Map a function over blocks of rows on all cores; results do not depend on the thread count.

A matrix product rounds differently when BLAS splits it differently. Here the blocks are fixed by
the problem alone, each block runs on one BLAS thread, and the blocks run side by side on as many
Python threads as there are cores (NumPy releases the interpreter lock in products and partitions).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from usl.core.progress import Progress, silent

T = TypeVar("T")

BLOCK_BYTES = 48 << 20  # of one block's intermediate; two cores then stay near 100 MB


def thread_count() -> int:
    """Cores this process may use; no more than the environment variable ``OMP_NUM_THREADS``."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(wanted)) if wanted.isdigit() and int(wanted) else cores


def one_blas_thread() -> AbstractContextManager[Any]:
    """A context in which BLAS works on one thread."""
    limited: AbstractContextManager[Any] = _libraries(len(sys.modules)).limit(
        limits=1, user_api="blas"
    )
    return limited


@lru_cache(1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries whose threads can be limited; sought anew once more modules are loaded.

    The search takes a millisecond, longer than many a block.
    """
    return ThreadpoolController()


def rows_per_block(row_bytes: int) -> int:
    """Rows whose intermediate of ``row_bytes`` each fits a block; 16 to 8,192, a power of two."""
    rows = max(16, min(8192, BLOCK_BYTES // max(1, row_bytes)))
    return 1 << (rows.bit_length() - 1)


def map_blocks(
    function: Callable[[int, int], T],
    n: int,
    block: int,
    *,
    alone: bool = False,
    progress: Progress = silent,
    label: str = "",
) -> Iterator[T]:
    """Yield ``function(start, stop)`` for consecutive blocks of ``n`` rows, in order.

    At most a few finished blocks wait for the caller, so memory stays bounded. ``alone`` is for
    blocks of which all together take less than the millisecond or two that threads take to start:
    they are worked on in this one.
    """
    spans = [(start, min(start + block, n)) for start in range(0, n, block)]
    threads = min(thread_count(), len(spans))
    if alone or threads <= 1:
        with one_blas_thread():
            for start, stop in spans:
                yield function(start, stop)
                progress(stop, n, label)
        return
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(function, *span) for span in spans[: 2 * threads]]
        upcoming = iter(spans[2 * threads :])
        try:
            for done, (_, stop) in enumerate(spans):
                result = waiting[done % len(waiting)].result()
                following = next(upcoming, None)
                if following is not None:
                    waiting[done % len(waiting)] = pool.submit(function, *following)
                yield result
                progress(stop, n, label)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
