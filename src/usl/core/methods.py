"""Find methods by import: the modules and packages of a folder are its methods.

There is no registry to edit. The name of a method's file, or of its folder, is its name on the
command line, and the keyword-only parameters of its function are its configuration. The function
may be a class; what its ``__init__`` hands to its base as ``**keywords`` counts too. A path to a
``.py`` file outside the package works like a method inside it, and an installed package adds
methods by entry points.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from usl.core.errors import UsageError, did_you_mean
from usl.core.parameters import check_value

KEYWORD = inspect.Parameter.KEYWORD_ONLY
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Methods:
    """The methods of one folder of the package.

    Attributes
    ----------
    folder : its dotted name, ``usl.selection.methods``.
    function : what each method defines, ``pick``.
    shared : parameters of the function that every method is handed; all others are its own.
    group : entry points by which installed packages add methods, or empty. Such an entry point
        names a module: ``[project.entry-points."usl.selection"] farthest = "my_package.farthest"``.
    noun : what one of them is called in messages.
    """

    folder: str
    function: str
    shared: tuple[str, ...] = ()
    group: str = ""
    noun: str = "method"

    def names(self) -> list[str]:
        """Names of the methods, sorted. None of them is imported for it."""
        return sorted(self.built_in() | self._installed().keys())

    def built_in(self) -> set[str]:
        """Names of the methods in the folder itself."""
        package = importlib.import_module(self.folder)
        return {found.name for found in pkgutil.iter_modules(package.__path__)}

    def load(self, name: str) -> ModuleType:
        """The module of one method: see :func:`find_method`."""
        return find_method([self], name)[1]

    def parameters(self, module: ModuleType) -> dict[str, inspect.Parameter]:
        """A method's own keyword-only parameters by name, in order."""
        return {
            parameter.name: parameter
            for parameter in named_parameters(getattr(module, self.function))
            if parameter.kind is KEYWORD and parameter.name not in self.shared
        }

    def with_parameter(self, name: str) -> list[str]:
        """The methods that have a parameter of this name, sorted.

        One that cannot be imported, for want of an extra, is left out.
        """
        found = []
        for method in self.names():
            with suppress(ImportError):
                if name in self.parameters(self.load(method)):
                    found.append(method)
        return found

    def check(self, name: str, module: ModuleType, given: dict[str, Any]) -> None:
        """Refuse parameters the method does not have, and values its signature rules out.

        :class:`UsageError` names the nearest parameter it has, or the bound.
        """
        known = self.parameters(module)
        for parameter in given:
            if parameter not in known:
                hint = did_you_mean(parameter, known)
                inside = module.__name__.startswith(f"{self.folder}.")
                if inside and (others := self.with_parameter(parameter)):
                    hint = f" {self.noun.capitalize()}s that do: {listed(others)}."
                raise UsageError(
                    f"{self.noun.capitalize()} {name!r} has no parameter {parameter!r}.{hint} "
                    f"Its parameters: {', '.join(known) or 'none'}."
                )
        for parameter, details in known.items():
            if details.default is inspect.Parameter.empty and parameter not in given:
                raise UsageError(
                    f"{self.noun.capitalize()} {name!r} needs the parameter {parameter!r}."
                )
        for parameter, value in given.items():
            check_value(parameter, value, known[parameter].annotation)

    def _installed(self) -> dict[str, metadata.EntryPoint]:
        found = metadata.entry_points(group=self.group) if self.group else ()
        return {entry.name: entry for entry in found}


def find_method(kinds: Sequence[Methods], name: str) -> tuple[Methods, ModuleType]:
    """A method of one of several folders, by name or by the path of a ``.py`` file.

    Raises :class:`UsageError` for an unknown name (with the nearest known one), a missing file, or
    a file that defines none of the folders' functions.
    """
    if name.endswith(".py"):
        module = _load_file(Path(name))
        for kind in kinds:
            if callable(getattr(module, kind.function, None)):
                return kind, module
        wanted = " or ".join(repr(kind.function) for kind in kinds)
        raise UsageError(f"{name} does not define a function named {wanted}.")
    for kind in kinds:
        if name in kind.built_in():
            return kind, importlib.import_module(f"{kind.folder}.{name}")
    for kind in kinds:  # only now: it looks through all that is installed
        if (entry := kind._installed().get(name)) is not None:
            return kind, entry.load()
    known = sorted(known for kind in kinds for known in kind.names())
    noun = kinds[0].noun
    raise UsageError(
        f"Unknown {noun} {name!r}.{did_you_mean(name, known)} Known {noun}s: {', '.join(known)}; "
        "or give the path of a .py file."
    )


def built_in_module(kinds: Sequence[Methods], name: str) -> ModuleType | None:
    """The module of a method that comes with the package; None for any other, which is not run."""
    return next((kind.load(name) for kind in kinds if name in kind.built_in()), None)


def named_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The named parameters of a function or a class, in order; then the keywords of its bases."""
    found: dict[str, inspect.Parameter] = {}
    for place, each in enumerate(chain_of(function)):
        for name, parameter in inspect.signature(each, eval_str=True).parameters.items():
            if parameter.kind is KEYWORD or (place == 0 and parameter.kind not in VARIADIC):
                found.setdefault(name, parameter)
    return list(found.values())


def chain_of(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """A function; or a class, and of its bases those that its ``**keywords`` are handed to."""
    if not inspect.isclass(function):
        return [function]
    chain: list[Callable[..., Any]] = []
    for each in inspect.getmro(function):
        if "__init__" in vars(each):
            chain.append(each)
            kinds = [parameter.kind for parameter in inspect.signature(each).parameters.values()]
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                break
    return chain


def parameter_help(function: Callable[..., Any]) -> dict[str, str]:
    """What a docstring's ``Parameters`` section says of each: ``name : text``, lines joined.

    Of a dataclass the section ``Attributes`` is read; of other classes the bases', too, as in
    :func:`named_parameters`.
    """
    pattern = r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=\n\n\S[^\n]*\n-|\Z)"
    helps: dict[str, str] = {}
    for each in reversed(chain_of(function)):
        section = re.search(pattern, inspect.getdoc(each) or "", re.DOTALL | re.MULTILINE)
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


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"Method file {path} does not exist.")
    name = f"usl_method_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look the module up by name
    spec.loader.exec_module(module)
    return module
