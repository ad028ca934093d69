"""Several hosts on one machine: a head without cores, and others of one core that get lost."""

from __future__ import annotations

import os
import signal
import threading
import uuid

DEATH = {  # a raylet that is killed is given up after a second, one that is slow is not
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 200,
    "health_check_timeout_ms": 10_000,
    "health_check_failure_threshold": 5,
}
STORE = 80 << 20  # bytes of a host's object store, the least that Ray takes


class Hosts:
    """A Ray cluster of a head and of ``wanted`` hosts of one core."""

    def __init__(self, wanted=2):
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": DEATH}
        self.inner = Cluster(True, head_node_args={**head, "object_store_memory": STORE})
        self.address = self.inner.address
        self.complete(wanted)

    def add(self, **how):
        """Start a host."""
        node = self.inner.add_node(**{"num_cpus": 1, "object_store_memory": STORE, **how})
        # A raylet that is killed lives on for its workers until its parent, here, takes notice.
        raylet = node.all_processes["raylet"][0].process
        threading.Thread(target=raylet.wait, daemon=True).start()
        return node

    def complete(self, wanted=2, wait=True):
        """Have ``wanted`` hosts again, or let them start."""
        for node in list(self.inner.worker_nodes):
            if not node.remaining_processes_alive():
                self.inner.remove_node(node)
        while len(self.inner.worker_nodes) > wanted:
            self.inner.remove_node(next(iter(self.inner.worker_nodes)))
        while len(self.inner.worker_nodes) < wanted:
            self.add(wait=wait)
        if wait:
            self.inner.wait_for_nodes()

    def remove(self, name):
        """Kill all processes of the host of this id."""
        (node,) = (one for one in self.inner.worker_nodes if one.node_id == name)
        self.inner.remove_node(node, allow_graceful=False)


class Losing:
    """An executor that loses a host once in every kind of task, while one of the kind runs.

    ``lost`` tells for each kind what of the host: its ``raylet`` alone, or the ``host``, all its
    processes; kinds that it lacks lose nothing. ``folder`` gets a file for every task that ran.
    """

    def __init__(self, inner, hosts, folder, lost):
        self.inner, self.hosts, self.folder, self.lost = inner, hosts, folder, lost
        self.wanted = {}
        (folder / "ran").mkdir()
        os.mkfifo(folder / "removed")
        threading.Thread(target=self._remove, daemon=True).start()

    def map(self, task, items, **how):
        """See :meth:`usl.engine.executor.Executor.map`."""
        self.hosts.complete(wait=False)
        kind = task.__name__
        self.wanted[kind] = self.wanted.get(kind, 0) + len(items)
        about = str(self.folder), self.lost.get(kind), task
        return self.inner.map(lose_host, [(*about, *item) for item in items], **how)

    def _remove(self):
        """Remove each host whose name comes out of the pipe."""
        while True:
            with open(self.folder / "removed") as pipe:
                for line in pipe:
                    self.hosts.remove(line.strip())

    def repeated(self):
        """How many tasks of each kind ran once more than there were."""
        ran = [file.name.partition("-")[0] for file in (self.folder / "ran").iterdir()]
        return {kind: ran.count(kind) - wanted for kind, wanted in self.wanted.items()}


def lose_host(folder, what, task, *item):
    """``task(*item)``; the host of the first of each kind is lost when its work is done."""
    result = task(*item)
    mark(folder, what, task.__name__)
    return result


def mark(folder, what, kind):
    """Note that a task of this kind has run; the first of the kind loses its host."""
    open(f"{folder}/ran/{kind}-{uuid.uuid4()}", "x").close()
    if what is None:
        return
    try:
        os.close(os.open(f"{folder}/{kind}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    if what == "raylet":
        os.kill(os.getppid(), signal.SIGKILL)
    else:
        import ray

        with open(f"{folder}/removed", "w") as pipe:
            pipe.write(ray.get_runtime_context().get_node_id() + "\n")
    while True:
        signal.pause()  # until the end of the host reaches this process
