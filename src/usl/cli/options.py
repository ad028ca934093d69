"""A verb's options, read from signatures and docstrings: its library function's, its method's."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import os
import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cyclopts import Group, Parameter

from usl.cli.settings import ENVIRONMENT, chosen_in_files, files_of_settings, take_config
from usl.cli.shared import FLAG
from usl.console import note, quiet
from usl.core.methods import KEYWORD, Methods, find_method, listed, named_parameters, parameter_help

Source = Callable[..., Any]  # a function, or a dataclass: its parameters become options
Sources = Mapping[str, Sequence[Source]]  # by the title they stand under
Options = Mapping[str, inspect.Parameter]


@dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    Attributes
    ----------
    show : calls the library function and prints the result. Parameters that it names itself take
        the place of the library's; all others reach it as keywords, those that were given.
    library : the function whose parameters the verb has as options.
    python_only : parameters of ``library`` that are no options.
    also : what else takes options that reach ``library``: they join its own.
    groups : the same, each in a group with a title.
    choice : the option that chooses a method, whose own parameters are options, too.
    kinds : the kinds of methods it chooses among; none if they cannot be imported here.
    find : a method by name or path.
    shared : what the methods of a kind have as options in common.
    beside : by the name of an option, what its value brings as options beside those of the method:
        a function of the method and of that value. Its options hide others of the same name, and
        so does what it has under a title.
    """

    show: Callable[..., None]
    library: Source
    python_only: Collection[str] = ()
    also: Sequence[Source] = ()
    groups: Sources = dataclasses.field(default_factory=dict)
    choice: str = ""
    kinds: Sequence[Methods] = ()
    find: Callable[[str], tuple[Methods, ModuleType]] | None = None
    shared: Callable[[Methods], Sources] = lambda _: {}
    beside: Mapping[str, Callable[[str, str], Sources]] = dataclasses.field(default_factory=dict)

    def command(self, tokens: Sequence[str]) -> Callable[..., None]:
        """The verb as a function with all options that a command line may give it."""
        own = {one.name: one for one in named_parameters(self.show)}
        sources: Sources = {"": [self.library, *self.also], **self.groups}
        helps = helps_of([*itertools.chain(*sources.values()), self.show])
        if self.kinds:
            known = sorted({name for kind in self.kinds for name in kind.names()})
            helps[self.choice] += (
                f" One of: {', '.join(known)}; or the path of a .py file. "
                f"Its options: --{self.choice} NAME --help."
            )
        options = gather(sources, helps, own=own, hidden=self.python_only)
        extra = self.method_options(tokens, options) if self.kinds else {}
        options |= gather({"": [self.show]}, helps, own=own, hidden=options)
        parameters = sorted((options | extra | QUIET).values(), key=lambda one: one.kind)

        @functools.wraps(self.show)
        def command(*args: Any, **kwargs: Any) -> None:
            with quiet(kwargs.pop("quiet", False)):
                self.show(*args, **kwargs)

        command.__doc__ = inspect.getdoc(inspect.getmodule(self.show))
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    def method_options(self, tokens: Sequence[str], known: Options) -> dict[str, inspect.Parameter]:
        """The options of the chosen method, and those its kind has in common."""
        chosen = chosen_in(tokens, f"--{self.choice}", known[self.choice].default)
        kind, module = (self.find or functools.partial(find_method, self.kinds))(chosen)
        function = getattr(module, kind.function)
        sources: Sources = {f"Parameters of {chosen}": [function], **self.shared(kind)}
        for option, more in self.beside.items():
            if value := chosen_in(tokens, f"--{option}", ""):
                first = more(chosen, value)
                sources = {**first, **{key: sources[key] for key in sources if key not in first}}
        functions = list(itertools.chain(*sources.values()))
        hidden = {*known, *kind.shared}
        given = itertools.chain(*map(named_parameters, functions))
        hidden |= {one.name for one in given if one.kind is not KEYWORD}
        return gather(sources, helps_of(functions), hidden=hidden, rank=9, switchable=True)

    def note_owners(self, option: str) -> None:
        """Say which methods have an option that the chosen one has not."""
        name = option.removeprefix("--").replace("-", "_")
        owners = [method for kind in self.kinds for method in kind.with_parameter(name)]
        if owners:
            named = listed(sorted(owners))
            note(f"{option} is an option of {named}: choose with --{self.choice}.")


def verb(library: Source, **details: Any) -> Callable[[Callable[..., None]], Verb]:
    """Make a verb of the function below; ``details`` are the attributes of :class:`Verb`."""
    return lambda show: Verb(show, library, **details)


