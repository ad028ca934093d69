"""Blocks, and how many threads work on them."""

from __future__ import annotations

import sys
import threading

from threadpoolctl import ThreadpoolController, threadpool_info

from usl.numeric import blocks
from usl.numeric.blocks import map_blocks, one_blas_thread, thread_count


def test_the_environment_bounds_the_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = thread_count()
    for value, expected in (("1", 1), ("100000", cores), ("0", cores), ("many", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert thread_count() == expected


def test_alone_is_the_same_on_the_thread_that_calls():
    seen = set()

    def block(start, stop):
        seen.add(threading.get_ident())
        return start, stop

    spans = list(map_blocks(block, 10, 3))
    assert seen != {threading.get_ident()} or thread_count() == 1
    seen.clear()
    assert list(map_blocks(block, 10, 3, alone=True)) == spans
    assert seen == {threading.get_ident()}


def test_one_blas_thread_and_then_as_many_as_before():
    def threads():
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    before = threads()
    assert before
    for _ in range(2):
        with one_blas_thread():
            assert set(threads()) == {1}
        assert threads() == before


def test_libraries_are_sought_anew_when_there_may_be_more(monkeypatch):
    sought = []
    monkeypatch.setattr(
        blocks, "ThreadpoolController", lambda: sought.append(1) or ThreadpoolController()
    )
    blocks._libraries.cache_clear()
    with one_blas_thread(), one_blas_thread():
        pass
    assert len(sought) == 1
    monkeypatch.setitem(sys.modules, "another", sys)
    with one_blas_thread():
        pass
    assert len(sought) == 2
