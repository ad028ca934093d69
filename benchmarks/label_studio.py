"""How soon Label Studio asks for what a new answer makes most telling: `usl serve-ls`.

    make label-studio                           # once: installs Label Studio beside
    python benchmarks/label_studio.py           # CIFAR-10's pictures, from USL_DATA
    python benchmarks/label_studio.py --seeded  # pictures from a seed instead

A real Label Studio has a project of 5,000 tasks, and features are the pixels' first 320 principal
components. A person who knows the classes takes the task that it serves next, `--answers` times.
Prints one line of JSON: seconds from sending an annotation until Label Studio has taken it, until
the task that it would serve next is another, and until the ten tasks of the lowest scores are those
of the new order and change no more; each as median and largest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from live import cifar10, make_run, seeded

import usl
from usl.active.label_studio.standing import ORDERED

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from label_studio_server import LabelStudio, wait_until

STILL = 4.0  # seconds without a change, after which an order is whole
PAUSE = 0.1  # seconds between looks
NAMES = ("taken", "next_task", "next_ten")


def main() -> None:
    """Make a run and a project, answer, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--answers", type=int, default=20)
    parser.add_argument("--seeded", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        pictures, classes = (seeded if given.seeded else cifar10)(given.images)
        make_run(place, pictures, classes)
        (place / "studio").mkdir()
        studio = LabelStudio(place / "studio")
        try:
            figures = measure(studio, place / "run", classes, given.answers)
            about = {"label_studio": studio.version, "images": given.images}
        finally:
            studio.stop()
    print(json.dumps({**about, "answers": given.answers, **figures}))


def measure(studio: LabelStudio, run: Path, classes: np.ndarray, answers: int) -> dict[str, Any]:
    """Serve the run and answer."""
    ids = usl.Run.open(run).collection().ids.tolist()
    truth = dict(zip(ids, map(str, classes.tolist()), strict=True))
    tasks = [{"data": {"image": f"http://nowhere/{name}", "image_id": name}} for name in ids]
    project = studio.project("Benchmark", config(sorted(set(truth.values()))), tasks)
    server = subprocess.Popen(
        [sys.executable, "-m", "usl", "serve-ls", str(run), "--url", studio.url],
        env={**os.environ, "USL_SERVE_LS_TOKEN": studio.token, "XDG_CACHE_HOME": str(run.parent)},
    )
    try:
        began = time.perf_counter()
        wait_until(lambda: ready(studio, project), 600, pause=2.0)
        first = time.perf_counter() - began
        found = [answer(studio, project, truth) for _ in range(answers)]
    finally:
        server.send_signal(2)
        server.wait()
    figures: dict[str, Any] = {"first_order_s": round(first, 1)}
    for name, values in zip(
        ("taken", "next_task", "next_ten"), zip(*found, strict=True), strict=True
    ):
        figures[f"{name}_s"] = round(statistics.median(values), 2)
        figures[f"{name}_most_s"] = round(max(values), 2)
    return {**figures, "load": round(os.getloadavg()[0], 1)}


def config(classes: list[str]) -> str:
    """The labelling interface."""
    choices = "".join(f'<Choice value="{name}"/>' for name in classes)
    return (
        '<View><Image name="image" value="$image"/>'
        f'<Choices name="label" toName="image">{choices}</Choices></View>'
    )


def ready(studio: LabelStudio, project: int) -> bool:
    """Whether the ten tasks that come next are of an order, by a model."""
    tasks = studio.in_order(project)
    if not all((task["predictions_score"] or 1) < ORDERED for task in tasks):
        return False
    told = studio.ask("GET", f"/api/tasks/{tasks[0]['id']}/")["predictions"]
    return bool(told and told[0]["result"])


def answer(studio: LabelStudio, project: int, truth: dict[str, str]) -> tuple[float, float, float]:
    """Answer the next task; seconds until it is taken, and until the order has changed."""
    task = studio.next_task(project)  # which is this person's until it is answered
    before = order(studio, project)
    began = changed = time.perf_counter()
    first = 0.0
    studio.annotate(task["id"], truth[task["data"]["image_id"]])
    taken = time.perf_counter() - began
    # The order before, without the task that was answered, is no news.
    known = [one for one in before if one != task["id"]]
    while time.perf_counter() - max(changed, began + taken) < STILL:
        now = order(studio, project)
        if now[: len(known)] != known:
            known, changed = now, time.perf_counter()
            first = first or changed - began
        time.sleep(PAUSE)
    return taken, first, changed - began


def order(studio: LabelStudio, project: int) -> list[int]:
    """The ten tasks of the lowest scores."""
    return [task["id"] for task in studio.in_order(project)]


if __name__ == "__main__":
    main()
