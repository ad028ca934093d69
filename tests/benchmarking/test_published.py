"""The authors' published lists beat their random lists, on features that had no part in them."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from usl.evaluation.compare import Data, score
from usl.features.preprocessing import Preprocessing
from usl.training.frozen import logistic, nearest_mean

LISTS = Path(__file__).parents[2] / "usl_selections" / "released"
FEATURES = "cifar10_efficientnet_lite1_160_prehead320_features.npy"


@pytest.mark.skipif("USL_DATA" not in os.environ, reason="needs the data that USL_DATA names")
@pytest.mark.parametrize(("learner", "params"), [(logistic, {"c": 10.0}), (nearest_mean, {})])
def test_usl_and_usl_t_beat_random(learner, params):
    folder = Path(os.environ["USL_DATA"])
    rows, truth = np.load(folder / FEATURES), np.load(folder / "cifar10_labels.npy").astype(int)
    space = Preprocessing.fit(rows[:50_000], center=True, standardize=True)
    train, test = space.transform(rows[:50_000]), space.transform(rows[50_000:])
    data = Data(train, truth[:50_000], test, truth[50_000:])
    found = {}
    for path in sorted(LISTS.glob("cifar10-*.csv")):
        with open(path, newline="", encoding="utf-8") as handle:
            picks = np.array([int(row["Index"]) for row in csv.DictReader(handle)])
        kind = path.stem.split("-")[1]
        found.setdefault(kind, []).append(100 * score(picks, data, learner, params, 0)[0])
    assert {kind: len(own) for kind, own in found.items()} == {"random": 3, "usl": 3, "usl_t": 1}
    assert np.mean(found["usl"]) > np.mean(found["random"]) + 3
    assert found["usl_t"][0] > max(found["random"])
