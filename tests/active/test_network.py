"""A network trained on the pictures, and what is asked through it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from usl.active.network import most_wanted, query_network  # noqa: E402
from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.data.images import ArrayImages  # noqa: E402
from usl.training import train_network as driver  # noqa: E402
from usl.training.train_network import Examples, Place  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {
    "preset": "cpu",
    "size": 8,
    "steps": 3,
    "batch_size": 4,
    "device": "cpu",
    "precision": "32",
}
NAMES = ["red", "green"]
LABELED = np.array([3, 10, 21, 40])


@pytest.fixture(scope="module")
def examples():
    """60 pictures of two colours, four with a label."""
    rng = np.random.default_rng(0)
    colours = np.array([[210, 40, 40], [40, 210, 40]])
    own = np.arange(60) % 2
    pixels = colours[own][:, None, None] + rng.normal(0, 30, (60, 8, 8, 3))
    classes = np.full(60, -1)
    classes[LABELED] = own[LABELED]
    return Examples(
        ArrayImages(pixels.clip(0, 255).astype(np.uint8)),
        np.array([f"{number:02d}" for number in range(60)]),
        classes,
        np.ones(60),
        "colours",
    )


def ask(examples, folder, **options):
    folder.mkdir(exist_ok=True)
    place = Place(folder / "training", folder / "trained.safetensors", lambda: None)
    return query_network(
        examples, 5, class_names=NAMES, place=place, **{"method": "margin", **SMALL, **options}
    )


def test_end_to_end(examples, tmp_path):
    made = ask(examples, tmp_path, task="fixmatch")
    assert len(set(made.query.indices.tolist())) == 5
    assert not np.isin(made.query.indices, LABELED).any()
    print(made.predictions[:3], made.features.shape, made.trained.parameters)
