"""A driver on Ray that is killed goes on, and sources that change meanwhile are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import usl
from picture_run import make_picture_run, write_noise
from usl.core.errors import UsageError

pytestmark = pytest.mark.slow
SHARD = 300  # images, of 700

KILLED = """
import os, signal, sys
import usl

def killed(done, total, label):
    os.kill(os.getpid(), signal.SIGKILL)

verb, first, second, out, address = sys.argv[1:]
how = {"engine": "ray", "address": address, "progress": killed}
if verb == "embed":
    usl.embed_shards(usl.open_collection(first), out, second, shard_images=300, **how)
else:
    usl.predict_shards(first, second, out, **how)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_noise(folder, 700)
    return folder


def kill(*given):
    """Run a verb until the first piece of its work is done."""
    command = [sys.executable, "-c", KILLED, *map(str, given)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def same_shards(one, two):
    """Whether two places hold the same shards, and some."""
    names = sorted(file.name for file in Path(one).glob("part-*.parquet"))
    assert names == sorted(file.name for file in Path(two).glob("part-*.parquet"))
    same = [(Path(one) / name).read_bytes() == (Path(two) / name).read_bytes() for name in names]
    return bool(same) and all(same)


def test_embedding_goes_on_after_its_driver_is_killed(photos, cluster, several_hosts, tmp_path):
    collection = usl.open_collection(photos)
    usl.embed_shards(collection, tmp_path / "one", "pixels", shard_images=SHARD)
    kill("embed", photos, "pixels", tmp_path / "two", several_hosts.address)
    assert not (tmp_path / "two" / "_features.json").exists()
    how = {"engine": "ray", "shard_images": SHARD}
    found = usl.embed_shards(collection, tmp_path / "two", "pixels", **how)
    assert found.reused > 0
    assert found.computed + found.reused == 700
    assert same_shards(tmp_path / "one", tmp_path / "two")


def test_predicting_goes_on_after_its_driver_is_killed(cluster, several_hosts, tmp_path):
    run = make_picture_run(tmp_path)
    usl.train(run)
    shards = tmp_path / "shards"
    usl.embed_shards(run.collection(), shards, "pixels", dtype="float32", shard_images=10)
    expected = usl.predict_shards(run, shards, tmp_path / "one")
    kill("predict", run.path, shards, tmp_path / "two", several_hosts.address)
    there = {file: os.stat(file).st_mtime_ns for file in (tmp_path / "two").glob("part-*")}
    assert there
    assert not (tmp_path / "two" / "_predictions.json").exists()
    found = usl.predict_shards(run, shards, tmp_path / "two", engine="ray")
    assert found.counts == expected.counts
    assert same_shards(tmp_path / "one", tmp_path / "two")
    assert {file: os.stat(file).st_mtime_ns for file in there} == there


def test_an_image_that_goes_is_named_and_one_that_comes_is_refused(photos, cluster, tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes((photos / f"{number:03d}.png").read_bytes())
    collection = usl.open_collection(tmp_path)
    (tmp_path / "7.png").unlink()
    found = usl.embed_shards(collection, tmp_path / "out", "pixels", engine="ray")
    ((name, why),) = found.skipped
    assert name == "7.png"
    assert str(tmp_path / "7.png") in why
    assert len(found.shards) == 39
    (tmp_path / "new.png").write_bytes((photos / "100.png").read_bytes())
    with pytest.raises(UsageError, match="holds an embedding of other images"):
        usl.embed_shards(usl.open_collection(tmp_path), tmp_path / "out", "pixels", engine="ray")
