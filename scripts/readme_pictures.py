"""Make the README's pictures anew: docs/report.png, docs/report-dark.png and docs/label.png.

Runs the demo and opens its report, and the labelling page of a run of its own, in a headless
Chromium; needs the extras ``label`` and ``dev``, and about three minutes::

    python scripts/readme_pictures.py
    python scripts/readme_pictures.py --run demo-run    # the report of a demo that is there
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import usl
from usl.demo import BUDGET, ENCODER, SOURCE, run_demo

DOCS = Path(__file__).parents[1] / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
KEYS = {  # short names of the classes, in the order of the keys
    "T-shirt/top": "T-shirt",
    "Trouser": "trousers",
    "Pullover": "pullover",
    "Dress": "dress",
    "Coat": "coat",
    "Sandal": "sandal",
    "Shirt": "shirt",
    "Sneaker": "sneaker",
    "Bag": "bag",
}
ANSWERED = 10
SERVE = """
import sys
from usl.labeling.page.serve import serve
serve(sys.argv[1], classes=sys.argv[2].split(","), open_browser=False,
      ready=lambda address: print("READY", address, flush=True))
"""


def main() -> None:
    """Write the three pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a demo run with its report; else it is made")
    given = parser.parse_args().run
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("Install Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        run = given or run_demo(Path(place) / "demo-run", seeds=20).path
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for scheme, name in (("light", "report.png"), ("dark", "report-dark.png")):
            picture_of_report(chromium, run / "report.html", scheme, DOCS / name)
        picture_of_page(chromium, Path(place) / "run", DOCS / "label.png")
        chromium.close()


def picture_of_report(chromium, report: Path, scheme: str, target: Path) -> None:
    """The top of the report."""
    size = {"width": 1280, "height": 1155}
    page = chromium.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page.goto(report.absolute().as_uri())
    page.wait_for_selector(".stage.live")
    page.screenshot(path=target)
    page.close()


def picture_of_page(chromium, place: Path, target: Path) -> None:
    """The labelling page after a few answers, the true ones."""
    run = usl.start_run(SOURCE, BUDGET, place, model=ENCODER)
    collection = run.collection()
    known = dict(zip(collection.ids.tolist(), collection.labels.tolist(), strict=True))
    split = run.split()
    asked = split.ids[split.requested()].tolist()
    command = [sys.executable, "-c", SERVE, str(place), ",".join(KEYS.values())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            words = next(line for line in server.stdout if line.startswith("READY")).split()
            page = chromium.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
            page.goto(words[1])
            keys = list(KEYS)
            done = 0
            counted(page, done)
            for name in asked[:ANSWERED]:
                label = known[name]
                page.get_by_text(name, exact=True).first.wait_for()
                page.wait_for_selector("#stage img")  # a key counts once there is a picture
                page.keyboard.press(str(keys.index(label) + 1) if label in keys else "Space")
                done += label in keys
                counted(page, done)
            page.get_by_text("Saved", exact=True).first.wait_for()
            page.get_by_text(asked[ANSWERED], exact=True).first.wait_for()
            page.wait_for_function(
                "() => [...document.images].every((image) => !image.checkVisibility() || "
                "image.getBoundingClientRect().left > innerWidth || image.naturalWidth)"
            )
            page.wait_for_load_state("networkidle")
            page.screenshot(path=target)
        finally:
            server.terminate()


def counted(page, done: int) -> None:
    """Wait until the page counts so many answers."""
    page.wait_for_function(
        f"() => document.querySelector('#count').textContent === '{done} of {BUDGET}'"
    )


if __name__ == "__main__":
    main()
