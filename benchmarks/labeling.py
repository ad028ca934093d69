"""How quick the labelling page is: 12-megapixel photographs, 12,820 picks, headless Chromium.

- From a key press to the next picture's paint, as the browser itself reports it (element timing:
  when the frame with the picture was drawn). One key press every ``--pace`` seconds.
- From opening the address to a page that takes answers, with the first picture on the stage.

    python benchmarks/labeling.py
    python benchmarks/labeling.py --photos 40 --picks 12820 --presses 60
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SERVE = """
import sys
from usl.labeling.page.serve import serve
serve(sys.argv[1], classes=["cat", "dog"], open_browser=False,
      ready=lambda address: print("READY", address, flush=True))
"""
WATCH = """() => {
  window.painted = [];
  window.pressed = [];
  addEventListener("keydown", (event) => pressed.push(event.timeStamp), true);
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) painted.push([one.renderTime, one.url]);
  }).observe({ type: "element" });
}"""


def make_photos(folder: Path, n: int) -> None:
    """Write ``n`` JPEG photographs of 4,000 x 3,000 pixels, with texture (3 to 5 MB each)."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(n):
        coarse = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC)
        grain = rng.integers(0, 24, (3000, 4000, 1), dtype=np.uint8)
        pixels = np.minimum(np.asarray(image).astype(np.uint16) + grain, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"photo{number:05d}.jpg", quality=90)


def make_run(place: Path, photos: int, picks: int) -> Path:
    """A run whose picks are links to few photographs: sizes on disk do not matter here."""
    from usl.data.open import open_collection
    from usl.run.folder import source_record, write_images
    from usl.run.split import Split

    folder = place / "photos"
    make_photos(folder, photos)
    made = sorted(folder.iterdir())
    for number in range(photos, picks):
        os.link(made[number % photos], folder / f"photo{number:05d}.jpg")
    collection = open_collection(folder)
    run = place / "run"
    run.mkdir()
    split = Split.start(collection.ids, collection.subsets, picks=np.arange(picks))
    split.write(run)
    write_images(run, collection)
    record = {"format": 1, "source": source_record(folder, collection), "encoder": {}}
    (run / "run.json").write_text(json.dumps(record))
    return run


def measure(address: str, presses: int, pace: float) -> tuple[list[float], list[float]]:
    """Milliseconds from each key press to the paint of its picture; and to a usable page."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        sys.exit("No Chromium or Chrome on this machine.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_selector("#stage img")
        loads = []
        for _ in range(5):
            page.reload()
            page.wait_for_selector("body[data-ready] #stage img")
            loads.append(page.evaluate("performance.now()"))
        page.evaluate(WATCH)
        time.sleep(3)
        page.evaluate("painted.length = 0")
        for number in range(presses):
            page.keyboard.press("12"[number % 2])
            time.sleep(pace)
        pressed, painted = page.evaluate("[pressed, painted]")
        browser.close()
    waits = []
    for at, following in zip(pressed, [*pressed[1:], float("inf")], strict=True):
        drawn = [time for time, _ in painted if at <= time < following]
        waits.append(drawn[0] - at if drawn else float("inf"))
    return waits, loads


def main() -> None:
    """Make the run, serve it, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--picks", type=int, default=12_820)
    parser.add_argument("--presses", type=int, default=60)
    parser.add_argument("--pace", type=float, default=1.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["USL_CACHE"] = str(Path(place) / "cache")
        run = make_run(Path(place), arguments.photos, arguments.picks)
        command = [sys.executable, "-c", SERVE, str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().split()[1]
            waits, loads = measure(address, arguments.presses, arguments.pace)
            server.terminate()
    late = sum(wait == float("inf") for wait in waits)
    print(
        f"key press to next picture painted: median {statistics.median(waits):.0f} ms, "
        f"90% within {sorted(waits)[int(len(waits) * 0.9)]:.0f} ms "
        f"({len(waits)} presses, one every {arguments.pace:g} s; {late} later than the next press)"
    )
    print(
        f"page usable with {arguments.picks:,} picks: median {statistics.median(loads):.0f} ms, "
        f"slowest {max(loads):.0f} ms (picture on the stage included)"
    )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
