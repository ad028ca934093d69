"""Find methods by import: a file in a room that defines the room's function is a method.

There is no registry to edit. The file's name is the method's name on the command line, and the
keyword-only parameters of its function are its configuration. A path to a ``.py`` file outside the
package works like a method inside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from usl.core.errors import UsageError, did_you_mean

Functions = str | tuple[str, ...]  # the name of a room's function, or of one of several kinds


def method_names(room: str, function: Functions) -> list[str]:
    """Names of the methods in the package ``room``: files that define ``function``, sorted.

    The files are read, not imported: a listing should not cost the import of every method.
    """
    package = importlib.import_module(room)
    defines = re.compile(rf"^def ({'|'.join(_tuple(function))})\(", re.MULTILINE)
    return sorted(
        file.stem
        for folder in package.__path__
        for file in Path(folder).glob("[a-z]*.py")
        if defines.search(file.read_text(encoding="utf-8"))
    )


def load_method(room: str, function: Functions, name: str) -> ModuleType:
    """The module of one method, by name or by the path of a ``.py`` file.

    Raises :class:`UsageError` for an unknown name (with the nearest known one), a missing file, or
    a file that does not define ``function``.
    """
    if name.endswith(".py"):
        return _load_file(Path(name), function)
    known = method_names(room, function)
    if name in known:
        return importlib.import_module(f"{room}.{name}")
    raise UsageError(
        f"Unknown method {name!r}.{did_you_mean(name, known)} Known methods: {', '.join(known)}; "
        "or give the path of a .py file."
    )


def method_parameters(module: ModuleType, function: str, shared: Iterable[str]) -> dict[str, Any]:
    """A method's own keyword-only parameters, ``{name: inspect.Parameter}``, in order."""
    signature = inspect.signature(getattr(module, function), eval_str=True)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in set(shared)
    }


def parameter_help(function: Callable[..., Any]) -> dict[str, str]:
    """What a docstring's ``Parameters`` section says of each: ``name : text``, lines joined."""
    text = inspect.getdoc(function) or ""
    pattern = r"^Parameters\n-+\n(.*?)(?=\n\n\S[^\n]*\n-|\Z)"
    section = re.search(pattern, text, re.DOTALL | re.MULTILINE)
    helps: dict[str, str] = {}
    names: list[str] = []
    for line in section.group(1).splitlines() if section else []:
        if line.startswith(" "):
            for name in names:
                helps[name] = f"{helps[name]} {line.strip()}".strip()
        elif line:
            heading, _, about = line.partition(" : ")
            names = [name.strip() for name in heading.split(",")]
            helps.update(dict.fromkeys(names, about.strip()))
    return helps


def methods_with(room: str, function: Functions, shared: Iterable[str], name: str) -> list[str]:
    """The methods of a room that have a parameter of this name, sorted.

    One that cannot be imported, for want of an extra, is left out.
    """
    found = []
    for method in method_names(room, function):
        with suppress(ImportError):
            module = load_method(room, function, method)
            if name in method_parameters(module, function_of(module, function), shared):
                found.append(method)
    return found


def check_parameters(
    name: str, module: ModuleType, function: str, given: dict[str, Any], shared: Iterable[str]
) -> None:
    """Refuse parameters the method does not have, naming the nearest one it has."""
    known = method_parameters(module, function, shared)
    for parameter in given:
        if parameter not in known:
            listing = ", ".join(known) or "none"
            room = module.__name__.rpartition(".")[0]  # none for a file's method
            others = methods_with(room, function, shared, parameter) if room else []
            hint = did_you_mean(parameter, known)
            if others:
                hint = f" Methods that do: {listed(others)}."
            raise UsageError(
                f"Method {name!r} has no parameter {parameter!r}.{hint} Its parameters: {listing}."
            )
    for parameter, details in known.items():
        if details.default is inspect.Parameter.empty and parameter not in given:
            raise UsageError(f"Method {name!r} needs the parameter {parameter!r}.")


def function_of(module: ModuleType, function: Functions) -> str:
    """Which of the room's functions a method defines."""
    return next(name for name in _tuple(function) if inspect.isfunction(getattr(module, name, 0)))


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _tuple(function: Functions) -> tuple[str, ...]:
    return (function,) if isinstance(function, str) else function


def _load_file(path: Path, function: Functions) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"Method file {path} does not exist.")
    name = f"usl_method_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look the module up by name
    spec.loader.exec_module(module)
    if not any(inspect.isfunction(getattr(module, name, None)) for name in _tuple(function)):
        wanted = " or ".join(repr(name) for name in _tuple(function))
        raise UsageError(f"{path} does not define a function named {wanted}.")
    return module
