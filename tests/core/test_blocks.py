"""Blocks, and how many threads work on them."""

from __future__ import annotations

from usl.core.blocks import thread_count


def test_the_environment_bounds_the_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = thread_count()
    for value, expected in (("1", 1), ("100000", cores), ("0", cores), ("many", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert thread_count() == expected
