"""The authors' published lists beat their random lists, on features that had no part in them."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_lists_are_forty_train_images_each():
    lists = json.loads((BENCHMARKS / "published_selections.json").read_text())["cifar10"]
    assert len(lists) == 7
    for rows in lists.values():
        assert len(set(rows)) == 40
        assert 0 <= min(rows) <= max(rows) < 50_000


@pytest.mark.skipif("USL_DATA" not in os.environ, reason="needs the data that USL_DATA names")
def test_usl_and_usl_t_beat_random(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("published", BENCHMARKS / "published.py")
    published = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "published", published)
    spec.loader.exec_module(published)
    for found in published.measure().values():
        assert np.mean(found["published usl"]) > np.mean(found["published random"]) + 3
        assert found["published usl_t"][0] > max(found["published random"])
        assert min(found["published usl"]) > np.mean(found["random"])
