"""``usl label``: serve the labelling page of a run until Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from usl.core.errors import DataError, UsageError, did_you_mean, missing_extra
from usl.core.files import cache_dir
from usl.core.words import counted, quoted
from usl.data.collection import Collection
from usl.data.images import FileImages
from usl.data.stored_bytes import StoredBytes
from usl.labeling.answers.audit import accuracy_of_collection, audit_in_words
from usl.labeling.answers.entries import AUDIT, CHECK, LIVE, Round, is_audit
from usl.labeling.answers.live import SUGGEST, answered_live
from usl.labeling.answers.outcomes import CONFLICT, OPEN, outcomes
from usl.labeling.answers.rounds import answered_images, draw_audit, draw_check, round_images
from usl.labeling.answers.store import Store
from usl.labeling.answers.suspicious import contradicted
from usl.labeling.answers.sync import sync
from usl.labeling.page.hosts import is_loopback
from usl.labeling.page.offered import set_classes
from usl.labeling.page.queue import Queue
from usl.run.folder import Run
from usl.run.predictions import machine_labelled
from usl.run.split import Split

if TYPE_CHECKING:
    from usl.labeling.page.page_state import PageState

PACKAGES = ("starlette", "uvicorn", "jinja2", "python_multipart")
SHORTEST = 8  # characters of a password
SUSPICIOUS = 10  # labels that are told on the console
OpenQueue = Callable[[Run, Collection, Store], AbstractContextManager[Queue]]


def serve(
    run: Run | str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    annotator: str | None = None,
    audit: int | None = None,
    check: int | None = None,
    sweep: bool | str = False,
    below: float | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    password: str | None = None,
    open_browser: bool = True,
    source: str | None = None,
    whole: bool = False,
    queue: OpenQueue | None = None,
    ready: Callable[[str], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Serve the labelling page of a run; returns after Ctrl-C.

    Every answer is on the disk before the page calls it saved, and reaches ``split.csv`` two
    seconds after the last one, and at the end.

    Parameters
    ----------
    run : run folder.
    classes : names to choose from. They replace those that nobody has used; more can be added,
        renamed and removed on the page.
    annotator : your name, where several people label: each sees only their own answers.
    audit : judge so many predictions, drawn at random and unseen: tells how right all of them are.
        One that is not finished is gone on with.
    check : look at so many of the most doubtful: labels that the others contradict, and why, then
        predictions; the answers become labels.
    sweep : open with sheets of images that are predicted to be one class, to be confirmed at a
        glance, the most promising class first, or the one that is named.
    below : sweep only images of which the model is less sure than that, such as 0.9; the surest may
        be right enough as they are.
    host : where to listen. Beyond this machine only with a password.
    port : 0 for the one of last time, or any that is free.
    password : for people on other machines, 8 characters or more.
    open_browser : open the page.
    source : where the images are now, if they have moved.
    whole : open the gallery of the whole collection first, as usl look does.
    queue : opens the queue of a live round (:func:`usl.active.live.label_live`).
    ready : called with the page's address once it is served.
    tell : gets what there is to say, a line at a time; the default prints on stderr.

    Raises
    ------
    UsageError : parameters that do not go together; a port that is taken.
    DataError : no run, no images to look at, nothing predicted to audit, a store that cannot be
        used.
    MissingDependencyError : the packages of ``usl[label]`` are not installed.
    """
    check_parameters(host, password, audit, check, bool(sweep), below)
    if queue is not None and (audit, check, bool(sweep), whole) != (None, None, False, False):
        raise UsageError("live: goes with no audit, check, sweep or gallery; one at a time.")
    tell = tell or partial(print, file=sys.stderr)
    run = run if isinstance(run, Run) else Run.open(run)
    collection = run.collection(source)
    if collection.images is None:
        raise DataError(
            f"{collection.source}: it holds features alone, there is nothing to look at. Fill in "
            f"the label column of {run.path / 'split.csv'} instead."
        )
    with Store.open(run.path) as store, ExitStack() as stack:
        split = sync(run, store)  # edits by hand come first
        live = None if queue is None else stack.enter_context(queue(run, collection, store))
        drawn = None if live is None else live.round
        if sweep:
            check_sweep(run, split, store, sweep if isinstance(sweep, str) else "")
        if audit is not None or check is not None:
            drawn = open_round(run, store, audit, check, tell)
            tell_suspicious(run, store, drawn, tell)
        predicted = drawn is not None or bool(sweep)
        set_classes(run, store, classes or (), predicted=predicted, tell=tell)
        try:
            ask = not is_loopback(host)
            state = _page_state(run, collection, store, drawn, live, annotator, ask, tell)
            state.below = below
            _serve(state, host, port, password, open_browser, whole, sweep, ready, tell)
        finally:
            sync(run, store)
        for line in summary(run, store, drawn):
            tell(line)


