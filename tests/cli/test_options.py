"""Where a verb's options come from: the signature and docstring of its library function."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from cyclopts import Parameter
from numpy.typing import ArrayLike

from usl.cli import app, main
from usl.cli.options import chosen_in, plain, typed, verb
from usl.core.methods import parameter_help

# What a verb's library function takes from Python alone, and what stands for it, if anything does.
PYTHON_ONLY = {
    "progress": "bars are drawn",
    "collection": "source",
    "workspace": "of several calls in a row",
    "constraints": "exclude, include and so on",
    "cache": "USL_CACHE_DIR",
    "batch_size": "rows do not depend on it",
    "workers": "as many as suit the machine",
    "points": "fine as it is",
    "queue": "usl label --live",
    "ready": "a function",
    "whole": "usl look",
    "tell": "a function",
}
OF_ANOTHER = {"look": {"audit", "below", "check", "sweep"}}  # usl label's
METHODS = {
    "select": ["quorum", "usl", "usl_t", "kmeans"],
    "train": ["label_spreading", "accord", "fixmatch"],
    "pretrain": ["cld", "moco"],
    "export": ["csv", "label_studio"],
}
CASES = [(name, method) for name in app.VERBS for method in METHODS.get(name, [""])]


def command_of(name, method=""):
    """The signature of a verb for one command line."""
    if name == "pretrain" or method == "fixmatch":
        pytest.importorskip("torch")
    called = app.load(name)
    tokens = [name, f"--{called.choice}", method] if method else [name]
    return called, inspect.signature(called.command(tokens)).parameters


def help_of(parameter):
    details = [one for one in get_args(parameter.annotation) if isinstance(one, Parameter)]
    return next((one.help for one in details if one.help), "")


@pytest.mark.parametrize(("name", "method"), CASES)
def test_every_option_has_a_help_text(name, method):
    _, options = command_of(name, method)
    for option in options.values():
        text = help_of(option)
        assert len(text) > 8, option.name
        assert text.endswith("."), option.name
        assert "`" not in text, option.name
        assert "{" not in text, option.name


@pytest.mark.parametrize("name", app.VERBS)
def test_every_keyword_of_the_library_is_an_option_or_for_python_alone(name):
    called, options = command_of(name, METHODS.get(name, [""])[0])
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in inspect.signature(called.library).parameters.values():
        elsewhere = {*PYTHON_ONLY, *OF_ANOTHER.get(name, ())}
        if parameter.kind not in variadic and parameter.name not in elsewhere:
            assert parameter.name in options, parameter.name


@pytest.mark.parametrize("name", app.VERBS)
def test_an_option_has_the_default_of_the_library(name):
    called, options = command_of(name, METHODS.get(name, [""])[0])
    for parameter in inspect.signature(called.library).parameters.values():
        default = parameter.default
        if parameter.name in options and default is not inspect.Parameter.empty and name != "demo":
            found = options[parameter.name].default
            required = found is inspect.Parameter.empty
            assert required or found in (default, False), parameter.name


@pytest.mark.parametrize("name", app.VERBS)
def test_the_library_documents_every_parameter(name):
    called, _ = command_of(name, METHODS.get(name, [""])[0])
    described = parameter_help(called.library)
    for parameter in inspect.signature(called.library).parameters.values():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and parameter.name != "progress":
            assert described.get(parameter.name), parameter.name


MODULES_AFTER = """
import json, os, sys

def modules_after(arguments):
    read, write = os.pipe()
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        from usl.cli import main
        main(arguments)
        with os.fdopen(write, "w") as told:
            told.write(" ".join(sys.modules))
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        return told.read().split()

