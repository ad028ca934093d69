"""A newcomer's way: the commands of the README, and the page in a browser, nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from page_browser import counted, press, saved, shown
from page_served import Served
from PIL import Image

from usl.cli.app import main

README = Path(__file__).parents[3] / "README.md"
COLOURS = {
    "blue": (40, 60, 200),
    "green": (40, 170, 60),
    "grey": (120, 120, 120),
    "red": (200, 40, 40),
    "yellow": (210, 200, 60),
}


@pytest.fixture
def photos(tmp_path):
    """60 pictures of five classes, whose names say which."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        name = list(COLOURS)[number % 5]
        pixels = rng.normal(COLOURS[name], 25, (48, 64, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}-{name}.jpg")
    return folder


def commands():
    """What the README tells to type for images of one's own, by verb."""
    block = README.read_text("utf-8").partition("## Your own images")[2].split("```")[1]
    found = (line.partition("#")[0].split() for line in block.splitlines())
    return {words[1]: words[1:] for words in found if words[:1] == ["usl"]}


def test_from_the_readme_to_a_label_for_every_image(photos, tmp_path, visit, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    told = commands()
    assert list(told)[:4] == ["select", "label", "train", "look"]
    assert main([*told["select"], "--model", "pixels", "--pca", "16"]) == 0  # quick, as a test is
    server = Served(tmp_path / "run", classes=list(COLOURS))
    page = visit(server.address)
    said = []
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    for done in range(40):
        name = re.split(r"[-.]", shown(page))[1]
        press(page, str(list(COLOURS).index(name) + 1))
        counted(page, f"{done + 1} of 40")
    saved(page)
    assert "Next: usl train" in server.stop()
    assert main(told["train"]) == 0
    assert main(told["report"]) == 0
    more = tmp_path / "more"
    more.mkdir()
    (more / "new-red.jpg").write_bytes((photos / "03-red.jpg").read_bytes())
    assert main(told["predict"]) == 0
    assert "red" in (tmp_path / "more.csv").read_text()
    rows = (tmp_path / "run" / "predictions.csv").read_text().splitlines()[1:]
    right = sum(f"-{row.split(',')[2].strip(chr(34))}.jpg" in row for row in rows)
    assert (len(rows), said) == (60, [])
    assert right >= 58
    assert capsys.readouterr().out.count("Next:") >= 2
