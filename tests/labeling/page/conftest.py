"""A run to label, made once and copied for every test."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from page_run import App, Threaded, copy_run, make_run
from page_served import Served

import usl
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.run.folder import Run


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(place / "cache"))
        return make_run(place / "here")


@pytest.fixture
def path(made):
    """A run folder in memory where there is one: every answer is synced, and disks may be busy."""
    shared = Path("/dev/shm")
    memory = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as place:
        yield copy_run(made, Path(place))


@pytest.fixture(scope="session")
def trained_once(made, tmp_path_factory):
    """The run, its 40 picks labelled by what they look like, and trained; its cache beside it."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(place / "cache"))
        train(path := copy_run(made, place))
    return path, place / "cache"


@pytest.fixture
def trained(path, trained_once, monkeypatch):
    """A copy of that, in the place of ``path``."""
    ready, cache = trained_once
    shutil.rmtree(path.parent)
    copy_run(ready, path.parent.parent)
    monkeypatch.setenv("USL_CACHE", str(shutil.copytree(cache, path.parent.parent / "cache")))
    return path


def train(path):
    run = Run.open(path)
    with Store.open(path) as store:
        split = run.split()
        asked = split.ids[split.states == "requested"].tolist()
        store.set_classes(["cat", "dog"])
        store.add([Answer(name, "label", "cat" if int(name[1:4]) % 2 else "dog") for name in asked])
        sync(run, store)
    usl.train(run, method="logistic")


@pytest.fixture
def app(path):
    opened = []

    def make(**options):
        opened.append(App(path, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.store.close()


@pytest.fixture
def served(path):
    running = []

    def start(**options):
        running.append(Served(path, **options))
        return running[-1]

    yield start
    for one in running:
        if one.runs:
            one.kill()


@pytest.fixture
def site(path):
    """Serve the run from this process: ``site(classes=...)``."""
    running = []

    def start(classes=(), **options):
        running.append(Threaded(path, **options))
        running[-1].store.set_classes(list(classes))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def visit(browser):
    """Open a page as a person would; faults of its scripts fail the test."""
    contexts, faults = [], []

    def go(address, *, context=None, width=1280, height=800, wait=True, **options):
        if context is None:
            size = {"width": width, "height": height}
            context = browser.new_context(viewport=size, reduced_motion="reduce", **options)
            context.set_default_timeout(30_000)
            contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda said: faults.append(said.text) if "Security Policy" in said.text else None,
        )
        page.goto(address)
        if wait:
            page.wait_for_selector("body[data-ready]")
        return page

    yield go
    for context in contexts:
        context.close()
    assert faults == []
