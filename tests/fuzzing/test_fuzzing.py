"""Every reader on damaged files: a result or the tool's own error, within 500 MB and 5 seconds.

2,000 inputs, the same every time; with ``USL_TORTURE=1`` 50,000 of them.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import warnings
from pathlib import Path

import mutations
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from subjects import subjects

from usl.core.errors import UslError

pytest.importorskip("torch")
pytest.importorskip("timm")

TOTAL = 50_000 if os.environ.get("USL_TORTURE") else 2_000
MOST_BYTES, MOST_SECONDS = 500 << 20, 5.0
UNFIT = ("pth", "old pth", "safetensors")  # read, but of no whole network
NAMES = list(subjects())
EACH = -(-TOTAL // len(NAMES))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in memory where there is one."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path_factory.mktemp("fuzzing")
        return
    folder = shared / f"usl-fuzzing-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def memory(field):
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at the peak; 0 where that is not told."""
    try:
        found = re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0


def forget_peak():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the peak of memory cannot be measured here")


def read_damaged(subject, folder, content):
    """Read a damaged file; only the tool's own errors may come, soon and in little memory."""
    (folder / subject.damaged).write_bytes(content)
    forget_peak()
    before, began = memory("VmRSS"), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = "a result"
        try:
            subject.read(folder)
        except UslError as error:
            said = str(error)
    assert said
    assert "\n" not in said, "one line"
    assert time.process_time() - began < MOST_SECONDS
    assert memory("VmHWM") - before < MOST_BYTES
    return said


def test_all_are_read_when_nothing_is_damaged(place):
    for name, subject in subjects().items():
        folder = place / "sound" / name.replace(" ", "_")
        folder.mkdir(parents=True)
        subject.lay(folder)
        said = read_damaged(subject, folder, subject.files[subject.damaged])
        assert said == "a result" or name in UNFIT, name


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused(place, name):
    subject = subjects()[name]
    whole = subject.files[subject.damaged]
    folder = place / name.replace(" ", "_")
    folder.mkdir()
    subject.lay(folder)
    structural = st.booleans() if subject.structure else st.just(False)

    @settings(
        max_examples=EACH,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # what fails is shown as it is: shrinking would take minutes
    )
    @given(structural, mutations.edits, mutations.places, st.integers(0, 3), st.integers(0, 999))
    def damaged(by_structure, edits, place, how, number):
        if by_structure:
            content = mutations.STRUCTURES[subject.structure](whole, place, how, number)
        else:
            content = mutations.of_bytes(whole, edits)
        read_damaged(subject, folder, content)

    damaged()
    shutil.rmtree(folder)