bare, verbs = json.loads(sys.argv[1])
found = [modules_after(arguments) for arguments in bare]
import numpy, pyarrow.parquet, scipy.optimize, sklearn.utils  # once, for all verbs
print(json.dumps(found + [modules_after(arguments) for arguments in verbs]))
"""
TOP = (["--help"], ["--version"], [])


@pytest.fixture(scope="module")
def imported():
    """The modules that a process has imported after a command line, by the line."""
    verbs = [[name, "--help"] for name in app.VERBS]
    done = subprocess.run(
        [sys.executable, "-c", MODULES_AFTER, json.dumps([TOP, verbs])],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return {tuple(one): set(modules) for one, modules in zip([*TOP, *verbs], found, strict=True)}


@pytest.mark.parametrize("arguments", TOP)
def test_the_top_page_imports_no_verb(arguments, imported):
    modules = imported[tuple(arguments)]
    assert "usl.cli.app" in modules
    assert not {f"usl.cli.{app.file_of(name)}" for name in app.VERBS} & modules
    assert not {"numpy", "torch", "pyarrow"} & modules
    assert not {"usl.selection", "usl.training", "usl.report", "usl.labeling"} & modules


@pytest.mark.parametrize("name", app.VERBS)
def test_a_verb_imports_itself_alone(name, imported):
    modules = imported[name, "--help"]
    verbs = {f"usl.cli.{app.file_of(other)}" for other in app.VERBS} & modules
    assert verbs == {f"usl.cli.{app.file_of(name)}"}


def test_the_top_page_has_the_first_line_of_every_verb(capsys):
    assert main(["--help"]) == 0
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in app.VERBS:
        first = inspect.getmodule(app.load(name).show).__doc__.splitlines()[0]
        assert f"{name} {first}" in page


def test_every_file_of_the_room_is_a_verb_or_binds_them():
    files = {path.stem for path in Path(app.__file__).parent.glob("*.py")}
    assert files - {app.file_of(name) for name in app.VERBS} == {
        "__init__",
        "app",
        "options",
        "settings",
        "shared",
        "until",
    }


class Opaque:
    """A type whose values nobody can type."""


def library(
    place: str | os.PathLike[str],
    size: int | None = None,
    *,
    word: Literal["a", "b"] = "a",
    strict: bool = False,
    center: bool | None = None,
    names: Sequence[str] | None = None,
    opaque: Opaque | None = None,
    path: str | os.PathLike[str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return what it was given.

    Parameters
    ----------
    place : where.
    size : ``None`` for :func:`usl.select`'s.
    word : ``a`` or ``b``.
    strict : refuse
        more.
    center, path : one text for two.
    names : some.
    """
    return {"place": place, "size": size, **more}


@verb(library, python_only=["names"])
def copied(
    place: Path, /, *, path: Annotated[str, Parameter(name="--to")] = "x", own: int = 3, **rest: Any
) -> None:
    """Nothing is printed.

    Parameters
    ----------
    own : the verb's.
    """


def test_options_are_those_of_the_signature():
    options = inspect.signature(copied.command(["copied"])).parameters
    assert list(options) == ["place", "size", "word", "strict", "center", "path", "own", "quiet"]
    kinds = {name: get_args(option.annotation)[0] for name, option in options.items()}
    assert kinds == {
        "place": Path,
        "size": int | None,
        "word": Literal["a", "b"],
        "strict": bool,
        "center": bool | None,
        "path": str,
        "own": int,
        "quiet": bool,
    }
    assert help_of(options["size"]) == "None for usl.select's."
    assert help_of(options["word"]) == "a or b."
    assert help_of(options["strict"]) == "Refuse more."
    assert help_of(options["center"]) == help_of(options["path"]) == "One text for two."
    assert help_of(options["own"]) == "The verb's."
    assert options["path"].default == "x"


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int, int),
        (float | None, float),
        (Annotated[int, "above 0"], int),
        (Annotated[float, "above 0"] | None, float),
        (Annotated[int | None, "above 0"], int),
        (int | str | None, str),
        (int | float, int | float),
        (str | os.PathLike[str] | Opaque, Path),
        (Sequence[str] | None, list[str]),
        (Literal["a"] | None, Literal["a"]),
        (ArrayLike, None),
        (ArrayLike | None, None),
        (str | Opaque, None),
        (Mapping[str, str], None),
        (Opaque, None),
        (list[float], None),
    ],
)
def test_what_can_be_typed(annotation, kind):
    assert typed(annotation) == kind


def test_text_without_markup():
    assert plain("``auto`` or a file") == "auto or a file"
    assert plain("see :func:`~usl.select`.") == "See usl.select."
    assert plain("") == ""


def test_the_choice_comes_from_flags_then_environment_then_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert chosen_in(["select", "x"], "--method", "usl") == "usl"
    (tmp_path / "usl.toml").write_text('[select]\nmethod = "kmeans"\n[train]\nmethod = 3\n')
    assert chosen_in(["select", "x"], "--method", "usl") == "kmeans"
    assert chosen_in(["train", "x"], "--method", "logistic") == "logistic"
    monkeypatch.setenv("USL_SELECT_METHOD", "random")
    assert chosen_in(["select", "x"], "--method", "usl") == "random"
    assert chosen_in(["select", "x", "--method=rdss"], "--method", "usl") == "rdss"
    assert chosen_in(["select", "--method", "density"], "--method", "usl") == "density"


def test_help_before_the_verb_is_that_of_the_verb(capsys):
    assert main(["--help", "select"]) == 0
    assert "Usage: usl" in capsys.readouterr().out
