"""The encoders that come with the package."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from usl.features.encoders.backbone import SHIPPED, shipped
from usl.features.open_encoder import open_encoder

NAMES = sorted(shipped())


def test_they_are_there():
    assert {"cifar-cld-small", "cifar-usl-t-small"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_small_described_and_told_nothing(name):
    file = shipped()[name]
    assert file.stat().st_size <= 4_000_000
    assert f"## {name}" in (SHIPPED / "README.md").read_text(encoding="utf-8")
    encoder = open_encoder(name)
    assert encoder.supervision == "none"
    assert encoder.backbone().name == "compact"


@pytest.mark.parametrize("name", NAMES)
def test_each_sees_what_is_alike(name):
    """A picture, brighter or mirrored, stays nearer to itself than to other pictures."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (6, 4, 4, 3), dtype=np.uint8)
    pictures = [Image.fromarray(p).resize((32, 32), Image.Resampling.BICUBIC) for p in coarse]
    changed = [
        p.transpose(Image.Transpose.FLIP_LEFT_RIGHT).point(lambda v: v + 15) for p in pictures
    ]
    encoder = open_encoder(name)
    rows, others = (np.float64(encoder.encode(part)) for part in (pictures, changed))
    mean = rows.mean(axis=0)
    rows, others = rows - mean, others - mean
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert ((others @ rows.T).argmax(axis=1) == np.arange(6)).all()
