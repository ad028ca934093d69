"""The command line app: it lists all verbs, and imports only the one that is called."""

from __future__ import annotations

import ast
import itertools
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnknownOptionError
from cyclopts.config import Env

from usl.cli.settings import ENVIRONMENT, files_of_settings, take_config
from usl.console import note, plain_warnings
from usl.core.errors import UslError
from usl.core.version import __version__
from usl.core.words import quoted

if TYPE_CHECKING:
    from usl.cli.options import Verb

VERBS = (
    "demo",
    "embed",
    "select",
    "label",
    "look",
    "serve-ls",
    "export",
    "import",
    "train",
    "next",
    "add",
    "predict",
    "explain",
    "evaluate",
    "report",
    "benchmark",
    "reproduce",
    "pretrain",
)
EPILOGUE = """\
A first look, on images that come with the package:
  usl demo

Your own images:
  usl select photos --budget 40 --out run   pick 40 of them
  usl label run --classes cat,dog           label them in the browser
  usl train run                             learn, and label all the others
  usl report run                            see it: run/report.html

Options also come from the environment (USL_SELECT_MODEL=pixels) and from files with a table per
verb ([select], then model = "pixels"), in this order: one that is named by --config FILE; usl.toml
in the current folder, which may not name code, addresses, passwords or other places; your own,
~/.config/usl/usl.toml."""

# What is asked for, and what may be given, by the name of an option or an argument.
ASKED = {
    "--budget": ("how many images you are willing to label", "40"),
    "--out": ("where the result goes", "out"),
    "SOURCE": ("your images: a folder, a table or a file of features", "photos"),
    "RUN": ("a run folder, which usl select makes", "run"),
    "FILE": ("a file of labels", "labels.csv"),
    "PLAN": ("a plan of a benchmark", "plan.toml"),
}
OUT = {"select": "run", "predict": "predictions.csv", "pretrain": "encoder"}  # of --out
REQUIRED = {
    "select": ("SOURCE", "--budget", "--out"),
    "embed": ("SOURCE",),
    "pretrain": ("SOURCE", "--out"),
    "predict": ("RUN", "SOURCE", "--out"),
    "import": ("RUN", "FILE"),
    "add": ("RUN", "SOURCE"),
    "benchmark": ("PLAN", "--out"),
}


def build(tokens: Sequence[str]) -> App:
    """The app for one command line: the called verb, and the first line about each other one.

    The options of the verb are part of it, and those of the method that ``--method`` names.
    """
    plain, named = take_config(tokens)
    app = App(
        name="usl",
        help="Choose which few images of an unlabelled collection to label, then learn from them.",
        help_epilogue=EPILOGUE,
        version=__version__,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(show_env_var=False),  # docs/quickstart.md names the scheme
        config=[Env(ENVIRONMENT), *files_of_settings(named)],
    )
    called = verb_in(plain)
    for position, name in enumerate(VERBS):
        app.command(
            load(name).command(tokens) if name == called else stand_in(name),
            name=name,
            sort_key=position,
            help_format="markdown",  # wraps anew; the top page loads faster without it
            help_epilogue="",
        )
    return app


def verb_in(tokens: Sequence[str]) -> str | None:
    """The verb that a command line calls, if any."""
    return next((token for token in tokens if token in VERBS), None)


def note_example(tokens: Sequence[str], missing: str) -> None:
    """Show the command line with all that was left out."""
    called = verb_in(tokens)
    if called is None or missing not in ASKED:
        return
    place = list(tokens).index(called) + 1
    given = list(itertools.takewhile(lambda token: not token.startswith("-"), tokens[place:]))
    rest = [token for token in tokens[place + len(given) :] if token != missing]
    required = REQUIRED.get(called, ("RUN",))
    for name in [name for name in required if not name.startswith("-")][len(given) :]:
        given.append(ASKED[name][1])
    for name in required:
        if name.startswith("-") and not any(t.partition("=")[0] == name for t in rest):
            rest += [name, OUT.get(called, ASKED[name][1]) if name == "--out" else ASKED[name][1]]
    words = " ".join(map(quoted_word, [*tokens[:place], *given, *rest]))
    note(f"{missing} is {ASKED[missing][0]}. For example: usl {words}")


def quoted_word(word: str) -> str:
    """A word of a command line as it is typed."""
    return word if word.startswith("-") and " " not in word else quoted(word)


def file_of(name: str) -> str:
    """The module of a verb; an underscore follows a name that is a word of Python's."""
    return f"{name}_" if iskeyword(name) else name.replace("-", "_")


def load(name: str) -> Verb:
    """The verb itself. Its module is imported for it, and with that its library function's."""
    file = file_of(name)
    verb: Verb = getattr(import_module(f"usl.cli.{file}"), file)
    return verb


def stand_in(name: str) -> Callable[[], None]:
    """A command with the first line of a verb's help, read from its file without importing it."""
    text = Path(__file__).with_name(f"{file_of(name)}.py").read_text(encoding="utf-8")
    help_text = ast.get_docstring(ast.parse(text)) or ""

    def command() -> None:
        raise AssertionError(f"{name} is called, but was not loaded")

    command.__doc__ = help_text.splitlines()[0]
    return command


@contextmanager
def ended_as_interrupted() -> Iterator[None]:
    """SIGTERM, with which schedulers end a job, does what Ctrl-C does: what is there is kept."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    try:
        with plain_warnings(), ended_as_interrupted():
            build(tokens)(take_config(tokens)[0], exit_on_error=False)
    except UslError as error:
        note(f"Error: {error}")
        return error.exit_code
    except UnknownOptionError as error:  # which has been shown
        if called := verb_in(take_config(tokens)[0]):
            load(called).note_owners(error.token.keyword or "")
        return 2
    except MissingArgumentError as error:  # likewise
        note_example(tokens, error.argument.name if error.argument else "")
        return 2
    except CycloptsError:
        return 2
    except KeyboardInterrupt as stopped:
        note(str(stopped) or "Stopped. Nothing is half-written; features computed so far are kept.")
        return 130
    except MemoryError as error:
        why = f" ({error})" if str(error) else ""
        note(
            f"Error: there is not enough memory{why}. Allow more, close other programs, or take "
            "less at once: usl select has --memory, and all verbs take fewer or smaller images."
        )
        return 1
    except BrokenPipeError:  # the reader of our output has gone
        return 1
    except OSError as error:  # a disk that fails, a place that may not be read
        note(f"Error: {error}")
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0
