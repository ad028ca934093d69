"""A small run on pictures, whose folders say what they show."""

from __future__ import annotations

import csv

import numpy as np
from PIL import Image

from usl.selection.start_run import start_run


def write_noise(folder, count):
    """Pictures of noise, 6 by 6 pixels: 000.png, 001.png, ..."""
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")


def make_picture_run(folder):
    """A run on 40 pictures of two colours in class folders, 6 of them labelled, 8 for testing."""
    rng = np.random.default_rng(0)
    colours = {"red": [210, 40, 40], "green": [40, 210, 40]}
    for number in range(48):
        name = ("red", "green")[number % 2]
        place = folder / "photos" / ("test" if number >= 40 else "train") / name
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.array(colours[name]) + rng.normal(0, 15, (8, 8, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number:02d}.png")
    made = start_run(folder / "photos", 6, folder / "run", method="kmeans", model="pixels", pca=8)
    answer(made)
    return made


def answer(run):
    """Fill in the requested labels of the split file from the folder names."""
    path = run.path / "split.csv"
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        if row["state"] == "requested":
            row["label"] = row["image_id"].split("/")[-2]
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
