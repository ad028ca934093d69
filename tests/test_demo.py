from __future__ import annotations

import json
import re

import pytest

from usl import demo
from usl.cli import main


@pytest.mark.slow
def test_the_demo_beats_chance_and_says_so(tmp_path, capsys, monkeypatch):
    shown, compare = [], demo.compare_with_chance

    def looked_at(*args, **others):
        shown.append(capsys.readouterr().out)
        return compare(*args, **others)

    monkeypatch.setattr(demo, "compare_with_chance", looked_at)
    assert main(["demo", str(tmp_path / "run"), "--seeds", "4"]) == 0
    # what is there is shown at once: the comparison takes most of the time
    assert re.search(r"40 labels of \d+ of 10 classes", shown[0])
    assert re.search(r"test images, never seen +1,000 +\d\d\.\d", shown[0])
    out = shown[0] + capsys.readouterr().out
    assert re.search(r"usl +\d\d\.\d", out)
    assert re.search(r"the others of the 5,000 +4,960 +\d\d\.\d", out)
    assert "an oracle" in out
    assert "report.html" in out
    record = json.loads((tmp_path / "run" / "comparison.json").read_text())
    means = {name: found["test"]["mean"] for name, found in record["methods"].items()}
    assert means["usl"] > means["random"] + 0.01
    assert means["random"] > 0.4
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["test"]["n"] == 1000
    assert evaluation["train"]["n"] == 4960
    assert (tmp_path / "run" / "report.html").stat().st_size < 5_000_000
