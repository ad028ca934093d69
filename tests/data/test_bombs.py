"""A small file that stands for gigabytes is refused, or read within bounds."""

import json
import subprocess
import sys
from pathlib import Path

import bombs
import pytest

MOST = 500  # megabytes at the peak, of which the libraries take some 150
SOUND = {"npz_beside_features"}  # what is not asked for is not read


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What became of each bomb: the error, and the peak of memory until then."""
    folder = tmp_path_factory.mktemp("bombs")
    bombs.make(folder)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(Path(bombs.__file__)), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    found = {name: (said, peak) for name, said, peak in map(json.loads, done.stdout.splitlines())}
    found["end"] = (done.stderr, done.returncode)
    return found


@pytest.mark.parametrize("name", [made.__name__ for made in bombs.ALL])
def test_a_bomb_is_refused_in_little_memory(told, name):
    assert name in told, told["end"]
    said, peak = told[name]
    assert peak < MOST
    assert "x." in said or "batch" in said or "idx" in said or name in SOUND, "names the file"
