"""Where the commands of this folder run, and where the counts of a whole pass are written."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from pathlib import Path

import pytest
from faults import Bench, missing

RESULT = Path(__file__).with_name("result.json")
WHOLE = os.environ.get("USL_TORTURE") == "1"


@pytest.fixture(scope="session")
def bench():
    """A server that runs commands under the library; its world lies in memory where that is."""
    if reason := missing():
        pytest.skip(reason)
    shared = Path("/dev/shm")
    place = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="usl-torture-", dir=place) as made:
        running = Bench(Path(made) / "bench", Path(made) / "world")
        yield running
        running.close()


@pytest.fixture
def keep_counts():
    """A function that writes the counts of a scene into result.json, after a whole pass."""

    def keep(name, counts):
        if not WHOLE:
            return
        with open(RESULT.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
            known[name] = counts
            RESULT.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
        RESULT.with_suffix(".lock").unlink(missing_ok=True)

    return keep
