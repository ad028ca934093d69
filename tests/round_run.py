"""A small run on given features, whose truth is known, for rounds after the first."""

from __future__ import annotations

import numpy as np

import usl
from usl.run.folder import Run

CLASSES = ("ant", "bee", "cow")


def write_points(path, ids, seed):
    """A table of features by id: three clumps; an id begins with the letter of its class."""
    rng = np.random.default_rng(seed)
    number = [CLASSES.index(next(c for c in CLASSES if c[0] == name[0])) for name in ids]
    points = 3 * np.eye(8)[number] + rng.normal(scale=0.6, size=(len(ids), 8))
    columns = [f"f{place}" for place in range(8)]
    rows = [",".join(["image_id", *columns])]
    rows += [
        ",".join([name, *(f"{value:.6f}" for value in point)])
        for name, point in zip(ids, points, strict=True)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def make_run(folder, *, n=20, budget=6):
    """A run of 3 n items with ``budget`` requests."""
    folder.mkdir(exist_ok=True)
    ids = [f"{name[0]}{row:03d}" for row in range(n) for name in CLASSES]
    source = write_points(folder / "points.csv", ids, 0)
    return usl.start_run(source, budget, folder / "run")


def truth(name):
    """The class of an item."""
    return next(c for c in CLASSES if c[0] == name[0])


def fill_in(run, names=None, label=truth):
    """Fill in labels as a person does in a spreadsheet; all requests by default."""
    split = run.split()
    wanted = split.ids[split.requested()].tolist() if names is None else names
    path = run.path / "split.csv"
    lines = path.read_text().splitlines()
    for place, line in enumerate(lines[1:], 1):
        name, subset, _, _, weight, _, *own = line.split(",")
        if name in wanted:
            said = label(name)
            lines[place] = ",".join([name, subset, "labeled", said, weight, "human", *own])
    path.write_text("\n".join(lines) + "\n")
    return Run.open(run.path)


def requested(run):
    """The ids that wait for a label, in order."""
    split = Run.open(run.path).split()
    return split.ids[split.requested()].tolist()
