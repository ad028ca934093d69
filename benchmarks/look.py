"""How fast `usl look` is: first screen, filters, scrolling and the server's memory.

    python benchmarks/look.py 50000 320

Pictures of 10 x 10 made from a seed, in one .npz, as features 3,072 numbers each, or as many
principal components as the second argument says; predictions of nearest means; Chromium by
Playwright. Prints one line of JSON.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

import usl

SHOWN = "() => document.querySelector('#images li img')?.complete"


def main() -> None:
    """Make a run of so many images, look at it, and print the figures."""
    n, pca = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as place:
        run = make_run(Path(place), n, pca)
        server = subprocess.Popen(
            [sys.executable, "-m", "usl", "look", str(run), "--no-browser"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.stderr is not None
        address = next(filter(None, (re.search(r"http\S+", line) for line in server.stderr)))[0]
        try:
            told = {"images": n, "pca": pca, **look(address), "server_mb": memory(server.pid)}
            print(json.dumps(told))
        finally:
            server.send_signal(2)
            server.communicate()


def make_run(place: Path, n: int, pca: int | None) -> Path:
    """A trained run on ``n`` pictures of ten kinds."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 10, n)
    pictures = rng.integers(0, 60, (n, 10, 10, 3), dtype=np.uint8)
    pictures += (15 * kinds).astype(np.uint8)[:, None, None, None]
    np.savez(place / "pictures.npz", train_images=pictures, train_labels=kinds[:, None])
    named = {"method": "random", "model": "pixels", "pca": pca}
    run = usl.start_run(place / "pictures.npz", 40, place / "run", **named)
    split = run.split()
    names = [f"class {kind}" for kind in kinds.tolist()]
    label = dict(zip(run.collection().ids.tolist(), names, strict=True))
    asked = split.states == "requested"
    split.labels[asked] = [label[name] for name in split.ids[asked].tolist()]
    split.sources[asked], split.states[asked] = "human", "labeled"
    split.write(run.path)
    usl.train(run.path, method="nearest_mean")
    return run.path


def look(address: str) -> dict[str, float]:
    """Seconds of what a person waits for, in a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_function(SHOWN)
        first = time.perf_counter() - began
        filters = [filtered(page, label) for label in range(10)]
        stalls = page.evaluate(SCROLL)
        page.click("#images li")
        page.wait_for_selector("#one[open]")
        with page.expect_response("**/api/look/images*like=*", timeout=600_000):
            page.click("#one-like")  # from now on the server holds the features
        browser.close()
    return {
        "first_screen_s": round(first, 3),
        "filter_median_s": round(statistics.median(filters), 3),
        "scroll_frame_median_ms": round(statistics.median(stalls), 1),
        "scroll_frame_worst_ms": round(max(stalls), 1),
    }


def filtered(page, label: int) -> float:
    """Seconds from a click on a class to its images on the screen."""
    return page.evaluate(CLICK, f"class {label}")


CLICK = """async (name) => {
  const buttons = [...document.querySelectorAll('#class-list button')];
  const chosen = () => document.querySelector('#class-list [aria-pressed=true]')?.title === name;
  const first = () => document.querySelector('#images li')?.getAttribute('aria-label') ?? '';
  const began = performance.now();
  buttons.find((one) => one.title === name).click();
  while (!chosen() || !first().includes(name)) await new Promise(requestAnimationFrame);
  return (performance.now() - began) / 1000;
}"""


SCROLL = """async () => {
  const room = document.querySelector('#gallery');
  const frames = [];
  let before = performance.now();
  for (let step = 0; step < 120; step += 1) {
    room.scrollTop += 900;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
  }
  return frames;
}"""


def memory(pid: int) -> float:
    """Peak of a process's memory in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return round(int(found[1]) / 1024, 1) if found else float("nan")


if __name__ == "__main__":
    main()
