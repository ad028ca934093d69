"""The options of one method, read from the signature and docstring of its function."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import Group, Parameter

from usl.cli.shared import ENVIRONMENT, SETTINGS, read_settings
from usl.console import note
from usl.core.errors import UsageError
from usl.core.methods import Methods
from usl.core.parameters import plain_type


def with_method(
    command: Callable[..., None],
    kinds: Sequence[Methods],
    chosen: str,
    option: str = "--method",
    more: Callable[[Methods], Mapping[str, Callable[..., Any]]] = lambda _: {},
) -> Callable[..., None]:
    """The command with the options of the method that ``option`` has chosen.

    ``more`` names functions whose parameters are options of every method of its kind, by a title.
    """
    from usl.core.methods import find_method

    kind, module = find_method(kinds, chosen)
    signature = inspect.signature(command, eval_str=True)
    parameters = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    sources = {f"Parameters of {chosen}": getattr(module, kind.function), **more(kind)}
    for place, (title, function) in enumerate(sources.items()):
        known = {*kind.shared, *(parameter.name for parameter in parameters)}
        group = Group(title, sort_key=9 + place)
        parameters += [one for one in options_of(function, group) if one.name not in known]

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        command(*args, **kwargs)

    known_methods = ", ".join(sorted(name for kind in kinds for name in kind.names()))
    wrapped.__doc__ = (command.__doc__ or "").replace(
        "{methods}",
        f"One of: {known_methods}; or the path of a .py file. Its options: {option} NAME --help.",
    )
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def options_of(function: Callable[..., Any], group: Group) -> list[inspect.Parameter]:
    """The options a function's keyword-only parameters make, with the help of its docstring."""
    from usl.core.methods import parameter_help

    helps = parameter_help(function)
    options = []
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        kind = plain_type(parameter.annotation)
        if not is_option(kind):
            continue  # an array: from Python only
        about = helps.get(name, "")
        # a preset may switch a flag on, so each can be switched off
        flag = kind in (bool, bool | None)
        off = f"--no-{name.replace('_', '-')}" if flag else ""
        described = Parameter(group=group, help=about[:1].upper() + about[1:], negative=off)
        options.append(parameter.replace(annotation=Annotated[kind, described]))
    return options


def is_option(annotation: Any) -> bool:
    """Whether a value of this type can be typed on a command line."""
    if get_origin(annotation) is Literal or annotation in (int, float, str, bool, type(None)):
        return True
    return bool(get_args(annotation)) and all(is_option(part) for part in get_args(annotation))


def chosen_in(tokens: Sequence[str], option: str, default: str) -> str:
    """The value of an option such as ``--method`` of the verb that ``tokens`` begin with.

    That of the command line, else of the environment, else of the file of settings, as for any
    option; but it has to be known before the others can be read.
    """
    for position, token in enumerate(tokens):
        if token == option and position + 1 < len(tokens):
            return tokens[position + 1]
        if token.startswith(f"{option}="):
            return token.partition("=")[2]
    verb, name = tokens[0], option.removeprefix("--")
    if told := os.environ.get(f"{ENVIRONMENT}{verb}_{name}".upper()):
        return told
    with suppress(UsageError):  # a broken file is told of when the options are read
        section = read_settings(SETTINGS).get(verb)
        if isinstance(section, dict) and isinstance(section.get(name), str):
            return str(section[name])
    return default


def note_owners(verb: str, option: str) -> None:
    """Say which methods have an option that the chosen one has not."""
    from usl.core.methods import listed

    name = option.removeprefix("--").replace("-", "_")
    owners = [method for kind in kinds_of(verb) for method in kind.with_parameter(name)]
    if owners:
        note(f"{option} is an option of {listed(sorted(owners))}: choose with --method.")


def kinds_of(verb: str) -> list[Methods]:
    """The kinds of methods that a verb chooses among with ``--method``."""
    if verb == "select":
        from usl.selection.contract import METHODS

        return [METHODS]
    if verb == "train":
        from usl.training.contract import FROZEN, NETWORKS

        return [FROZEN, NETWORKS]
    if verb == "pretrain":
        from usl.pretraining.contract import METHODS as PRETRAINING

        return [PRETRAINING]
    return []
