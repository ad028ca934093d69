"""Which routines the numeric libraries have chosen; another processor is played by a variable."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from usl.core.errors import UslWarning
from usl.numeric import stage_cache
from usl.numeric.kernel import differs, kernel, simd
from usl.numeric.stage_cache import KeepOnDisk

X = np.arange(12, dtype=np.float32).reshape(4, 3)
ON_INTEL = any("openblas" in name for name in kernel()["blas"]) and "X86_V2" in simd()
needs_openblas = pytest.mark.skipif(not ON_INTEL, reason="OpenBLAS on x86-64 can be told")


def ran(code, **environment):
    """What a program prints, with variables of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


def test_it_is_plain_and_stays_the_same():
    assert json.loads(json.dumps(kernel())) == kernel()
    assert kernel()["blas"]
    assert differs(kernel(), kernel()) == ""


def test_it_does_not_depend_on_what_else_is_loaded():
    """SciPy brings a copy of the library, of another version."""
    code = "from usl.numeric.kernel import kernel\nprint(kernel())"
    assert ran(code) == ran(f"import scipy.linalg\n{code}")


@needs_openblas
def test_another_kernel_is_told():
    code = "import json\nfrom usl.numeric.kernel import kernel\nprint(json.dumps(kernel()))"
    found = json.loads(ran(code, OPENBLAS_CORETYPE="Nehalem"))
    assert found["blas"][0].endswith("Nehalem")
    assert "Nehalem then" in differs(found, {**kernel(), "blas": ["openblas 0 Haswell"]})


def test_what_one_alone_tells_is_no_difference():
    now = {"blas": ["a"], "simd": ["b"]}
    assert differs({"blas": ["a"], "torch": "AVX2"}, now) == ""
    assert differs(None, now) == differs("?", now) == differs({}, now) == ""
    assert differs({"simd": ["c", "d"]}, now) == "c d then, b now"


@needs_openblas
def test_a_run_records_it(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(40, 4)))
    arguments = ["select", "rows.npy", "--budget", "3", "--out", "run", "--method", "random"]
    subprocess.run(
        [sys.executable, "-m", "usl", *arguments],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env={**os.environ, "OPENBLAS_CORETYPE": "Nehalem"},
    )
    machine = json.loads((tmp_path / "run" / "run.json").read_text())["machine"]
    assert machine["kernel"]["blas"][0].endswith("Nehalem")
    assert machine["kernel"]["simd"] == simd()


def stage(folder):
    return KeepOnDisk(X, folder).arrays("s", {}, lambda: {"a": np.arange(3)})


def test_a_stage_of_another_kernel_is_told_of_once(tmp_path, monkeypatch, recwarn):
    stage(tmp_path)
    assert stage(tmp_path).keys() == {"a"}
    assert not recwarn
    other = {"blas": ["openblas 0.3 Zen"], "simd": simd()}
    monkeypatch.setattr(stage_cache, "kernel", lambda: other)
    keep = KeepOnDisk(X, tmp_path)
    with pytest.warns(UslWarning, match=r"s-.*npz: made on a processor of another kind .*Zen now"):
        found = keep.arrays("s", {}, lambda: {"a": np.zeros(3)})
    assert found["a"].tolist() == [0, 1, 2]  # it is gone on with
    recwarn.clear()
    keep.arrays("s", {}, dict)
    assert not recwarn


@needs_openblas
def test_a_stage_that_another_processor_made_is_told_of(tmp_path):
    code = (
        "import numpy as np\nfrom usl.numeric.stage_cache import KeepOnDisk\n"
        "X = np.arange(12, dtype=np.float32).reshape(4, 3)\n"
        f"KeepOnDisk(X, {str(tmp_path)!r}).arrays('s', {{}}, lambda: {{'a': np.arange(3)}})"
    )
    ran(code, OPENBLAS_CORETYPE="Nehalem")
    with pytest.warns(UslWarning, match="Nehalem then"):
        stage(tmp_path)


def test_a_stage_of_an_older_version_says_nothing(tmp_path, recwarn):
    stage(tmp_path)
    (file,) = tmp_path.iterdir()
    np.savez(file, a=np.arange(3))
    assert stage(tmp_path)["a"].tolist() == [0, 1, 2]
    np.savez(file, a=np.arange(3), made_by=np.array("no JSON"))
    assert stage(tmp_path)["a"].tolist() == [0, 1, 2]
    assert not recwarn
