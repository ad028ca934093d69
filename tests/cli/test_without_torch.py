"""What is installed without extras: every verb that needs no network works without PyTorch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from usl.cli.app import VERBS

BLOCKED = """
import importlib.util, sys
real = importlib.util.find_spec

def absent(name):
    return name.partition(".")[0] in ("torch", "timm", "safetensors", "uvicorn", "starlette")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if absent(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

importlib.util.find_spec = lambda name, package=None: None if absent(name) else real(name, package)
sys.meta_path.insert(0, Absent())
from usl.cli.app import main
sys.exit(main(sys.argv[1:]))
"""


def usl(*tokens):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *map(str, tokens)], capture_output=True, text=True
    )


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb):
    done = usl(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_from_select_to_predict(tmp_path):
    rng = np.random.default_rng(0)
    kinds = np.arange(40) % 2
    features = (rng.normal(size=(40, 6)) + 4 * kinds[:, None]).astype(np.float32)
    source, run = tmp_path / "points.npz", tmp_path / "run"
    subset = np.repeat(["train", "test"], [30, 10])
    np.savez(source, features=features, labels=np.array(["cat", "dog"])[kinds], subset=subset)
    assert usl("select", source, "--budget", 6, "--out", run).returncode == 0
    lines = (run / "split.csv").read_text().splitlines()
    filled = [
        line.replace(",requested,,", f",requested,{'cat' if i % 2 else 'dog'},")
        for i, line in enumerate(lines)
    ]
    (run / "split.csv").write_text("\n".join(filled) + "\n")
    for tokens in (
        ("train", run),
        ("evaluate", run),
        ("predict", run, source, "--out", tmp_path / "seen.csv"),
        ("report", run),
        ("export", run, "--what", "all"),
    ):
        done = usl(*tokens)
        assert done.returncode == 0, (tokens, done.stderr)
    done = usl("train", run, "--method", "fixmatch")
    assert done.returncode == 1
    assert "pip install 'usl[torch]'" in done.stderr
