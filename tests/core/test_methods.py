from __future__ import annotations

import sys

import pytest

from usl.core.errors import UsageError
from usl.core.methods import Methods, find_method
from usl.selection.contract import METHODS
from usl.training.contract import FROZEN, NETWORKS


def test_methods_are_the_modules_and_packages_of_the_folder():
    names = METHODS.names()
    assert {"usl", "usl_t", "random", "stratified", "kmeans"} <= set(names)
    assert not {"contract", "ranking", "select", "selector", "start_run"} & set(names)
    assert all(hasattr(METHODS.load(name), "pick") for name in names)


def test_names_import_no_method():
    before = {name for name in sys.modules if name.startswith("usl.pretraining.methods.")}
    Methods("usl.pretraining.methods", "build").names()
    after = {name for name in sys.modules if name.startswith("usl.pretraining.methods.")}
    assert before == after


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match=r"Unknown method 'usI'.*Did you mean 'usl'"):
        METHODS.load("usI")


@pytest.mark.parametrize("name", ["contract", "../usl", "usl.core", "", "no_such.py"])
def test_what_is_no_method_is_refused(name):
    with pytest.raises(UsageError):
        METHODS.load(name)


def test_a_file_outside_the_package_is_a_method(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def pick(features, budget, *, seed=0, power: float = 2.0):\n    return 1\n")
    module = METHODS.load(str(path))
    assert list(METHODS.parameters(module)) == ["power"]
    path.write_text("x = 1\n")
    with pytest.raises(UsageError, match="does not define a function named 'pick'"):
        METHODS.load(str(path))


def test_a_file_is_of_the_kind_whose_function_it_defines(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def build(backbone, classes):\n    pass\n")
    assert find_method([FROZEN, NETWORKS], str(path))[0] is NETWORKS
    path.write_text("def fit(features):\n    pass\n")
    assert find_method([FROZEN, NETWORKS], str(path))[0] is FROZEN
    path.write_text("x = 1\n")
    with pytest.raises(UsageError, match="does not define a function named 'fit' or 'build'"):
        find_method([FROZEN, NETWORKS], str(path))


def test_unknown_and_missing_parameters():
    with pytest.raises(UsageError, match=r"no parameter 'lamda'.*Did you mean 'lam'"):
        METHODS.check("usl", METHODS.load("usl"), {"lamda": 1})
    with pytest.raises(UsageError, match="needs the parameter 'labels'"):
        METHODS.check("stratified", METHODS.load("stratified"), {})


def test_an_installed_package_adds_a_method_by_an_entry_point(tmp_path, monkeypatch):
    (tmp_path / "their_package.py").write_text("def pick(features, budget, *, power=2.0): ...\n")
    record = tmp_path / "their_package-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(
        "[usl.selection]\ntheirs = their_package\nusl = their_package\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "theirs" in METHODS.names()
    assert list(METHODS.parameters(METHODS.load("theirs"))) == ["power"]
    assert METHODS.load("usl").__name__ == "usl.selection.methods.usl"  # ours keep their names