def gather(
    sources: Sources,
    helps: Mapping[str, str],
    *,
    own: Options = MappingProxyType({}),
    hidden: Collection[str] = (),
    rank: int = 8,
    switchable: bool = False,
) -> dict[str, inspect.Parameter]:
    """The options that functions have, in the order of their signatures; ``own`` take their place.

    ``rank`` orders the groups on the page.
    """
    found: dict[str, inspect.Parameter] = {}
    for place, (title, functions) in enumerate(sources.items()):
        group = Group(title, sort_key=rank + place) if title else None
        for parameter in itertools.chain(*map(named_parameters, functions)):
            name = parameter.name
            option = own.get(name) or as_option(parameter)
            if option and name not in found and name not in hidden:
                found[name] = described(option, helps.get(name, ""), group, switchable=switchable)
    return found


def helps_of(sources: Iterable[Source]) -> dict[str, str]:
    """What docstrings say of parameters, as plain text; a later source has the last word."""
    helps: dict[str, str] = {}
    for source in sources:
        helps |= {name: plain(text) for name, text in parameter_help(source).items()}
    return helps


def plain(text: str) -> str:
    """A docstring's text without markup, begun with a capital letter or a value as it is typed."""
    text = text[:1].upper() + text[1:]
    return re.sub(r"(?::\w+)?:\w+:`~?([^`]+)`", r"\1", text).replace("``", "")


def as_option(parameter: inspect.Parameter) -> inspect.Parameter | None:
    """The parameter as an option, or None if its values cannot be typed on a command line."""
    kind = typed(parameter.annotation)
    if kind is None:
        return None
    default = parameter.default
    if default is None or isinstance(default, tuple):
        default, kind = None, kind | None
    return parameter.replace(kind=KEYWORD, annotation=kind, default=default)


def typed(annotation: Any) -> Any:
    """What a command line gives for a parameter of this type; None for arrays and the like.

    Of several types a path is taken before a text, and a text before numbers.
    """
    if get_origin(annotation) is Annotated:  # with bounds, which the library checks
        return typed(get_args(annotation)[0])
    if annotation in (int, float, str, bool) or get_origin(annotation) is Literal:
        return annotation
    if annotation is os.PathLike or get_origin(annotation) is os.PathLike:
        return Path
    if get_origin(annotation) is Sequence and get_args(annotation) == (str,):
        return list[str]
    if get_origin(annotation) not in (Union, types.UnionType):
        return None
    kinds = [typed(part) for part in get_args(annotation) if part is not types.NoneType]
    for first in (Path, None, str):
        if first in kinds:
            return first
    return functools.reduce(lambda left, right: left | right, kinds)


def described(
    parameter: inspect.Parameter,
    text: str,
    group: Group | None = None,
    *,
    switchable: bool = False,
) -> inspect.Parameter:
    """The parameter with its help and group.

    A flag that is off can only be switched on, unless it is ``switchable``: a preset may have
    switched it on.
    """
    annotated = get_origin(parameter.annotation) is Annotated
    kind, *own = get_args(parameter.annotation) if annotated else [parameter.annotation]
    details: dict[str, Any] = {"group": group} if group else {}
    if text:
        details["help"] = text
    if kind not in (bool, bool | None):
        details["negative"] = ""
    elif switchable:
        details["negative"] = f"--no-{parameter.name.replace('_', '-')}"
    elif parameter.default is False:
        details |= FLAG
    return parameter.replace(annotation=Annotated[kind, Parameter(**details), *own])


# What every verb has: the word of the command line alone, which no library function takes.
QUIET = {
    "quiet": described(
        inspect.Parameter("quiet", KEYWORD, default=False, annotation=bool), "Show no progress."
    )
}


def chosen_in(tokens: Sequence[str], option: str, default: str) -> str:
    """The value of an option such as ``--method`` of the verb that ``tokens`` begin with.

    That of the command line, else of the environment, else of the files of settings, as for any
    option; but it has to be known before the others can be read.
    """
    tokens, named = take_config(tokens)
    for position, token in enumerate(tokens):
        if token == option and position + 1 < len(tokens):
            return tokens[position + 1]
        if token.startswith(f"{option}="):
            return token.partition("=")[2]
    name, called = option.removeprefix("--"), tokens[0]
    if told := os.environ.get(f"{ENVIRONMENT}{called}_{name}".upper()):
        return told
    return chosen_in_files(files_of_settings(named), called, name) or default
