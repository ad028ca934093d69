"""The colours of the map: any two are told apart, by eyes of every colour vision.

CIEDE2000 by Sharma, Wu & Dalal (Color Research and Application 30, 2005), checked with pairs of
their Table 1. Dichromats by Machado, Oliveira & Fernandes (IEEE TVCG 15, 2009), the matrices of
severity 1 on linear RGB.
"""

import re

import numpy as np
import pytest

from usl.report.facts.groups import NAMED, PALETTE, Groups, colour, is_square, named_groups, squares
from usl.report.report import asset
from usl.report.sections.map import groups_legend

XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
VISION = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(colours, vision):
    """Hex colours as CIELAB (D65), [n, 3], as eyes of this kind see them."""
    rgb = np.array([[int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)] for text in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    t = linear @ XYZ.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


def difference(one, other):
    """CIEDE2000 of two CIELAB colours, kL = kC = kH = 1."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    if c1 * c2 == 0:
        hue = h1 + h2
    elif abs(h1 - h2) <= 180:
        hue = (h1 + h2) / 2
    else:
        hue = (h1 + h2 + (360 if h1 + h2 < 360 else -360)) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rc = 2 * np.sqrt(chroma**7 / (chroma**7 + 25**7))
    rt = -np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))) * rc
    dl, dc = (l2 - l1) / sl, (c2 - c1) / sc
    return np.sqrt(dl**2 + dc**2 + (dh / sh) ** 2 + rt * dc * dh / sh)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),  # pair 1
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),  # pair 7: a grey
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),  # pair 17
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),  # pair 34
    ],
)
def test_the_measure_is_that_of_its_authors(one, other, expected):
    assert difference(one, other) == pytest.approx(expected, abs=5e-5)


def palettes():
    """The twenty colours, the grey of the others, and the map's ground, of each scheme."""
    style = asset("report.css")
    dark = style.index("prefers-color-scheme: dark")
    end = style.index("* { box-sizing")
    light = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", style[:dark]))
    own = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", style[dark:end]))
    return {"light": light, "dark": light | own}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_twenty_colours_are_told_apart(scheme, vision):
    """Discs from discs and squares from squares by colour, the two by their shape as well."""
    found = palettes()[scheme]
    names = [f"k{i}" for i in range(PALETTE)]
    lab = seen([found[name] for name in (*names, "other", "raised")], vision)
    groups = Groups(names, np.arange(PALETTE), "", named=PALETTE)
    square = [is_square(i, groups) for i in range(PALETTE)]
    assert sum(square) == PALETTE // 2
    for i in range(PALETTE):
        for j in range(i):
            least = 11.5 if square[i] == square[j] else 8.0
            assert difference(lab[i], lab[j]) > least, (names[i], names[j])
        assert difference(lab[i], lab[PALETTE + 1]) > 8.0, names[i]  # from the ground
        assert difference(lab[i], lab[PALETTE]) > 10.0, names[i]  # from the grey


def test_of_many_classes_the_commonest_have_colours():
    labels = np.array([f"c{i:02d}" for i in range(30) for _ in range(50 - i)], dtype=object)
    groups = named_groups(labels, "Colour: the true class.", "truth")
    assert groups.named == NAMED
    assert groups.names == [f"c{i:02d}" for i in range(30)]  # the commonest first
    coloured = [colour(i, groups) for i in range(NAMED)]
    assert len(set(coloured)) == NAMED
    assert {colour(i, groups) for i in range(NAMED, 30)} == {"var(--other)"}
    assert groups.meaning.endswith("of the 20 commonest of 30; all others are grey.")
    assert "10 other classes" in groups_legend(groups)
    assert squares(groups) == list(range(10, 20))


def test_rare_classes_come_last_whatever_their_names():
    labels = np.array(["a"] + [f"b{i}" for i in range(20) for _ in range(2)] + [None], dtype=object)
    groups = named_groups(labels, "Colour.", "told")
    assert groups.names[-1] == "a"
    assert groups.of.tolist()[0] == 20
    assert groups.of.tolist()[-1] == -1
    assert "1 other class" in groups_legend(groups)


def test_groups_of_picks_come_again_but_have_no_legend():
    groups = Groups(
        [f"stood for by pick {i}" for i in range(45)], np.zeros(1, int), "", by="stands"
    )
    assert colour(3, groups) == colour(23, groups) == "var(--k3)"
    assert is_square(15, groups)
    assert not is_square(25, groups)
    assert groups_legend(groups) is None
