from __future__ import annotations

import sys

import pytest

from usl.core.errors import UsageError
from usl.core.methods import Methods, find_method, named_parameters, parameter_help
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


class Base:
    """What others share.

    Parameters
    ----------
    view : chosen by the class.
    seed : of the base.
    speed : how fast
        it goes.
    """

    def __init__(self, data, view="plain", *, seed=0, speed: float = 1.0):
        pass


class Middle(Base):
    """Adds nothing."""


class Method(Middle):
    """A method.

    Parameters
    ----------
    seed : of the method.
    power : its own.

    Attributes
    ----------
    state : no parameter.
    """

    def __init__(self, data, *, power: int = 2, seed=1, **shared):
        super().__init__(data, "other", seed=seed, **shared)


def test_a_class_has_the_parameters_and_the_help_of_the_bases_it_hands_keywords_to():
    defaults = {one.name: one.default for one in named_parameters(Method)}
    assert list(defaults) == ["data", "power", "seed", "speed"]
    assert (defaults["seed"], defaults["speed"]) == (1, 1.0)
    helps = parameter_help(Method)
    assert (helps["seed"], helps["power"]) == ("of the method.", "its own.")
    assert helps["speed"] == "how fast it goes."
    assert "state" not in helps
    # Without **keywords nothing of a base is a parameter.
    closed = type("Closed", (Base,), {"__init__": lambda self, data, *, power=2: None})
    assert [one.name for one in named_parameters(closed)] == ["data", "power"]
    assert parameter_help(closed).keys() <= parameter_help(Base).keys()
    assert list(parameter_help(Middle)) == ["view", "seed", "speed"]


def test_a_class_in_a_file_is_a_method(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from usl.training.networks.fixmatch import FixMatch\n"
        "class build(FixMatch):\n"
        "    def __init__(self, backbone, n_classes, *, power: float = 2.0, **shared):\n"
        "        super().__init__(backbone, n_classes, **shared)\n"
    )
    pytest.importorskip("torch")
    kind, module = find_method([FROZEN, NETWORKS], str(path))
    assert kind is NETWORKS
    known = ["power", "tau", "views", "lam", "eman", "flip", "ema", "ema_warmup", "uniform_head"]
    assert list(kind.parameters(module)) == known
    with pytest.raises(UsageError, match="no parameter 'weak'"):
        kind.check("mine", module, {"weak": None})


@pytest.mark.parametrize("kind", [NETWORKS, Methods("usl.pretraining.methods", "build", ("seed",))])
def test_every_parameter_of_a_class_has_a_default_and_a_help_text(kind):
    pytest.importorskip("torch")
    for name in kind.names():
        module = kind.load(name)
        helps = parameter_help(module.build)
        for parameter in kind.parameters(module).values():
            assert helps.get(parameter.name), f"{name}: {parameter.name}"
            assert parameter.default is not parameter.empty


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
