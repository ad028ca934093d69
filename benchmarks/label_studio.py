"""How soon Label Studio asks for what a new answer makes most telling: `usl serve-ls`.

    make label-studio                           # once: installs Label Studio beside
    python benchmarks/label_studio.py           # CIFAR-10's pictures, from USL_DATA
    python benchmarks/label_studio.py --seeded  # pictures from a seed instead

A real Label Studio has a project of 5,000 tasks, and features are the pixels' first 320 principal
components. A person who knows the classes takes the task that it serves next, `--answers` times,
and waits until nothing changes any more. Prints one line of JSON, each as median and largest:
seconds from sending an annotation until Label Studio has taken it (then it is an answer of the
run), until it has the first changed prediction of the new order, and until it has the last one:
then the ten tasks of the lowest scores are those of the new order. `cpu` are the seconds of
processor time of Label Studio, the server and what learns for all of that: on idle cores it does
not take longer, whatever the load was here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from live import cifar10, make_run, seeded

import usl
from usl.active.label_studio.standing import ORDERED

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from label_studio_server import LabelStudio, wait_until

STILL, IDLE = 4.0, 0.2  # seconds in which no more are spent: then an order is whole
PAUSE = 0.1  # seconds between looks
NAMES = ("taken", "first_change", "next_ten", "cpu")
CHANGE = re.compile(r'^\[([\d :,-]+)\].*"PATCH /api/predictions/(\d+)/', re.MULTILINE)


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
        found = [answer(studio, project, truth, server.pid) for _ in range(answers)]
    finally:
        server.send_signal(2)
        server.wait()
    figures: dict[str, Any] = {"first_order_s": round(first, 1)}
    for name, values in zip(NAMES, zip(*found, strict=True), strict=True):
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


def answer(
    studio: LabelStudio, project: int, truth: dict[str, str], server: int
) -> tuple[float, float, float, float]:
    """Answer the next task; seconds until it is taken and the order has changed, and of CPUs."""
    task = studio.next_task(project)  # which is this person's until it is answered
    known, before, began = len(changes(studio)), cpu(studio, server), time.time()
    studio.annotate(task["id"], truth[task["data"]["image_id"]])
    taken = time.time()
    seen, used, busy, since = 0, cpu(studio, server), 0.0, taken
    while time.time() - since < STILL:
        time.sleep(PAUSE)
        now = cpu(studio, server)
        if now - busy > IDLE:
            busy, since = now, time.time()
        if len(changes(studio)) - known > seen:
            seen, used = len(changes(studio)) - known, now
    sent = [max(taken, one) for one in changes(studio)[known:]] or [taken]  # none: it held before
    return taken - began, sent[0] - began, sent[-1] - began, used - before


def changes(studio: LabelStudio) -> list[float]:
    """When predictions were changed, by Label Studio's log."""
    text = (studio.folder / "log.txt").read_text()
    found = dict.fromkeys(CHANGE.findall(text))  # it writes every line twice
    return [datetime.fromisoformat(time.replace(",", ".")).timestamp() for time, _ in found]


def cpu(studio: LabelStudio, server: int) -> float:
    """Seconds of processor time that all have taken so far."""
    ticks = 0
    for process in (studio.process.pid, server, *children(server)):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def children(process: int) -> list[int]:
    """The processes that one has begun: here that which learns."""
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


if __name__ == "__main__":
    main()
