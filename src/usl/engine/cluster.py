"""A Ray cluster: one at an address, or one of this machine's cores."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from usl.core.errors import UsageError, UslError, missing_extra
from usl.core.version import __version__
from usl.numeric.blocks import thread_count

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


PATIENCE = 10  # seconds for a connection


class ClusterError(UslError):
    """A cluster that cannot be reached, or that cannot do what is asked of it."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that is connected: the module ``ray``, and how many ``cores`` it has."""

    ray: Any
    cores: int


@contextmanager
def connect(address: str | None = None, *, cores: int | None = None) -> Iterator[Cluster]:
    """Connect to the cluster at ``address``, or start one of this machine, until the block ends.

    ``cores`` : of a cluster on this machine; by default all that this process may use. One that
    this process is connected to already is used, and left as it is.

    Raises
    ------
    MissingDependencyError
        Ray is not installed.
    ClusterError
        no cluster at the address, or one with another version of Ray, Python or usl.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise missing_extra("ray", "ray", "--engine ray") from error
    if ray.is_initialized():
        yield _checked(ray, address)
        return
    how: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        how |= {"num_cpus": cores or thread_count(), "include_dashboard": False}
        address = "local"
    else:
        _check_reachable(address)
    try:
        ray.init(address, **how)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError) as error:
        raise _refusal(address, error) from error
    # A lost host would be told on the standard output, by a page of Ray's own log.
    ray._private.worker._worker_logs_enabled = False
    try:
        yield _checked(ray, address)
    finally:
        ray.shutdown()


def check_version(host: str, theirs: str, ours: str = __version__) -> None:
    """:class:`ClusterError` where a host has another version of usl than who leads the work."""
    if theirs != ours:
        raise ClusterError(f"{host}: usl {theirs} there, and {ours} here. {_same(ours)}")


def check_led_by(version: str) -> None:
    """In a worker, as :func:`check_version`: its host may have joined after the others."""
    if version != __version__:
        import ray.util

        host: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        check_version(host, __version__, version)


def check_engine(engine: str, address: str | None) -> str:
    """The engine; :class:`UsageError` for an unknown one, or an address without a cluster."""
    if engine not in ("local", "ray"):
        raise UsageError(f"engine: {engine!r} given; it is 'local' or 'ray'.")
    if address is not None and engine != "ray":
        raise UsageError("address: of a cluster, which only --engine ray has.")
    return engine


def on_every_host(ray: Any, function: Callable[..., Any], *given: Any) -> list[tuple[str, Any]]:
    """Start ``function(*given)`` on every host that is there: its address, and the reference."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    started = []
    for node in ray.nodes():
        if node["Alive"]:
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            remote = ray.remote(function).options(scheduling_strategy=here, num_cpus=0)
            started.append((node["NodeManagerAddress"], remote.remote(*given)))
    return started


def _checked(ray: Any, address: str | None) -> Cluster:
    """The cluster, once every host has shown that it runs the same usl."""

    def version() -> str:
        from usl.core.version import __version__ as theirs

        return theirs

    for host, answer in on_every_host(ray, version):
        try:
            check_version(host, ray.get(answer))
        except ray.exceptions.RayTaskError as error:
            raise ClusterError(
                f"{host}: usl {__version__} is not installed there ({_line(error.cause)}). "
                f"{_same(__version__)}"
            ) from error
        except ray.exceptions.RayError:
            continue  # lost since it was listed
    cores = int(ray.cluster_resources().get("CPU", 0))
    if not cores:
        raise ClusterError(f"{address}: a cluster without cores. Add a host: ray start --address.")
    return Cluster(ray, cores)


def _check_reachable(address: str) -> None:
    """:class:`ClusterError` where nobody listens: Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # auto, or a name that Ray knows
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except OSError as error:
        raise _refusal(address, error) from error


def _refusal(address: str, error: Exception) -> ClusterError:
    said = _line(error)
    if "ersion" in said:
        return ClusterError(f"{address}: {said} Install the same versions on every host.")
    return ClusterError(
        f"{address}: no Ray cluster there ({said}). Start one: ray start --head, and give the "
        "address that it prints; or leave --address out for this machine."
    )


def _same(version: str) -> str:
    return f"On every host: pip install 'usl[ray]=={version}'."


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
