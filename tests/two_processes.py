"""Work done by two processes of one gloo group."""

from __future__ import annotations

import os
import socket

import pytest

torch = pytest.importorskip("torch")

dist = torch.distributed
needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="needs gloo"
)


def on_two_processes(work, folder, *, group=True):
    """What ``work(number)``, a function of a module, returns on process 0 and on process 1.

    It finds a process group, or without ``group`` the environment from which Fabric makes one.
    """
    try:
        _spawn(work, folder, group)
    except torch.multiprocessing.ProcessExitedException as death:
        if death.signal_name is None:
            raise
        # Threads of gloo now and then abort a process; nothing of ours does, so once is enough.
        folder = folder / "again"
        folder.mkdir()
        _spawn(work, folder, group)
    return [torch.load(folder / f"{number}.pt") for number in range(2)]


def _spawn(work, folder, group):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_process, (work, folder, group, port), nprocs=2)


def _process(number, work, folder, group, port):
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ |= {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "GROUP_RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }
    if group:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=2
        )
    torch.save(work(number), folder / f"{number}.pt")
    dist.barrier()
    os._exit(0)  # not by the interpreter's end, where gloo's threads may abort the process
