"""Figures of picture quality, on pictures whose faults are known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from usl.data.images import FileImages
from usl.data.quality import FIGURES, copies, figures_of, measure, poor


def picture(seed, size=(200, 150)):
    """Something with edges and texture."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, 18, (size[1], size[0], 3)) + 90
    for _ in range(12):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        pixels[y : y + 40, x : x + 50] += rng.normal(0, 60, 3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.fixture
def folder(tmp_path):
    for number in range(20):
        picture(number).save(tmp_path / f"good{number:02d}.png")
    Image.eval(picture(30), lambda v: v // 12).save(tmp_path / "dark.png")
    Image.new("RGB", (200, 150), (90, 90, 90)).save(tmp_path / "blank.png")
    picture(31).filter(ImageFilter.GaussianBlur(6)).save(tmp_path / "blurred.png")
    picture(32, (30, 24)).save(tmp_path / "tiny.png")
    picture(33, (900, 100)).save(tmp_path / "odd.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


def test_each_fault_is_found_and_nothing_else(folder):
    names = sorted(path.name for path in folder.iterdir())
    figures = measure(FileImages(folder, names), np.arange(len(names)))
    found = {
        kind: {name for name, yes in zip(names, of, strict=True) if yes}
        for kind, of in poor(figures).items()
    }
    assert found == {
        "dark": {"dark.png"},
        "blank": {"blank.png"},
        "blurred": {"blurred.png"},
        "tiny": {"tiny.png"},
        "odd shape": {"odd.png"},
    }
    row = names.index("broken.png")
    assert all(np.isnan(figures[name][row]) for name in FIGURES)
    assert figures["width"][names.index("odd.png")] == 900


def test_a_collection_that_is_all_alike_has_no_poor_pictures(tmp_path):
    for number in range(8):
        small = Image.eval(picture(number, (28, 28)), lambda v: v // 4)
        small.filter(ImageFilter.GaussianBlur(2)).save(tmp_path / f"{number}.png")
    names = sorted(path.name for path in tmp_path.iterdir())
    figures = measure(FileImages(tmp_path, names), np.arange(len(names)))
    assert not any(of.any() for of in poor(figures).values())


def test_sharpness_falls_with_blur():
    sharp = picture(1)
    values = [
        figures_of(sharp.filter(ImageFilter.GaussianBlur(radius)), sharp.size)[-1]
        for radius in (0, 1, 3, 8)
    ]
    assert values == sorted(values, reverse=True)


def test_copies_are_all_of_one_content():
    digests = np.array(["a", "b", "a", "", "", "c"], dtype=object)
    assert copies(digests).tolist() == [True, False, True, False, False, False]
