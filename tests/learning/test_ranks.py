from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")

from usl.learning.ranks import gather, rank, world_size  # noqa: E402

dist = torch.distributed


def test_identity_without_a_group():
    rows = torch.ones(3, 2, requires_grad=True)
    assert gather(rows) is rows
    assert (world_size(), rank()) == (1, 0)


def worker(number, folder):
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=2
    )
    own = (torch.arange(6.0).view(3, 2) + 10 * number).requires_grad_()
    everyone = gather(own.T)  # not contiguous
    # Process p weighs row i of the six by (p + 1) (i + 1).
    weights = (number + 1) * torch.arange(1.0, 5.0)[:, None]
    (everyone * weights).sum().backward()
    found = {"rows": everyone.detach(), "gradient": own.grad, "self": (rank(), world_size())}
    torch.save(found, f"{folder}/{number}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="needs gloo")
def test_two_processes(tmp_path):
    torch.multiprocessing.spawn(worker, (str(tmp_path),), nprocs=2)
    found = [torch.load(tmp_path / f"{number}.pt") for number in range(2)]
    base = torch.arange(6.0).view(3, 2).T
    for number in range(2):
        assert found[number]["self"] == (number, 2)
        assert torch.equal(found[number]["rows"], torch.cat([base, base + 10]))
        # Both processes' losses reach the own rows: weights 1 and 2 times the row's number.
        expected = 3 * torch.arange(1.0, 5.0).view(2, 2)[number]
        assert torch.equal(found[number]["gradient"], expected.expand(3, 2))
