"""Where tasks run: in this process, or on Ray. A task is a plain function that makes a file.

Tasks get addresses and small values, and give small values back: tables never travel. Results come
in the order of the tasks, so that nothing depends on who was faster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from usl.core.errors import StoreError, UslError
from usl.core.progress import Progress, silent
from usl.core.version import __version__
from usl.engine.cluster import Cluster, ClusterError, check_led_by, on_every_host
from usl.engine.store import Store
from usl.numeric.blocks import one_blas_thread

RETRIES = 5  # of a task whose worker or host was lost
AHEAD = 2  # tasks per core that are handed out at a time
AWAITED = 64  # and that wait for an earlier one, of a host that is slow or lost


class Executor(Protocol):
    """Runs tasks."""

    def map(
        self,
        task: Callable[..., Any],
        items: Sequence[tuple[Any, ...]],
        *,
        progress: Progress = silent,
        label: str = "",
    ) -> Iterator[Any]:
        """``task(*item)`` for each of ``items``, in their order."""


def alone(task: Callable[..., Any], *item: Any) -> Any:
    """``task(*item)`` on one BLAS thread: products round differently on several."""
    with one_blas_thread():
        return task(*item)


def led(version: str, task: Callable[..., Any], *item: Any) -> Any:
    """``alone(task, *item)`` in a worker, for a process of this ``version`` of usl."""
    check_led_by(version)
    return alone(task, *item)


@dataclass(frozen=True)
class InProcess:
    """One task after the other, in this process."""

    def map(
        self,
        task: Callable[..., Any],
        items: Sequence[tuple[Any, ...]],
        *,
        progress: Progress = silent,
        label: str = "",
    ) -> Iterator[Any]:
        """See :meth:`Executor.map`."""
        for done, item in enumerate(items, 1):
            yield alone(task, *item)
            progress(done, len(items), label)


@dataclass(frozen=True)
class OnRay:
    """On the workers of a cluster; a task whose worker is lost runs again, on another."""

    cluster: Cluster

    def map(
        self,
        task: Callable[..., Any],
        items: Sequence[tuple[Any, ...]],
        *,
        progress: Progress = silent,
        label: str = "",
    ) -> Iterator[Any]:
        """See :meth:`Executor.map`.

        Raises :class:`ClusterError` for a task whose workers were lost again and again.
        """
        ray = self.cluster.ray
        remote = ray.remote(led).options(num_cpus=1, max_retries=RETRIES, name=label or "task")
        cores = self.cluster.cores
        waiting: deque[Any] = deque()  # in their order
        running: list[Any] = []
        begun = done = 0
        try:
            while done < len(items):
                while begun < len(items) and (
                    len(running) < AHEAD * cores and len(waiting) < AWAITED * cores
                ):
                    waiting.append(remote.remote(__version__, task, *items[begun]))
                    running.append(waiting[-1])
                    begun += 1
                _, running = ray.wait(running) if running else ([], [])
                while waiting and waiting[0] not in running:
                    yield self._result(waiting.popleft(), label)
                    done += 1
                    progress(done, len(items), label)
        finally:
            for one in waiting:
                ray.cancel(one, force=True)

    def start(
        self, task: Callable[..., Any], item: tuple[Any, ...], *, label: str
    ) -> Callable[[], Any]:
        """Start ``task(*item)``, which takes no core to speak of; what waits for its result."""
        remote = self.cluster.ray.remote(led).options(num_cpus=0, max_retries=RETRIES)
        reference = remote.remote(__version__, task, *item)
        return lambda: self._result(reference, label)

    def _result(self, reference: Any, label: str) -> Any:
        with reporting(self.cluster, label):
            return self.cluster.ray.get(reference)


def check_reached(cluster: Cluster, store: Store, name: str) -> None:
    """:class:`ClusterError` naming a host that does not see the file ``name``, which is there."""
    ray = cluster.ray
    for host, answer in on_every_host(ray, led, __version__, store.has, name):
        try:
            with reporting(cluster, host):
                reached = ray.get(answer)
        except StoreError as error:
            raise ClusterError(f"{host}: {error}") from error
        if not reached:
            raise ClusterError(
                f"{host}: does not reach {store.where(name)}. Every host needs it under the same "
                "name: a folder that all share, or an address."
            )


@contextmanager
def reporting(cluster: Cluster, label: str) -> Iterator[None]:
    """Within, errors of ours and of disks come out of a task as they are; Ray's own as one line."""
    ray = cluster.ray
    full = ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError
    try:
        yield
    except (ray.exceptions.RayTaskError, MemoryError, *full) as error:
        cause = getattr(error, "cause", error)
        if isinstance(cause, UslError | OSError):  # of a disk, perhaps
            raise cause from error
        if isinstance(cause, MemoryError):
            raise ClusterError(
                f"{label}: a worker had no memory left ({cause}). Start the cluster with fewer "
                "cores per host (ray start --num-cpus), or make smaller shards (usl embed "
                "--shard-images)."
            ) from error
        if not isinstance(cause, full):
            raise
        raise ClusterError(
            f"{label}: the cluster's object store is full. Give it more room "
            "(ray start --object-store-memory), or free the disk it spills to."
        ) from error
    except ray.exceptions.OutOfMemoryError as error:
        raise ClusterError(
            f"{label}: a worker ran out of memory {RETRIES} times. Start the cluster with "
            "fewer cores per host (ray start --num-cpus), or on hosts with more memory."
        ) from error
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"{label}: its worker was lost {RETRIES} times ({type(error).__name__}). Look "
            "after the hosts (ray status), and run the same command again: it goes on."
        ) from error
