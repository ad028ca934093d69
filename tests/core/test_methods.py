from __future__ import annotations

import pytest

from usl.core.errors import UsageError
from usl.core.methods import check_parameters, load_method, method_names, method_parameters


def test_methods_are_the_files_that_define_the_function():
    names = method_names("usl.selection", "pick")
    assert {"usl", "random", "stratified", "kmeans"} <= set(names)
    assert not {"contract", "ranking", "selection", "selector", "start"} & set(names)


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match=r"Unknown method 'usI'.*Did you mean 'usl'"):
        load_method("usl.selection", "pick", "usI")


@pytest.mark.parametrize("name", ["contract", "../usl", "usl.core", "", "no_such.py"])
def test_what_is_no_method_is_refused(name):
    with pytest.raises(UsageError):
        load_method("usl.selection", "pick", name)


def test_a_file_outside_the_package_is_a_method(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def pick(features, budget, *, seed=0, power: float = 2.0):\n    return 1\n")
    module = load_method("usl.selection", "pick", str(path))
    assert list(method_parameters(module, "pick", ("seed",))) == ["power"]
    path.write_text("x = 1\n")
    with pytest.raises(UsageError, match="does not define a function named 'pick'"):
        load_method("usl.selection", "pick", str(path))


def test_unknown_and_missing_parameters():
    module = load_method("usl.selection", "pick", "usl")
    shared = ("labeled", "candidates", "seed", "progress")
    with pytest.raises(UsageError, match=r"no parameter 'lamda'.*Did you mean 'lam'"):
        check_parameters("usl", module, "pick", {"lamda": 1}, shared)
    oracle = load_method("usl.selection", "pick", "stratified")
    with pytest.raises(UsageError, match="needs the parameter 'labels'"):
        check_parameters("stratified", oracle, "pick", {}, shared)
