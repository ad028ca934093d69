"""What is lost is done again, and nothing else: workers and drivers that are killed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sharded import mixture, write_shards

import usl
from stores import nobody_may
from usl.core.errors import DataError, StoreError
from usl.engine.cluster import ClusterError, connect
from usl.engine.executor import InProcess, OnRay, check_reached, reporting
from usl.engine.shards import open_shards
from usl.engine.store import Store
from usl.selection.sharded.select_shards import select_shards

STAGES = {"measure", "draw", "step_of", "deal", "gather", "density_of", "dense", "exchanged"}
STAGES |= {"propose", "withdraw", "settle"}
HOW = {"k": 10, "collapse_duplicates": 0.2, "min_distance": 0.4, "center": True}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return write_shards(folder, mixture(1200, 8, 12), (500, 400, 300))


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    place = str(tmp_path_factory.mktemp("undisturbed"))
    return select_shards(shards, 20, InProcess(), scratch=place, **HOW)


class Deadly:
    """An executor whose workers each kill themselves once, after the work of a first task."""

    def __init__(self, inner, folder):
        self.inner, self.folder = inner, folder

    def map(self, task, items, **how):
        return self.inner.map(die_once, [(self.folder, task, *item) for item in items], **how)


def die_once(folder, task, *item):
    """``task(*item)``; the first of each kind dies when its work is done but not told."""
    result = task(*item)
    try:
        os.close(os.open(f"{folder}/{task.__name__}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return result
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_lost_in_every_stage_changes_nothing(shards, undisturbed, cluster, tmp_path):
    dead = tmp_path / "dead"
    dead.mkdir()
    deadly = Deadly(OnRay(cluster), str(dead))
    found = select_shards(shards, 20, deadly, scratch=str(tmp_path / "work"), **HOW)
    assert found.constraints["near_duplicates"] > 0
    assert found.constraints["replaced"] > 0
    assert {file.name for file in dead.iterdir()} >= STAGES  # each has lost one
    assert found.rows.tobytes() == undisturbed.rows.tobytes()
    assert found.columns["utility"].tobytes() == undisturbed.columns["utility"].tobytes()


DRIVER = """
import json, os, signal, sys
from usl.engine.executor import InProcess
from usl.engine.shards import open_shards
from usl.selection.sharded.select_shards import select_shards

class Counted(InProcess):
    def map(self, task, items, **how):
        for item in items:
            (result,) = InProcess.map(self, task, [item])
            print(task.__name__, flush=True)
            if task.__name__ == sys.argv[3]:
                os.kill(os.getpid(), signal.SIGKILL)
            yield result

how = json.loads(sys.argv[4])
found = select_shards(open_shards(sys.argv[1]), 20, Counted(), scratch=sys.argv[2], **how)
print(json.dumps(found.rows.tolist()))
"""


def test_a_driver_that_is_killed_goes_on_from_what_is_finished(shards, undisturbed, tmp_path):
    done = []
    for stage in ("step_of", "deal", "settle", "density_of", "none"):
        command = [sys.executable, "-c", DRIVER, shards.store.root, str(tmp_path), stage]
        command.append(json.dumps(HOW))
        told = subprocess.run(command, capture_output=True, text=True, check=stage == "none")
        assert told.returncode == (0 if stage == "none" else -signal.SIGKILL)
        done.append(told.stdout.split("\n"))
    assert json.loads(done[-1][-2]) == undisturbed.rows.tolist()
    for stage in ("measure", "draw"):
        assert stage not in done[2]  # both fits were finished
    assert done[2].count("deal") == 3  # the killed one wrote a shard, and it was not redone
    for stage in ("deal", "gather", "propose", "withdraw"):
        assert stage not in done[-1]


def test_shards_that_are_missing_cut_off_or_not_finished_are_named(tmp_path):
    points = mixture(30, 4, 3)
    write_shards(tmp_path, points, (10, 20))
    shard, record = tmp_path / "part-00001.parquet", tmp_path / "_features.json"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-5])
    with pytest.raises(DataError, match=r"part-00001.parquet: .* bytes where _features.json says"):
        open_shards(str(tmp_path))
    shard.unlink()
    with pytest.raises(DataError, match=r"part-00001.parquet: missing"):
        open_shards(str(tmp_path))
    shard.write_bytes(whole)
    said = json.loads(record.read_text())
    record.write_text(json.dumps({**said, "width": 5}))
    with pytest.raises(DataError, match=r"part-00000.parquet: features of type .* says width 5"):
        open_shards(str(tmp_path)).read(0)
    record.unlink()
    with pytest.raises(DataError, match=r"_features.json: not there"):
        open_shards(str(tmp_path))


def test_a_shard_that_is_replaced_meanwhile_is_named(cluster, tmp_path):
    shards = write_shards(tmp_path / "shards", mixture(30, 4, 3), (10, 20))
    write_shards(tmp_path / "shards", mixture(30, 4, 3, seed=1), (10, 20))
    with pytest.raises(DataError, match=r"part-0000\d.parquet: replaced since the"):
        select_shards(shards, 5, OnRay(cluster), scratch=str(tmp_path / "work"), k=3)


def test_a_place_where_one_may_not_write_or_read_is_named(shards, bucket, tmp_path):
    bucket.put_folder(Path(shards.store.root), "features/")
    there = open_shards(f"{bucket.address}/features")
    with nobody_may():
        denied = rf"^{bucket.address}/\S+: .*you may not read or write there"
        with pytest.raises(StoreError, match=denied):
            open_shards(there.store.root)
        with pytest.raises(StoreError, match=denied):
            select_shards(there, 5, InProcess(), scratch=str(tmp_path), k=3)
        with pytest.raises(StoreError, match=denied):
            select_shards(shards, 5, InProcess(), scratch=f"{bucket.address}/work", k=3)


def test_a_row_that_is_not_finite_is_named_from_a_worker(cluster, tmp_path):
    points = mixture(30, 4, 3)
    points[17, 2] = float("nan")
    shards = write_shards(tmp_path / "shards", points, (10, 20))
    with pytest.raises(DataError, match=r"part-00001.parquet: row 8 holds NaN"):
        select_shards(shards, 5, OnRay(cluster), scratch=str(tmp_path / "work"), k=3)


def fill_up():
    """As Ray does in a worker whose result does not fit."""
    import ray

    raise ray.exceptions.ObjectStoreFullError("no room")


def too_much():
    """More memory than there is."""
    return np.empty(1 << 60, np.uint8).sum()


def full_disk():
    """As a worker's disk that is full."""
    raise OSError(errno.ENOSPC, "No space left on device", "work/dealt/3")


