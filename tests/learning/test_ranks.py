from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from two_processes import needs_gloo, on_two_processes  # noqa: E402
from usl.learning.ranks import gather, rank, world_size  # noqa: E402


def test_identity_without_a_group():
    rows = torch.ones(3, 2, requires_grad=True)
    assert gather(rows) is rows
    assert (world_size(), rank()) == (1, 0)


def work(number):
    own = (torch.arange(6.0).view(3, 2) + 10 * number).requires_grad_()
    everyone = gather(own.T)  # not contiguous
    # Process p weighs row i of the six by (p + 1) (i + 1).
    weights = (number + 1) * torch.arange(1.0, 5.0)[:, None]
    (everyone * weights).sum().backward()
    return {"rows": everyone.detach(), "gradient": own.grad, "self": (rank(), world_size())}


@needs_gloo
def test_two_processes(tmp_path):
    found = on_two_processes(work, tmp_path)
    base = torch.arange(6.0).view(3, 2).T
    for number in range(2):
        assert found[number]["self"] == (number, 2)
        assert torch.equal(found[number]["rows"], torch.cat([base, base + 10]))
        # Both processes' losses reach the own rows: weights 1 and 2 times the row's number.
        expected = 3 * torch.arange(1.0, 5.0).view(2, 2)[number]
        assert torch.equal(found[number]["gradient"], expected.expand(3, 2))
