"""The method of CONTRIBUTING.md, pasted into the package, keeps every promise of a method."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import UsageError
from usl.selection import methods

ROOT = Path(__file__).parents[2]
# pytest imports it before it collects: as if the folder were a part of the room of methods
PLUGIN = "import usl.selection.methods\nusl.selection.methods.__path__.append({folder!r})\n"


@pytest.fixture
def example(tmp_path):
    """The file farthest.py as the text has it, in a folder of its own."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    path = tmp_path / "methods" / "farthest.py"
    path.parent.mkdir()
    path.write_text(text.split("```python\n")[1].split("```")[0], encoding="utf-8")
    return path


def run_pytest(example, *arguments):
    """pytest in a process of its own that finds the example among the methods."""
    folder = example.parents[1]
    (folder / "paste_the_example.py").write_text(PLUGIN.format(folder=str(example.parent)))
    found = os.pathsep.join([str(folder), str(Path(usl.__file__).parents[1])])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "paste_the_example"]
    command += ["-p", "no:xdist", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": found}, capture_output=True, text=True
    )


def test_the_example_passes_the_contract_test_unchanged(example):
    ran = run_pytest(example, "tests/selection/test_selection_contract.py", "-k", "farthest")
    passed = re.search(r"^(\d+) passed", ran.stdout.splitlines()[-1])
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert int(passed.group(1)) > 30


def test_an_example_that_breaks_a_promise_is_caught(example):
    text = example.read_text(encoding="utf-8")
    example.write_text(text.replace("rng = np.random.default_rng(seed)", "rng = np.random"))
    ran = run_pytest(
        example, "tests/selection/test_selection_contract.py", "-k", "farthest and same_seed"
    )
    assert "1 failed" in ran.stdout


def test_pasted_in_it_is_a_method_like_any_other(example, monkeypatch):
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(example.parent)])
    monkeypatch.delitem(sys.modules, "usl.selection.methods.farthest", raising=False)
    features = unit(np.random.default_rng(0).normal(size=(60, 5)))
    inside = usl.select(features, 7, method="farthest", labeled=[3], power=2.0)
    outside = usl.select(features, 7, method=str(example), labeled=[3], power=2.0)
    np.testing.assert_array_equal(inside.indices, outside.indices)
    # greedy k-centre is the same rule (Gonzalez, 1985)
    center = usl.select(features, 7, method="coreset", labeled=[3])
    np.testing.assert_array_equal(inside.indices, center.indices)
    with pytest.raises(UsageError, match="power: 0 given; it must be above 0"):
        usl.select(features, 7, method="farthest", power=0)
    sys.modules.pop("usl.selection.methods.farthest", None)
