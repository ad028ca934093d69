"""Seconds from ``usl select`` on photographs to the first label, by the README's commands.

    python benchmarks/first_label.py 500 --megapixels 2

Photographs are made from seeds as in ``embed.py``. Chromium by Playwright; the cache of features
and of pictures is empty. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from embed import SIZES, Photographs
from playwright.sync_api import sync_playwright

USL = [sys.executable, "-m", "usl"]
SELECT = [*USL, "select", "photos", "--budget", "40", "--out", "run"]
LABEL = [*USL, "label", "run", "--classes", "cat,dog", "--no-browser"]
AIM = 90  # seconds
READY = "() => document.querySelector('#stage img') !== null"
SAVED = '#count:has-text("1 of 40")'


def main() -> None:
    """Make the photographs, go the way of a newcomer, and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photographs", type=int)
    parser.add_argument("--megapixels", type=float, default=2, choices=sorted(SIZES))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["USL_CACHE"] = f"{place}/cache"
        os.chdir(place)
        make_photographs(Path("photos"), asked.photographs, SIZES[asked.megapixels])
        began = time.perf_counter()
        subprocess.run(SELECT, check=True)
        selected = time.perf_counter() - began
        first = label_one() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "photographs": asked.photographs,
        "megapixels": asked.megapixels,
        "select_s": round(selected, 1),
        "first_label_s": round(first, 1),
        "processor_s": round(used.ru_utime + used.ru_stime, 1),
        "cores": len(os.sched_getaffinity(0)),
        "within": first <= AIM,
    }
    print(json.dumps(told))


def make_photographs(folder: Path, n: int, size: tuple[int, int]) -> None:
    """JPEG files of ``n`` seeds."""
    folder.mkdir()
    maker = Photographs()
    for seed in range(n):
        maker.make(seed, size).save(folder / f"{seed:04d}.jpg", quality=88)


def label_one() -> float:
    """Open the page, give the first picture a class; when it was stored."""
    server = subprocess.Popen(LABEL, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        address = next(filter(None, (re.search(r"http\S+", line) for line in server.stderr)))[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.goto(address)
            page.wait_for_function(READY)
            page.keyboard.press("1")
            page.wait_for_selector(SAVED)
            page.wait_for_selector('#saving[data-state="saved"]')
            done = time.perf_counter()
            browser.close()
        return done
    finally:
        server.send_signal(2)
        server.communicate()


if __name__ == "__main__":
    main()
