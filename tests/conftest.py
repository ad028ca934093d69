"""Shared fixtures: small, seeded data in which the right answer is known."""

from __future__ import annotations

import os
import secrets
import shutil

import numpy as np
import pytest
from hypothesis import settings

from stores import Bucket, Web, s3_server
from support import clumps, unit

# The same examples each time, however busy the machine is; `make torture` draws others.
settings.register_profile("same", derandomize=True, deadline=None)
if os.environ.get("USL_TORTURE") != "1":
    settings.load_profile("same")


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's cache, or reads the user's settings."""
    monkeypatch.setenv("USL_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def one_thread():
    """torch on one thread: tensors this small only wait for a second one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def blobs():
    """600 points in 6 well-separated directions of 16 dimensions: (features, class numbers)."""
    rng = np.random.default_rng(7)
    centres = np.eye(16)[:6] * 3
    classes = np.repeat(np.arange(6), 100)
    order = rng.permutation(600)
    points = centres[classes] + rng.normal(scale=0.5, size=(600, 16))
    return unit(points[order]), classes[order]


@pytest.fixture
def cloud():
    """300 points without structure in 8 dimensions, unit rows."""
    return unit(np.random.default_rng(11).normal(size=(300, 8)))


@pytest.fixture
def strays():
    """Six clumps; row 5 alone in a direction of its own, rows 7 to 9 together in another."""
    features = clumps(6, 16, 0.4)
    rng = np.random.default_rng(1)
    features[5] = np.eye(16)[15]
    features[7:10] = unit(np.eye(16)[14] + rng.normal(scale=0.02, size=(3, 16)))
    return features


def chromium():
    """The browser of this machine, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser():
    """A real browser. Where there is none, the tests say so loudly, or fail if they must run."""
    missing = None
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "pip install playwright"
    if missing is None and chromium() is None:
        missing = "install Chromium or Chrome (Debian: apt-get install chromium)"
    if missing is not None:
        text = f"NOT TESTED IN A BROWSER. To test it: {missing}."
        if os.environ.get("USL_NEEDS_BROWSER"):
            pytest.fail(text)
        pytest.skip(text)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def serious():
    """What axe-core finds on a page that is serious or worse."""
    try:
        from axe_playwright_python.base import AXE_SCRIPT
    except ImportError:
        text = "NOT TESTED: axe-core on the page. To test it: pip install axe-playwright-python"
        if os.environ.get("USL_NEEDS_BROWSER"):
            pytest.fail(text)
        pytest.skip(text)

    def found(page):
        if not page.evaluate("'axe' in window"):
            page.evaluate(AXE_SCRIPT)
        wanted = {"resultTypes": ["violations"]}
        told = page.evaluate("wanted => axe.run(wanted).then((all) => all.violations)", wanted)
        return [
            (one["id"], node["html"][:120])
            for one in told
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    return found


@pytest.fixture(scope="session")
def s3():
    """A real S3 server on this machine: its address, and a client."""
    pytest.importorskip("moto.server")
    import boto3

    with s3_server() as address:
        own = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        yield address, boto3.client("s3", endpoint_url=address, region_name="us-east-1", **own)


@pytest.fixture
def bucket(s3, monkeypatch):
    """An empty bucket of that server, to which the environment has the key."""
    address, client = s3
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    return Bucket(client, name)


@pytest.fixture
def web(tmp_path):
    """A web server of the folder ``web``."""
    (tmp_path / "web").mkdir()
    served = Web(tmp_path / "web")
    yield served
    served.stop()
