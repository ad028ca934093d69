"""Find methods by import: a file in a room that defines the room's function is a method.

There is no registry to edit. The file's name is the method's name on the command line, and the
keyword-only parameters of its function are its configuration. A path to a ``.py`` file outside the
package works like a method inside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from usl.core.errors import UsageError, did_you_mean


def method_names(room: str, function: str) -> list[str]:
    """Names of the methods in the package ``room``: modules that define ``function``, sorted."""
    package = importlib.import_module(room)
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return sorted(
        name
        for name in names
        if not name.startswith("_") and _defines(importlib.import_module(f"{room}.{name}"), function)
    )


def load_method(room: str, function: str, name: str) -> ModuleType:
    """The module of one method, by name or by the path of a ``.py`` file.

    Raises :class:`UsageError` for an unknown name (with the nearest known one), a missing file, or
    a file that does not define ``function``.
    """
    if name.endswith(".py"):
        return _load_file(Path(name), function)
    if re.fullmatch(r"[a-z][a-z0-9_]*", name) and importlib.util.find_spec(f"{room}.{name}"):
        module = importlib.import_module(f"{room}.{name}")
        if _defines(module, function):
            return module
    known = method_names(room, function)
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


def check_parameters(
    name: str, module: ModuleType, function: str, given: dict[str, Any], shared: Iterable[str]
) -> None:
    """Refuse parameters the method does not have, naming the nearest one it has."""
    known = method_parameters(module, function, shared)
    for parameter in given:
        if parameter not in known:
            listing = ", ".join(known) or "none"
            raise UsageError(
                f"Method {name!r} has no parameter {parameter!r}."
                f"{did_you_mean(parameter, known)} Its parameters: {listing}."
            )
    for parameter, details in known.items():
        if details.default is inspect.Parameter.empty and parameter not in given:
            raise UsageError(f"Method {name!r} needs the parameter {parameter!r}.")


def _defines(module: ModuleType, function: str) -> bool:
    found = getattr(module, function, None)
    return inspect.isfunction(found) and found.__module__ == module.__name__


def _load_file(path: Path, function: str) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"Method file {path} does not exist.")
    name = f"usl_method_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look the module up by name
    spec.loader.exec_module(module)
    if not _defines(module, function):
        raise UsageError(f"{path} does not define a function named {function!r}.")
    return module
