"""What the tests of USL-T end to end train on: few small pictures, and an encoder for them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def coloured(tmp_path):
    """A function that makes a folder of n pictures of 16 x 16, noise on four colours."""

    def make(n):
        rng = np.random.default_rng(0)
        folder = tmp_path / "photos"
        folder.mkdir()
        colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]])
        for number in range(n):
            pixels = colours[number % 4] + rng.normal(0, 12, (16, 16, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:02d}.png")
        return folder

    return make


@pytest.fixture
def encoder(tmp_path):
    """The file of a small network with random weights."""
    from usl.learning.backbone import new_backbone, save_backbone

    path = tmp_path / "encoder.safetensors"
    save_backbone(path, new_backbone("compact", size=16, seed=0))
    return str(path)
