"""What is installed without extras: every verb that needs no network works without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from usl.cli.app import VERBS

BLOCKED = """
import contextlib, importlib.util, io, json, sys
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

for tokens in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(tokens)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def usl(*lines):
    """Exit code, stdout and stderr of each command line, all of them in one process."""
    given = json.dumps([[str(token) for token in line] for line in lines])
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_help():
    for verb, (code, out, err) in zip(
        VERBS, usl(*([verb, "--help"] for verb in VERBS)), strict=True
    ):
        assert code == 0, (verb, err)
        assert "Usage" in out, verb


def test_from_select_to_predict(tmp_path):
    rng = np.random.default_rng(0)
    kinds = np.arange(40) % 2
    features = (rng.normal(size=(40, 6)) + 4 * kinds[:, None]).astype(np.float32)
    source, run = tmp_path / "points.npz", tmp_path / "run"
    subset = np.repeat(["train", "test"], [30, 10])
    np.savez(source, features=features, labels=np.array(["cat", "dog"])[kinds], subset=subset)
    [(code, _, err)] = usl(("select", source, "--budget", 6, "--out", run))
    assert code == 0, err
    lines = (run / "split.csv").read_text().splitlines()
    filled = [
        line.replace(",requested,,", f",requested,{'cat' if i % 2 else 'dog'},")
        for i, line in enumerate(lines)
    ]
    (run / "split.csv").write_text("\n".join(filled) + "\n")
    *done, network = usl(
        ("train", run),
        ("evaluate", run),
        ("predict", run, source, "--out", tmp_path / "seen.csv"),
        ("report", run),
        ("export", run, "--what", "all"),
        ("train", run, "--method", "fixmatch"),
    )
    for code, _, err in done:
        assert code == 0, err
    assert network[0] == 1
    assert "pip install 'usl[torch]'" in network[2]
