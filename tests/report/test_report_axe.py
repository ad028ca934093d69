"""The report in a real Chromium, judged by axe-core, at the width of a phone and of a desk."""

import os
import shutil
import warnings

import pytest
from map_run import collection, trained_run

from usl.core.errors import UslWarning
from usl.report.report import write_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture
def browser():
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    try:
        from axe_playwright_python.sync_playwright import Axe  # noqa: F401
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    if found is None:
        text = "NOT TESTED: axe-core on the report. Install Chromium and axe-playwright-python."
        if os.environ.get("USL_NEEDS_BROWSER"):
            pytest.fail(text)
        pytest.skip(text)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_axe_core_finds_nothing_serious(browser, tmp_path, monkeypatch):
    from axe_playwright_python.sync_playwright import Axe

    monkeypatch.setenv("USL_CACHE", str(tmp_path / "cache"))
    found = collection()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        path = write_report(trained_run(tmp_path / "run", found), collection=found, points=60)
    for scheme in ("light", "dark"):
        for width in (375, 1280):
            size = {"width": width, "height": 800}
            page = browser.new_page(color_scheme=scheme, viewport=size, reduced_motion="reduce")
            page.goto(path.as_uri())
            page.wait_for_selector(".stage.live")
            serious = [
                (one["id"], one["nodes"][0]["html"][:120])
                for one in Axe().run(page).response["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == [], (scheme, width)
            page.close()
