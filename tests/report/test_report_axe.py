"""The report in a real Chromium, judged by axe-core, at the width of a phone and of a desk."""

import warnings

from map_run import collection, trained_run

from usl.core.errors import UslWarning
from usl.report.report import write_report


def test_axe_core_finds_nothing_serious(browser, serious, tmp_path, monkeypatch):
    monkeypatch.setenv("USL_CACHE", str(tmp_path / "cache"))
    found = collection()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        path = write_report(trained_run(tmp_path / "run", found), collection=found, points=60)
    for scheme, width in (("light", 1280), ("dark", 375)):
        size = {"width": width, "height": 800}
        page = browser.new_page(color_scheme=scheme, viewport=size, reduced_motion="reduce")
        page.goto(path.as_uri())
        page.wait_for_selector(".stage.live")
        assert serious(page) == [], scheme
        page.close()
