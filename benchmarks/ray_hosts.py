"""Several hosts as network namespaces of one machine, one of them cut off in the middle of a stage.

    sudo [RAY_health_check_period_ms=...] python benchmarks/ray_hosts.py DIR

A head without cores, which leads the work, and two hosts of one core, joined by a bridge, share
DIR. Each verb runs undisturbed, and while the second host's link is taken down: the same bytes?
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import ray_scale
from PIL import Image

HOSTS = {"usl-head": "10.77.0.1", "usl-one": "10.77.0.2", "usl-two": "10.77.0.3"}
ADDRESS = "10.77.0.1:6379"
ROWS, PICKS, IMAGES = 60_000, 200, 1_500


def ip(*words: str, check: bool = True) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *words], check=check, stderr=None if check else subprocess.DEVNULL)


def inside(host: str, *command: object) -> list[str]:
    """A command in a namespace."""
    return ["ip", "netns", "exec", host, *map(str, command)]


def start(host: str) -> None:
    """Make a namespace, join it to the bridge, and start a host of Ray in it."""
    ip("netns", "add", host)
    ip("link", "add", f"{host}-b", "type", "veth", "peer", "name", "eth0", "netns", host)
    ip("link", "set", f"{host}-b", "master", "usl-bridge", "up")
    ip("-n", host, "addr", "add", f"{HOSTS[host]}/24", "dev", "eth0")
    ip("-n", host, "link", "set", "lo", "up")
    ip("-n", host, "link", "set", "eth0", "up")
    head = ["--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false"]
    role = head if host == "usl-head" else [f"--address={ADDRESS}", "--num-cpus=1"]
    ray = Path(sys.executable).with_name("ray"), "start", f"--node-ip-address={HOSTS[host]}"
    command = inside(host, *ray, *role, "--object-store-memory=200000000")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def end(host: str) -> None:
    """End what runs in a namespace, and remove it."""
    told = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True)
    for process in told.stdout.split():
        os.kill(int(process), signal.SIGKILL)
    for gone in (["link", "del", f"{host}-b"], ["netns", "del", host]):
        ip(*gone, check=False)


def timed(command: list[object], files: Path, pattern: str, cut: bool) -> tuple[float, float]:
    """Seconds of a command, and when the second host was cut off: at two files of a stage."""
    began, when = time.monotonic(), 0.0
    with subprocess.Popen(inside("usl-head", *command), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if cut and not when and len(list(files.glob(pattern))) >= 2:
                ip("-n", "usl-two", "link", "set", "eth0", "down")
                when = time.monotonic() - began
            time.sleep(0.02)
    assert process.returncode == 0, f"{command}: {process.returncode}"
    assert bool(when) == cut, "the stage went by unseen"
    return time.monotonic() - began, when


def compared(verb: str, given: list[object], out: Path, stage: str, made: str, result: str) -> None:
    """Run a verb twice. ``stage``, ``made``: patterns of files, of a stage and of the result."""
    row, digests = {"verb": verb}, []
    for name in ("undisturbed", "cut_off"):
        place = out / f"{verb}-{name}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        where = ["--engine", "ray", "--address", ADDRESS, "--out", place / result]
        where += ["--scratch", place / "work"] if verb == "select" else []
        command = [sys.executable, "-m", "usl", verb, *given, *where]
        seconds, when = timed(command, place, stage, name == "cut_off")
        row |= {f"{name}_s": round(seconds, 1)} | ({"cut_at_s": round(when, 1)} if when else {})
        content = [file.read_bytes() for file in sorted(place.glob(made))]
        digests.append([len(content), hashlib.sha256(b"".join(content)).hexdigest()[:16]])
    print(json.dumps({**row, "files": digests, "same": digests[0] == digests[1]}), flush=True)


def main() -> None:
    """Make the data and the hosts, compare, clean up."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    out, ray_scale.SHARD, rng = Path(sys.argv[1]).absolute(), 5_000, np.random.default_rng(0)
    shards, photos = ray_scale.make(out / "shards", ROWS).store.root, out / "photos"
    photos.mkdir(exist_ok=True)
    for number in range(IMAGES):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number:05d}.png")
    ip("link", "add", "usl-bridge", "up", "type", "bridge")
    try:
        for host in HOSTS:
            start(host)
        how = ["--method", "usl", "--budget", PICKS]
        compared("select", [shards, *how], out, "work/*/dealt/*.sums", "run/selection.csv", "run")
        end("usl-two")
        start("usl-two")
        how = ["--model", "pixels", "--shard-images", 500]
        compared("embed", [photos, *how], out, "f/_pieces/*", "f/part-*", "f")
    finally:
        any(map(end, HOSTS))
        ip("link", "del", "usl-bridge", check=False)


if __name__ == "__main__":
    main()
