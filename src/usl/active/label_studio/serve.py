"""``usl serve-ls``: serve a run as the machine-learning backend of a Label Studio project."""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from usl.active.contract import DEFAULT, STRATEGIES
from usl.active.label_studio.api import Api, AwayError, checked_address
from usl.active.label_studio.backend import Backend
from usl.active.label_studio.follower import Follower
from usl.active.label_studio.project import MODEL, USER, Project, is_plain, open_project
from usl.active.label_studio.standing import Standing
from usl.active.live import Learning, first_images
from usl.core.errors import DataError, UsageError
from usl.core.files import LOCKS, release, take
from usl.core.methods import find_method
from usl.core.seeds import seed_number
from usl.core.words import counted, quoted
from usl.labeling.answers.live import SUGGEST, answered_live
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.labeling.exchange.import_labels import files_of
from usl.labeling.exchange.names import Finder
from usl.labeling.page.auth import Keyring
from usl.labeling.page.hosts import is_loopback
from usl.labeling.page.serve import check_packages
from usl.run.excluded import read_excluded
from usl.run.folder import Run
from usl.selection.contract import METHODS
from usl.training.contract import DEFAULT as LEARNER
from usl.training.contract import FROZEN

TICK = 1.0  # seconds between looks at answers that others give


def serve_label_studio(
    run: Run | str | os.PathLike[str],
    *,
    url: str | None = None,
    token: str | None = None,
    project: int | None = None,
    suggest: bool = True,
    method: str = DEFAULT,
    learner: str = LEARNER,
    seed: int = 0,
    host: str = "127.0.0.1",
    port: int = 0,
    address: str | None = None,
    source: str | None = None,
    ready: Callable[[str, str], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Serve a run as the backend of a project of Label Studio; returns after Ctrl-C.

    Annotations become answers of the run, on the disk before Label Studio hears so; a model learns
    from them, suggests the class of every task, and has the most telling task asked for next.

    Parameters
    ----------
    run : run folder.
    url : where Label Studio is. With it the project is connected, ordered and kept up to date.
    token : an access token of its account page, legacy or personal.
    project : number of the project; the default is the one there is, or that was served before.
    suggest : show the model's class in every task that has no annotation yet. Faster, but people
        tend to agree with what they are shown; the report tells for which answers.
    method : how the next task is chosen, a query strategy or a selection method.
    learner : the training method on frozen features that learns along.
    seed : of every random draw.
    host : where to listen. Every request needs the password that is printed.
    port : 0 for the one of last time, or any that is free.
    address : how Label Studio reaches this server, where that is not the address it listens on:
        from a container it may be http://host.docker.internal:9090.
    source : where the images are now, if they have moved.
    ready : called with the server's address and its password once it is served.
    tell : gets what there is to say, a line at a time; the default prints on stderr.

    Raises
    ------
    UsageError : parameters that do not go together; a port that is taken.
    DataError : no run, no such project, an interface that asks something else; the run has a
        backend already.
    MissingDependencyError : the packages of ``usl[label]`` are not installed.
    """
    tell = tell or partial(print, file=sys.stderr)
    api = check_parameters(url, token, project, address)
    find_method([STRATEGIES, METHODS], method)
    FROZEN.load(learner)
    settings: dict[str, Any] = {SUGGEST: bool(suggest), "method": method, "learner": learner}
    settings["seed"] = seed_number(seed)
    run = run if isinstance(run, Run) else Run.open(run)
    with ExitStack() as stack:
        keyring = Keyring.of_run(run.path / "label-studio")
        stack.enter_context(only_one(run, keyring))
        store = stack.enter_context(Store.open(run.path))
        split = sync(run, store)  # edits by hand come first
        collection = run.collection(source)
        first = first_images(split, collection, settings["seed"], read_excluded(run.path))
        finder = Finder(split.ids.tolist(), lambda: files_of(run, split, source))
        standing = Standing(store, first)
        backend = Backend(store, finder, standing, settings, tell=tell)
        found = None if api is None else _open(api, project, backend, tell)
        asked = {name: settings[name] for name in ("method", "learner", "seed")}
        place = {"run": str(run.path.absolute()), "source": source}
        learning = Learning(standing, {**place, **asked, "whole": True, "skipped_last": True})
        stack.callback(learning.close)
        backend.wake = learning.wake
        try:
            _serve(run, backend, keyring, found, host, port, address, ready, tell)
        finally:
            sync(run, store)
        for line in summary(run, backend):
            tell(line)


def check_parameters(
    url: str | None, token: str | None, project: int | None, address: str | None
) -> Api | None:
    """The Label Studio that is meant, None without an address; refuse what does not go together."""
    check_packages("The backend for Label Studio")
    if (url is None) != (token is None):
        raise UsageError("url, token: both or none; the token is on Label Studio's account page.")
    if project is not None and url is None:
        raise UsageError("project: goes with --url. Without, the first that asks is served.")
    if address is not None:
        checked_address("address", address)
    return None if url is None or token is None else Api(url, token)


@contextmanager
def only_one(run: Run, keyring: Keyring) -> Iterator[None]:
    """Hold the run's place as a backend. DataError where another server has it."""
    mark = keyring.path.with_suffix(".lock")
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch(0o600)
    except OSError:  # without a cache there is no port to come back to, either
        yield
        return
    lock = take(mark, wait=False)
    if lock is None and LOCKS:
        raise DataError(
            f"{run.path}: another usl serve-ls serves this run, on port {keyring.port}. Stop that "
            "one first."
        )
    try:
        yield
    finally:
        release(lock)


def _open(api: Api, number: int | None, backend: Backend, tell: Callable[[str], None]) -> Project:
    """The project to serve: its interface is one that the run can answer."""
    if is_plain(api.url) and not is_loopback(api.host):
        tell(f"Warning: the token travels to {api.url} unencrypted.")
    known = backend.known_project().partition(".")[0]
    try:
        found = open_project(api, int(known) if known and number is None else number)
    except AwayError as error:
        raise DataError(f"{error}. Start Label Studio first, or correct --url.") from error
    backend.bind(found.uid, anew=number is not None)
    backend.configure(found.config)
    return found


def _serve(
    run: Run,
    backend: Backend,
    keyring: Keyring,
    project: Project | None,
    host: str,
    port: int,
    address: str | None,
    ready: Callable[[str, str], None] | None,
    tell: Callable[[str], None],
) -> None:
    """Put the server together and run it until a signal comes."""
    from usl.active.label_studio.app import make_app
    from usl.labeling.page.background_sync import BackgroundSync
    from usl.labeling.page.server import Server, address_of, listen

    password = hmac.digest(keyring.secret, b"label studio", hashlib.sha256).hex()
    opened = listen(host, port, wish=keyring.port)
    keyring.keep(opened.getsockname()[1])
    own = address_of(opened, host).rstrip("/")
    reached = (address or own).rstrip("/")
    if not is_loopback(host):
        tell(f"Warning: {host} can be reached from other machines, and the password travels plain.")
    background = BackgroundSync(lambda: sync(run, backend.store))
    begun: list[Follower] = []

    def done() -> None:
        background.touch()
        for follower in begun:
            follower.worked()

    def is_ready() -> None:
        if project is not None:
            connect = partial(project.connect, reached, password)
            follower = Follower(project, backend, connect=connect, tell=tell, taken=done)
            backend.more_tasks = follower.more_tasks
            begun.append(follower)
        if ready is not None:
            ready(own, password)
        else:
            for line in greeting(run, reached, password, connected=project is not None):
                tell(line)

    def taken(fault: str) -> None:
        if fault:
            backend.tell(fault)
        for follower in begun:
            follower.wake()

    backend.standing.taken = taken
    stopped = threading.Event()
    ticking = threading.Thread(target=_tick, args=(backend, stopped), daemon=True)
    ticking.start()
    try:
        Server(make_app(backend, password, done=done), is_ready, tell).run([opened])
    finally:
        stopped.set()
        ticking.join()
        for follower in begun:
            follower.close()
        background.close()
        opened.close()


def _tick(backend: Backend, stopped: threading.Event) -> None:
    """Learn from what others answer, on the labelling page say."""
    while not stopped.wait(TICK):
        with suppress(DataError):  # said where the next answer comes
            backend.follow()


def greeting(run: Run, address: str, password: str, *, connected: bool) -> list[str]:
    """Where it is served, and what to do in Label Studio."""
    lines = [f"Serving {run.path} to Label Studio at {address}"]
    if not connected:
        scheme, rest = address.split("://", 1)
        lines += [
            f"In the project's settings, Model, connect the model {MODEL!r} with the address "
            f"{scheme}://{USER}:{password}@{rest}",
            "With --url and --token that is done for you, and tasks are asked for in order.",
        ]
    return [*lines, "Stop with Ctrl-C; nothing is lost."]


def summary(run: Run, backend: Backend) -> list[str]:
    """What has been answered, and what comes next."""
    name = backend.round
    count = answered_live(backend.store, name) if name else 0
    return [
        f"{counted(count, 'image')} answered in Label Studio.",
        f"Next: usl train {quoted(run.path)}",
    ]
