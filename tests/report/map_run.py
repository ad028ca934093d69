"""A small run for tests of the map: hostile names, three colours, some predictions wrong."""

import warnings

import numpy as np
from PIL import Image

import usl
from support import unit
from usl.core.errors import UslWarning
from usl.data.collection import Collection
from usl.data.images import ObjectImages

OWNED = "</script><script>window.owned=1</script><img src=x onerror=window.owned=1>"
CLASSES = ("cat & <b>dog", f"sky {OWNED}", "sea\u202e")
COLOURS = ((200, 60, 60), (60, 180, 60), (60, 60, 210))
N, BUDGET = 240, 9


def picture(known, row):
    """About one colour by class, 90 x 60 pixels, or 20 x 20 for every fourth."""
    size = (20, 20) if row % 4 == 0 else (60, 90)
    noise = np.random.default_rng(row).integers(-30, 30, (*size, 3))
    return Image.fromarray((np.array(COLOURS[known[row]]) + noise).astype(np.uint8))


def collection(n=N, seed=3):
    rng = np.random.default_rng(seed)
    known = rng.integers(0, 3, n)
    features = unit(np.eye(8)[known] * 3 + rng.normal(scale=0.9, size=(n, 8)))
    ids = [f"{i:03d} {OWNED}" if i % 5 == 0 else f"folder/{i:03d}.png" for i in range(n)]
    return Collection(
        ids=np.array(ids),
        subsets=np.array(["train"] * n),
        images=ObjectImages(known, picture),
        features=features,
        labels=np.array([CLASSES[k] for k in known], dtype=object),
        source="memory",
        kind="test",
    )


def trained_run(folder, found):
    """A run on the collection: 9 picks, all labelled, one of them wrongly, and a classifier."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        run = usl.start_run(found, BUDGET, folder)
        known = dict(zip(found.ids.tolist(), found.labels.tolist(), strict=True))
        split = run.split()
        asked = split.requested()
        answers = [known[name] for name in split.ids[asked].tolist()]
        answers[-1] = next(name for name in CLASSES if name != answers[-1])
        split.with_labels(asked, answers).write(run.path)
        return usl.train(run, collection=found)


def alone(data, least=14.0):
    """Dots that no other is near, picks left out: pointing at them leaves no doubt."""
    xy = np.stack([data["x"], data["y"]], axis=1) / 10
    squared = ((xy[:, None] - xy[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    picks = [point for point, _, _ in data["picks"]]
    free = (squared.min(axis=1) > least**2) & (squared[:, picks].min(axis=1) > 28**2)
    return [i for i in np.flatnonzero(free).tolist() if i not in picks]
