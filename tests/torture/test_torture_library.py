"""The library that breaks file operations does what it says."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest
from faults import COUNT, FAIL_FROM, FAIL_ONCE, KILL, KILL_HALFWAY, Fault

pytestmark = pytest.mark.torture

WRITES = """
import os, shutil, sqlite3, sys
folder = sys.argv[1]
os.chdir(folder)
os.mkdir("a")
with open("a/one", "wb", buffering=0) as handle:
    handle.write(b"0123456789")
    os.fsync(handle.fileno())
os.replace("a/one", "a/two")
shutil.copyfile("a/two", "a/three")
open(os.path.dirname(folder) + "/outside", "w").close()
os.unlink("a/two")
os.truncate("a/three", 4)
"""


@pytest.fixture
def write(bench):
    """A function that runs the script above with a fault."""
    bench.world.mkdir(exist_ok=True)

    def run(fault):
        for path in sorted(bench.world.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        bench.arm(fault)
        ended = subprocess.run(
            [sys.executable, "-c", WRITES, bench.world], env=bench.environment, capture_output=True
        )
        return ended.returncode, ended.stderr.decode(), bench.disarm()

    return run


def test_every_operation_in_the_folder_is_counted_and_none_outside(write, bench):
    assert write(Fault(COUNT, 0))[0] == 0
    kinds, lines = bench.operations()
    assert kinds.replace("ww", "w") == "mowsrowut"  # a copy may need a second call to see its end
    assert "from /a/one" in lines
    assert not any("outside" in line for line in lines)


def test_a_kill_comes_before_the_operation(write, bench):
    code, _, what = write(Fault(KILL, 5))
    assert code == -9
    assert what == "rename /a/two"
    assert (bench.world / "a" / "one").read_bytes() == b"0123456789"
    assert not (bench.world / "a" / "two").exists()


@pytest.mark.parametrize(("at", "name"), [(3, "one"), (7, "three")])
def test_a_kill_halfway_leaves_half_of_what_was_to_be_written(write, bench, at, name):
    assert write(Fault(KILL_HALFWAY, at))[0] == -9
    assert (bench.world / "a" / name).read_bytes() == b"01234"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("mode", [FAIL_ONCE, FAIL_FROM])
def test_an_operation_fails_with_the_error_asked_for(write, mode, error):
    code, said, what = write(Fault(mode, 3, error))
    assert code == 1
    assert f"[Errno {error}]" in said
    assert what == "write /a/one"


def test_the_next_operation_works_after_one_failure_alone(write, bench):
    write(Fault(FAIL_ONCE, 1, errno.EIO))
    assert bench.operations()[0] == "m"


def test_a_child_shares_the_counter(bench):
    bench.world.mkdir(exist_ok=True)
    script = "import os, sys; os.open(sys.argv[1] + '/x', os.O_CREAT | os.O_WRONLY)"
    both = f"import subprocess, sys; {script}; " + (
        f"subprocess.run([sys.executable, '-c', {script!r}, sys.argv[1]])"
    )
    bench.arm(Fault(COUNT, 0))
    command = [sys.executable, "-c", both, str(bench.world)]
    subprocess.run(command, env=bench.environment, check=True)
    bench.disarm()
    assert bench.operations()[0] == "oo"