def check_parameters(
    host: str,
    password: str | None,
    audit: int | None,
    check: int | None,
    sweep: bool = False,
    below: float | None = None,
) -> None:
    """Refuse what does not go together, before anything is opened."""
    check_packages("The labelling page")
    if audit is not None and check is not None:
        raise UsageError("audit, check: one at a time; an audit stays blind.")
    if below is not None and not (sweep and 0 < below <= 1):
        raise UsageError(f"below: {below:g} given; it goes with a sweep, and is above 0, up to 1.")
    if sweep and (audit is not None or check is not None):
        raise UsageError("sweep: not together with an audit or a check; they go one by one.")
    if password is not None and len(password) < SHORTEST:
        raise UsageError(f"password: give at least {SHORTEST} characters.")
    if not is_loopback(host) and password is None:
        raise UsageError(
            f"host: {host} can be reached from other machines; that needs a password. Without one, "
            "stay on this machine and let others in through an SSH tunnel."
        )


def check_packages(what: str) -> None:
    """Refuse to serve without the packages of ``usl[label]``, which ``what`` needs."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise missing_extra(package.replace("_", "-"), "label", what)


def check_sweep(run: Run, split: Split, store: Store, label: str) -> None:
    """Refuse a sweep of a run without predictions, or of a class that nothing is predicted as."""
    machine = machine_labelled(run.path, split)
    if machine is None:
        raise DataError(
            f"{run.path}: nothing is predicted yet. First: usl train {quoted(run.path)}"
        )
    names = store.names()
    known = sorted({names.present(name) for name in machine.labels.tolist()})
    if label and label not in known:
        raise UsageError(
            f"sweep: no image is predicted to be {label!r}.{did_you_mean(label, known)} "
            f"Predicted are {', '.join(known) or 'none'}."
        )


def open_round(
    run: Run, store: Store, audit: int | None, check: int | None, tell: Callable[[str], None]
) -> Round:
    """The unfinished audit or check to go on with, or a new one."""
    kind = AUDIT if audit is not None else CHECK
    for known in store.rounds():
        left = len(known.images) - len(answered_images(store, known))
        if known.kind == kind and left:
            tell(f"Going on with {known.name}: {left} of {len(known.images)} images are left.")
            return known
    return (
        draw_audit(run, store, audit) if audit is not None else draw_check(run, store, check or 0)
    )


def tell_suspicious(run: Run, store: Store, drawn: Round, tell: Callable[[str], None]) -> list[str]:
    """Say which labels are to be looked at again, and why; the images."""
    if drawn.kind != CHECK:
        return []
    answered = answered_images(store, drawn)
    asked = {name for name in drawn.images if name not in answered}
    found = [one for one in contradicted(run, run.split(), store) if one.image_id in asked]
    if found:
        tell(f"Labels to look at again: {len(found):,}, the most suspicious first.")
    for one in found[:SUSPICIOUS]:
        tell(f"  {one}")
    if len(found) > SUSPICIOUS:
        tell(f"  and {len(found) - SUSPICIOUS} more")
    return [one.image_id for one in found]


def _page_state(
    run: Run,
    collection: Collection,
    store: Store,
    drawn: Round | None,
    live: Queue | None,
    annotator: str | None,
    ask: bool,
    tell: Callable[[str], None],
) -> PageState:
    """What the page is about; says which images are gone."""
    from usl.labeling.page.page_state import PageState
    from usl.labeling.page.picture_cache import PictureCache
    from usl.labeling.page.pictures import Pictures

    assert collection.images is not None
    # Others have no name to be kept under.
    named = isinstance(collection.images, FileImages | StoredBytes)
    cache = PictureCache(cache_dir() / "pictures" if named else None)
    pictures = Pictures(collection.images, cache)
    state = PageState(
        run,
        collection,
        store,
        pictures,
        round=drawn,
        queue=live,
        annotator=annotator or None,
        ask=ask,
        tell=tell,
    )
    if state.missing:
        tell(
            f"Note: {len(state.missing)} requested images are not in {collection.source} any more "
            f"({state.missing[0]!r} is one); they are left out."
        )
    return state


def _serve(
    state: PageState,
    host: str,
    port: int,
    password: str | None,
    open_browser: bool,
    whole: bool,
    sweep: bool | str,
    ready: Callable[[str], None] | None,
    tell: Callable[[str], None],
) -> None:
    """Put the server together and run it until a signal comes."""
    from usl.labeling.page.app import make_app
    from usl.labeling.page.auth import Auth, Keyring
    from usl.labeling.page.background_sync import BackgroundSync
    from usl.labeling.page.server import Server, address_of, listen, open_in_browser

    keyring = Keyring.of_run(state.run.path)
    auth = Auth(keyring, password)
    opened = listen(host, port, wish=keyring.port)
    keyring.keep(opened.getsockname()[1])
    address = address_of(opened, host) + ("look" if whole else "sweep" if sweep else "")
    if not is_loopback(host):
        tell(
            f"Warning: {host} can be reached from other machines, and pictures, answers and the "
            "password travel unencrypted. On a network you do not trust use an SSH tunnel."
        )

    def is_ready() -> None:
        if ready is not None:
            ready(f"{address}?token={auth.token}")
        else:
            doing = "Looking at" if whole else "Labelling"
            tell(f"{doing} {state.run.path} at {address}?token={auth.token}")
            tell("Stop with Ctrl-C; nothing is lost.")
        if open_browser:
            open_in_browser(f"{address}?token={auth.ticket()}")

    background = BackgroundSync(lambda: sync(state.run, state.store))
    state.similar.warm_in_background()
    try:
        begin = sweep if isinstance(sweep, str) else ""
        app = make_app(state, auth, listening=host, sync=background, sweep=begin)
        Server(app, is_ready, tell, state.pictures.close).run([opened])
    finally:
        background.close()
        state.pictures.close()
        opened.close()


def summary(run: Run, store: Store, drawn: Round | None) -> list[str]:
    """What has been answered, and what comes next."""
    if drawn is not None and drawn.kind == LIVE:
        return live_summary(run, store, drawn)
    audit = drawn is not None and is_audit(drawn.name)
    asked = round_images(run, store, drawn.name) if drawn is not None else round_images(run, store)
    found = outcomes(store.history(), audit=audit)
    done = set(asked) if drawn is None else answered_images(store, drawn)
    kinds = Counter(found[name].kind if name in found and name in done else OPEN for name in asked)
    left, disputed = kinds[OPEN], kinds[CONFLICT]
    again = f"usl label {quoted(run.path)}"
    if drawn is not None:
        again += f" --{drawn.kind} {len(drawn.images)}"
    lines = [f"{len(asked) - left} of {len(asked)} images answered."]
    if swept := sum(one.swept for one in found.values()):
        lines.append(f"{counted(swept, 'label')} confirmed by sweep.")
    if disputed:
        lines.append(f"On {disputed} of them annotators differ; settle that on the page: {again}")
    if left:
        lines.append(f"Go on: {again}")
    if audit:
        share, text = audit_in_words(accuracy_of_collection(run, run.split(), store))
        lines += [f"{share} {text}"] if share else []
        lines.append(f"Next: usl report {quoted(run.path)}")
    elif len(asked) > left or not left:
        lines.append(f"Next: usl train {quoted(run.path)}")
    return lines


def live_summary(run: Run, store: Store, live: Round) -> list[str]:
    """The same of a live round; its model is gone, another is made from all labels."""
    suggest = " --suggest" if live.settings[SUGGEST] else ""
    return [
        f"{counted(answered_live(store, live.name), 'image')} answered live.",
        f"Go on: usl label {quoted(run.path)} --live{suggest}",
        f"Next: usl train {quoted(run.path)}",
    ]
