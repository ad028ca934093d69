"""Small real images, and a cache folder that belongs to the test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("USL_CACHE", str(folder))
    return folder


@pytest.fixture
def make_images(tmp_path) -> Callable[..., Path]:
    """``make_images("a.jpg", "cat/b.png")`` writes distinct images below a folder, its result."""

    def make(*names: str, folder: str = "photos") -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = sum(name.encode())
            pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
            formats = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF"}
            ending = path.suffix[1:].lower()
            Image.fromarray(pixels).save(path, format=formats.get(ending, ending.upper()))
        return root

    return make
