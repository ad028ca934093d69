"""Selections that leave poor pictures out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import usl
from usl.core.errors import UsageError
from usl.run.columns import read_columns
from usl.run.picks import picked_ids


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    rng = np.random.default_rng(3)
    for number in range(24):
        pixels = rng.integers(40, 220, (90, 120, 3), dtype=np.uint8)
        pixels[:, : 5 * number] //= 2
        Image.fromarray(pixels).save(place / f"good{number:02d}.png")
    Image.new("RGB", (120, 90), (80, 90, 100)).save(place / "blank.png")
    Image.fromarray(rng.integers(0, 12, (90, 120, 3), dtype=np.uint8)).save(place / "dark.png")
    (place / "good99.png").write_bytes((place / "good03.png").read_bytes())
    return place


def test_poor_pictures_and_copies_are_not_picked(folder, tmp_path):
    run = usl.start_run(
        folder, 24, tmp_path / "run", model="pixels", pca=8, method="random", exclude_quality=True
    )
    assert sorted(picked_ids(run.path)) == [f"good{number:02d}.png" for number in range(24)]
    assert len(run.split()) == 27  # the others are labelled by the model
    kept = read_columns(run.path)
    assert len(kept.ids) == 27
    assert kept.values["quality_width"].tolist() == [120.0] * 27


def test_what_is_asked_for_by_name_stays(folder, tmp_path):
    run = usl.start_run(
        folder,
        5,
        tmp_path / "run",
        model="pixels",
        pca=8,
        method="kmeans",
        constraints=usl.Constraints(include=["dark.png"]),
        exclude_quality=True,
    )
    picked = picked_ids(run.path)
    assert picked[0] == "dark.png"
    assert "blank.png" not in picked


def test_too_few_are_left(folder, tmp_path):
    with pytest.raises(UsageError, match="24 items to choose from"):
        usl.start_run(folder, 25, tmp_path / "run", model="pixels", pca=8, exclude_quality=True)


def test_features_alone_have_no_pictures(tmp_path):
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(30, 5)))
    with pytest.raises(UsageError, match="exclude_quality"):
        usl.start_run(tmp_path / "points.npy", 3, tmp_path / "run", exclude_quality=True)