def test_full_stores_memories_and_disks_are_said_in_one_line_here_and_from_a_worker(cluster):
    def told(task, match, kind=ClusterError):
        with pytest.raises(kind, match=match):
            list(OnRay(cluster).map(task, [()], label="deal"))

    said = r"^deal: the cluster's object store is full\. Give it more room"
    told(fill_up, said)
    with pytest.raises(ClusterError, match=said), reporting(cluster, "deal"):
        fill_up()
    told(too_much, r"^deal: a worker had no memory left \(.*\)\. Start the cluster with fewer")
    told(full_disk, r"^\[Errno 28\] No space left on device: 'work/dealt/3'$", OSError)
    lost = cluster.ray.exceptions.OutOfMemoryError("killed")
    with (
        pytest.raises(ClusterError, match="ran out of memory 5 times"),
        reporting(cluster, "deal"),
    ):
        raise lost


def test_an_address_where_nobody_listens_is_refused_at_once(monkeypatch):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        port = taken.getsockname()[1]
        monkeypatch.setattr("ray.is_initialized", lambda: False)
        refused = pytest.raises(ClusterError, match=rf"127.0.0.1:{port}: no Ray cluster there")
        with refused, connect(f"127.0.0.1:{port}"):
            pass


def test_a_host_that_does_not_reach_a_place_is_named(cluster, tmp_path):
    (tmp_path / "file").touch()
    check_reached(cluster, Store(str(tmp_path)), "file")
    folder = os.open(tmp_path, os.O_RDONLY)
    own = fcntl.fcntl(folder, fcntl.F_DUPFD, 700)  # a name for the folder in this process alone
    place = Store(f"/proc/self/fd/{own}")
    assert place.has("file")
    with pytest.raises(ClusterError, match=rf": does not reach {place.root}/file\. Every host"):
        check_reached(cluster, place, "file")
    os.close(own)
    os.close(folder)


def test_another_version_of_ray_here_is_named_with_both(several_hosts, shards, tmp_path):
    code = """
        import sys, ray
        from usl.cli.app import main
        ray.__version__ = "2.1.0"
        where = ["--engine", "ray", "--address", sys.argv[2], "--out", sys.argv[3]]
        sys.exit(main(["select", sys.argv[1], "--budget", "5", *where]))
    """
    given = [shards.store.root, several_hosts.address, str(tmp_path / "run")]
    command = [sys.executable, "-c", textwrap.dedent(code), *given]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    said = r"Version mismatch: The cluster was started with: Ray: [\d.]+ Python: .* Ray: 2\.1\.0 "
    assert re.search(said + r".*Install the same versions on every host\.$", told.stderr.strip())


def test_a_host_with_another_version_of_usl_is_named(hosts, cluster, tmp_path):
    source = Path(usl.__file__).parent
    for folder, name in ((tmp_path / "usl", ""), (tmp_path / "usl" / "core", "core")):
        folder.mkdir()
        for one in (source / name).iterdir():
            if one.name not in ("core", "version.py", "__pycache__"):
                (folder / one.name).symlink_to(one)
    (tmp_path / "usl" / "core" / "version.py").write_text('__version__ = "0.0.1"\n')
    other = hosts.add(env_vars={"PYTHONPATH": str(tmp_path)})
    said = rf": usl 0\.0\.1 there, and {re.escape(usl.__version__)} here\. On every host: pip"
    with pytest.raises(ClusterError, match=said), connect(hosts.address):
        pass
    for name in [one.node_id for one in hosts.inner.worker_nodes if one is not other]:
        hosts.remove(name)
    with pytest.raises(ClusterError, match=said):  # as if it had joined in the middle of the work
        list(OnRay(cluster).map(abs, [(1,)]))
    hosts.remove(other.node_id)
