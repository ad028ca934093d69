"""Several hosts as network namespaces of one machine, one of them cut off in the middle of a stage.

    sudo python benchmarks/ray_hosts.py --out DIR [--ray NAME=VALUE ...]

A head without cores, which also leads the work, and two hosts of one core, joined by a bridge; DIR
is the folder that all share. `usl select` and `usl embed` run undisturbed, and again while the
second host's link is taken down: both must leave the same bytes. Prints one JSON line each.
"""

from __future__ import annotations

import argparse
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
from PIL import Image
import ray_scale

HOSTS = {"usl-head": "10.77.0.1", "usl-one": "10.77.0.2", "usl-two": "10.77.0.3"}
ADDRESS = "10.77.0.1:6379"
RAY = Path(sys.executable).with_name("ray")
USL = (sys.executable, "-m", "usl")
ROWS, PICKS, IMAGES = 240_000, 500, 4_000


def ip(*words: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *words], check=True)


def set_up(settings: list[str]) -> None:
    """Make the namespaces, join them, and start a host of the cluster in each."""
    ip("link", "add", "usl-bridge", "type", "bridge")
    ip("link", "set", "usl-bridge", "up")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    os.environ |= dict(one.split("=") for one in settings)
    for host, address in HOSTS.items():
        ip("netns", "add", host)
        ip("link", "add", f"{host}-b", "type", "veth", "peer", "name", "eth0", "netns", host)
        ip("link", "set", f"{host}-b", "master", "usl-bridge", "up")
        ip("-n", host, "addr", "add", f"{address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            ip("-n", host, "link", "set", link, "up")
        role = ["--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false"]
        if host != "usl-head":
            role = [f"--address={ADDRESS}", "--num-cpus=1"]
        room = ["--object-store-memory=300000000", f"--node-ip-address={address}"]
        run(host, RAY, "start", *role, *room)


def clean_up() -> None:
    """End what runs in the namespaces, and remove them."""
    for host in HOSTS:
        told = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True)
        for process in told.stdout.split():
            os.kill(int(process), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", host], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "link", "del", "usl-bridge"], check=False, stderr=subprocess.DEVNULL)


def run(host: str, *command: object) -> None:
    """Run a command in a namespace, and wait for it."""
    words = ["ip", "netns", "exec", host, *map(str, command)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def timed(command: list[object], files: Path, pattern: str, cut: bool) -> tuple[float, float]:
    """Seconds of a command at the head, and when in it the second host was cut off.

    That is when two files of a stage, ``pattern`` under ``files``, are there.
    """
    ip("-n", "usl-two", "link", "set", "eth0", "up")
    began, when = time.monotonic(), 0.0
    words = ["ip", "netns", "exec", "usl-head", *map(str, command)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if cut and not when and len(list(files.glob(pattern))) >= 2:
                ip("-n", "usl-two", "link", "set", "eth0", "down")
                when = time.monotonic() - began
            time.sleep(0.05)
    assert process.returncode == 0, f"{words}: {process.returncode}"
    assert bool(when) == cut, "the stage went by unseen"
    return time.monotonic() - began, when


def digest(files: list[Path]) -> str:
    """A hash of the content of some files."""
    assert files
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()


def main() -> None:
    """Make the data, run each verb twice, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ray", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    out, photos = given.out.absolute(), given.out.absolute() / "photos"
    ray_scale.SHARD, rng = 20_000, np.random.default_rng(0)
    shards = ray_scale.make(out / "shards", ROWS).store.root
    photos.mkdir(exist_ok=True)
    for number in range(0 if any(photos.iterdir()) else IMAGES):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number:05d}.png")
    cluster = ["--engine", "ray", "--address", ADDRESS]
    for verb in ("select", "embed"):
        row, made = {"verb": verb, "settings": given.ray}, []
        for name, cut in (("undisturbed", False), ("cut_off", True)):
            place = out / f"{verb}-{name}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            if verb == "select":
                how = ["--method", "usl", "--budget", PICKS, "--scratch", place / "work"]
                command = [*USL, verb, shards, *cluster, *how, "--out", place / "run"]
                stage, files = (place / "work", "*/dealt/*.sums"), "run/selection.csv"
            else:
                how = ["--model", "pixels", "--shard-images", 1_000, "--out", place / "features"]
                command = [*USL, verb, photos, *cluster, *how]
                stage, files = (place / "features", "_pieces/*"), "features/part-*"
            clean_up()
            set_up(given.ray)
            try:
                seconds, when = timed(command, *stage, cut)
            finally:
                clean_up()
            row[name] = round(seconds, 1)
            row |= {"after": round(when, 1)} if cut else {}
            made.append(digest(list(place.glob(files))))
        print(json.dumps({**row, "same": made[0] == made[1]}), flush=True)


if __name__ == "__main__":
    main()
