"""The lists in usl_selections: as their hashes say, and of the classes that their authors state."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

LISTS = Path(__file__).parents[2] / "usl_selections"
SIZES = {"cifar10": 50_000, "cifar100": 50_000, "fashion_mnist": 60_000}


def known(folder):
    return json.loads((folder / "lists.json").read_text(encoding="utf-8"))


def indices(path):
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    assert head == "Index,ImageID"
    pairs = [row.split(",") for row in rows]
    assert all(name == f"train/{int(index):05d}" for index, name in pairs)
    return [int(index) for index, _ in pairs]


@pytest.mark.parametrize("folder", [LISTS, LISTS / "released"], ids=["ours", "theirs"])
def test_every_list_is_as_its_hash_says_and_within_its_data_set(folder):
    files = {path.name for path in folder.glob("*.csv")}
    assert files == set(known(folder))
    for name, about in known(folder).items():
        path = folder / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == about["sha256"]
        rows = indices(path)
        assert len(rows) == len(set(rows)) == about.get("budget", sum(about.get("classes", [])))
        assert 0 <= min(rows) <= max(rows) < SIZES[name.partition("-")[0]]


@pytest.mark.skipif("USL_DATA" not in os.environ, reason="needs the data that USL_DATA names")
def test_the_authors_lists_have_the_classes_that_they_state():
    orders = np.load(Path(os.environ["USL_DATA"]) / "cifar_torchvision_label_orders.npz")
    for name, about in known(LISTS / "released").items():
        data = name.partition("-")[0]
        truth = orders[{"cifar10": "c10_train", "cifar100": "c100_train"}[data]]
        rows = indices(LISTS / "released" / name)
        assert np.bincount(truth[rows], minlength=int(truth.max()) + 1).tolist() == about["classes"]
