"""How quick `usl label --live` is: a model learns from 50,000 images while somebody answers.

    python benchmarks/live.py                   # CIFAR-10's pictures, from USL_DATA
    python benchmarks/live.py --seeded          # 50,000 pictures from a seed instead

Features are the pixels' first 320 principal components. Chromium presses a class key every
``--pace`` seconds. Prints one line of JSON: milliseconds from a key press to the next picture's
paint (element timing), seconds from an answer to an order that knows of it (so long the model
learns in the background), and the peak memory of the page's process and of the one that learns.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

import usl
from labeling import WATCH

COLUMNS = 320
FOLLOW = """() => {
  window.learnt = [];
  const note = document.querySelector("#live");
  const same = () => learnt.at(-1)?.[1] === note.textContent;
  const told = () => same() || learnt.push([performance.now(), note.textContent]);
  told();
  new MutationObserver(told).observe(note, { childList: true });
}"""


def main() -> None:
    """Make a run, label it live, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--presses", type=int, default=60)
    parser.add_argument("--pace", type=float, default=1.0)
    parser.add_argument("--seeded", action="store_true")
    parser.add_argument("--keep", type=Path, help="make the run here, or use the one that is here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = given.keep or Path(temporary)
        if not (place / "run").is_dir():
            place.mkdir(parents=True, exist_ok=True)
            make_run(place, *(seeded(given.images) if given.seeded else cifar10(given.images)))
        print(json.dumps({"images": given.images, **measure(place / "run", given)}))


def cifar10(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n training pictures of CIFAR-10 and their classes."""
    found = np.load(Path(os.environ["USL_DATA"]) / "cifar10_jpeg.npz")
    blob, at = found["blob"], found["offsets"].tolist()
    read = (np.asarray(Image.open(io.BytesIO(blob[at[i] : at[i + 1]]))) for i in range(n))
    return np.stack(list(read)), found["labels"][:n]


def seeded(n: int) -> tuple[np.ndarray, np.ndarray]:
    """N pictures of 32 x 32 and of ten kinds."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 10, n)
    pictures = rng.integers(0, 60, (n, 32, 32, 3), dtype=np.uint8)
    pictures += (15 * kinds).astype(np.uint8)[:, None, None, None]
    return pictures, kinds


def make_run(place: Path, pictures: np.ndarray, classes: np.ndarray) -> None:
    """A run of these pictures with 40 labels."""
    np.savez(place / "pictures.npz", train_images=pictures, train_labels=classes[:, None])
    source = place / "pictures.npz"
    run = usl.start_run(source, 40, place / "run", method="random", model="pixels", pca=COLUMNS)
    split = run.split()
    label = dict(zip(run.collection().ids.tolist(), map(str, classes.tolist()), strict=True))
    asked = split.states == "requested"
    split.labels[asked] = [label[name] for name in split.ids[asked].tolist()]
    split.sources[asked], split.states[asked] = "human", "labeled"
    split.write(run.path)


def measure(run: Path, given: argparse.Namespace) -> dict[str, float]:
    """Serve the run live and answer."""
    server = subprocess.Popen(
        [sys.executable, "-m", "usl", "label", str(run), "--live", "--no-browser"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        address = next(filter(None, (re.search(r"http\S+", line) for line in server.stderr)))[0]
        figures = answer(address, given.presses, given.pace)
        learner = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]
        memory = {"page_mb": peak(server.pid), "learner_mb": peak(int(learner))}
    finally:
        server.send_signal(2)
        server.communicate()
    return {**figures, **memory, "load": round(os.getloadavg()[0], 1)}


def answer(address: str, presses: int, pace: float) -> dict[str, float]:
    """Press keys once the first order is there; milliseconds and seconds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("body[data-ready] #stage img")
        opened = time.perf_counter() - began
        learnt = "() => document.querySelector('#live').textContent.startsWith('Learnt')"
        page.wait_for_function(learnt, timeout=600_000)
        first = time.perf_counter() - began
        time.sleep(3)
        page.evaluate(WATCH)
        page.evaluate(FOLLOW)
        for number in range(presses):
            page.keyboard.press(str(1 + number % 9))
            time.sleep(pace)
        time.sleep(5)
        pressed, painted, orders = page.evaluate("[pressed, painted, learnt]")
        browser.close()
    waits = []
    for at, following in zip(pressed, [*pressed[1:], float("inf")], strict=True):
        drawn = [when for when, _ in painted if at <= when < following]
        waits.append(drawn[0] - at if drawn else float("inf"))
    fits = [
        min((when for when, _ in orders if when > at), default=float("inf")) - at for at in pressed
    ]
    return {
        "opened_s": round(opened, 2),
        "first_order_s": round(first, 2),
        "next_median_ms": round(statistics.median(waits), 1),
        "next_p90_ms": round(sorted(waits)[int(len(waits) * 0.9)], 1),
        "late": sum(wait == float("inf") for wait in waits),
        "order_median_s": round(statistics.median(fits) / 1000, 2),
        "orders": len(orders) - 1,
    }


def peak(pid: int) -> float:
    """Peak of a process's memory in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return round(int(found[1]) / 1024, 1) if found else float("nan")


if __name__ == "__main__":
    main()
