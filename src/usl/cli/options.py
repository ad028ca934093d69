"""The options of one method, read from the signature and docstring of its function."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import Group, Parameter

from usl.cli.shared import ENVIRONMENT, SETTINGS, read_settings
from usl.console import note
from usl.core.errors import UsageError

# verbs whose methods have options of their own
ROOMS = {"select": "usl.selection", "train": "usl.training", "pretrain": "usl.pretraining"}


def with_method(
    command: Callable[..., None],
    room: str,
    functions: str | tuple[str, ...],
    shared: Sequence[str],
    chosen: str,
    option: str = "--method",
) -> Callable[..., None]:
    """The command with the options of the method that ``option`` has chosen."""
    from usl.core.methods import function_of, load_method, method_names

    module = load_method(room, functions, chosen)
    function = function_of(module, functions)
    group = Group(f"Parameters of {chosen}", sort_key=9)
    signature = inspect.signature(command, eval_str=True)
    parameters = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters += options_of(module, function, shared, group)
    known_options = {parameter.name for parameter in parameters}
    if function == "build" and room == "usl.training":
        network = importlib.import_module("usl.training.network")
        more = options_of(network, "train_network", (), Group("Training a network", sort_key=10))
        parameters += [option for option in more if option.name not in known_options]

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        command(*args, **kwargs)

    known = ", ".join(method_names(room, functions))
    wrapped.__doc__ = (command.__doc__ or "").replace(
        "{methods}",
        f"One of: {known}; or the path of a .py file. Its options: {option} NAME --help.",
    )
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def options_of(
    module: Any, function: str, shared: Sequence[str], group: Group
) -> list[inspect.Parameter]:
    """The options a function's keyword-only parameters make, with the help of its docstring."""
    from usl.core.methods import method_parameters, parameter_help

    helps = parameter_help(getattr(module, function))
    options = []
    for name, parameter in method_parameters(module, function, shared).items():
        if not is_option(parameter.annotation):
            continue  # an array: from Python only
        about = helps.get(name, "")
        # a preset may switch a flag on, so each can be switched off
        flag = parameter.annotation in (bool, bool | None)
        off = f"--no-{name.replace('_', '-')}" if flag else ""
        described = Parameter(group=group, help=about[:1].upper() + about[1:], negative=off)
        options.append(parameter.replace(annotation=Annotated[parameter.annotation, described]))
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
    from usl.core.methods import listed, methods_with

    if verb not in ROOMS:
        return
    contract = importlib.import_module(f"{ROOMS[verb]}.contract")
    functions = getattr(contract, "FUNCTIONS", None) or contract.FUNCTION
    name = option.removeprefix("--").replace("-", "_")
    if methods := methods_with(ROOMS[verb], functions, contract.SHARED, name):
        note(f"{option} is an option of {listed(methods)}: choose with --method.")
