"""glibc keeps large buffers, unless the user has said otherwise or there is no glibc."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from usl.features.shared import torch_threads


@pytest.fixture
def asked(monkeypatch):
    """What the C library is asked for."""
    found = []
    library = SimpleNamespace(mallopt=lambda *given: found.append(given))
    monkeypatch.setattr(torch_threads, "ctypes", SimpleNamespace(CDLL=lambda name: library))
    monkeypatch.setattr(torch_threads.sys, "platform", "linux")
    return found


def test_buffers_up_to_64_mb_are_kept(asked):
    torch_threads.keep_large_buffers()
    assert asked == [(-3, 64 << 20), (-1, 128 << 20)]  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


@pytest.mark.parametrize("name", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"])
def test_a_setting_of_the_users_own_stays(asked, monkeypatch, name):
    monkeypatch.setenv(name, "1000000")
    torch_threads.keep_large_buffers()
    assert asked == []


def test_other_systems_and_libraries_are_left_alone(asked, monkeypatch):
    monkeypatch.setattr(torch_threads.sys, "platform", "darwin")
    torch_threads.keep_large_buffers()
    monkeypatch.setattr(torch_threads.sys, "platform", "linux")
    musl = SimpleNamespace(CDLL=lambda name: SimpleNamespace())
    monkeypatch.setattr(torch_threads, "ctypes", musl)
    torch_threads.keep_large_buffers()
    assert asked == []
