"""The command line: help and options come from the signatures of the verbs, a file each."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError
from cyclopts.config import Env

from usl.cli.benchmark import benchmark
from usl.cli.demo import demo
from usl.cli.embed import embed
from usl.cli.evaluate import evaluate
from usl.cli.export import export
from usl.cli.import_ import import_labels
from usl.cli.label import label
from usl.cli.options import chosen_in, kinds_of, note_owners, with_method
from usl.cli.predict import predict
from usl.cli.pretrain import pretrain
from usl.cli.report import report
from usl.cli.select import select
from usl.cli.shared import ENVIRONMENT, SETTINGS, SettingsFile
from usl.cli.train import train
from usl.console import note, plain_warnings
from usl.core.errors import UslError
from usl.core.methods import Methods
from usl.core.version import __version__

EPILOGUE = """\
A first look, on images that come with the package:
  usl demo

Your own images:
  usl select photos --budget 40 --out run   pick 40 of them
  usl label run --classes cat,dog           label them in the browser
  usl train run                             learn, and label all the others
  usl report run                            see it: run/report.html"""


def build(tokens: Sequence[str]) -> App:
    """The app for one command line: the options of ``--method``'s method are part of it."""
    app = App(
        name="usl",
        help="Choose which few images of an unlabelled collection to label, then learn from them.",
        help_epilogue=EPILOGUE,
        version=__version__,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(show_env_var=False),  # docs/quickstart.md names the scheme
        config=[
            Env(ENVIRONMENT),
            SettingsFile(str(SETTINGS), must_exist=False, allow_unknown=False),
        ],
    )
    commands: dict[str, Callable[..., None]] = {
        "demo": demo,
        "embed": embed,
        "select": _select(tokens),
        "label": label,
        "export": _export(tokens),
        "import": import_labels,
        "train": _train(tokens),
        "predict": predict,
        "evaluate": evaluate,
        "report": report,
        "benchmark": benchmark,
        "pretrain": _pretrain(tokens),
    }
    for position, (name, command) in enumerate(commands.items()):
        app.command(
            command,
            name=name,
            sort_key=position,
            help_format="markdown",  # wraps anew; the top page loads faster without it
            help_epilogue="",
        )
    return app


def _select(tokens: Sequence[str]) -> Callable[..., None]:
    if "select" not in tokens[:1]:
        return select
    from usl.selection.contract import DEFAULT

    return with_method(select, kinds_of("select"), chosen_in(tokens, "--method", DEFAULT))


def _export(tokens: Sequence[str]) -> Callable[..., None]:
    if "export" not in tokens[:1]:
        return export
    from usl.labeling.exchange.contract import WRITERS

    return with_method(export, [WRITERS], chosen_in(tokens, "--to", "csv"), "--to")


def _train(tokens: Sequence[str]) -> Callable[..., None]:
    if "train" not in tokens[:1]:
        return train
    from usl.features.contract import require_torch
    from usl.training.contract import NETWORKS

    chosen = chosen_in(tokens, "--method", "label_spreading")
    if chosen in NETWORKS.names():
        require_torch(f"The method {chosen}")

    def more(kind: Methods) -> dict[str, Callable[..., Any]]:
        if kind is not NETWORKS:
            return {}
        from usl.training.train_network import train_network

        return {"Training a network": train_network}

    return with_method(train, kinds_of("train"), chosen, more=more)


def _pretrain(tokens: Sequence[str]) -> Callable[..., None]:
    if "pretrain" not in tokens[:1] or not find_spec("torch"):
        return pretrain
    return with_method(pretrain, kinds_of("pretrain"), chosen_in(tokens, "--method", "cld"))


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
            build(tokens)(tokens, exit_on_error=False)
    except UslError as error:
        note(f"Error: {error}")
        return error.exit_code
    except UnknownOptionError as error:  # which has been shown
        note_owners(tokens[0], error.token.keyword or "")
        return 2
    except CycloptsError:
        return 2
    except KeyboardInterrupt as stopped:
        note(str(stopped) or "Stopped. Nothing is half-written; features computed so far are kept.")
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        return 1
    except OSError as error:  # a disk that fails, a place that may not be read
        note(f"Error: {error}")
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0
