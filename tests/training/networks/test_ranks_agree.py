"""What the successors of FixMatch remember is the same on every process, and of all images."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from students import Tiny  # noqa: E402
from two_processes import needs_gloo, on_two_processes  # noqa: E402
from usl.training.networks import debiaspl, flexmatch, freematch, softmatch  # noqa: E402

MADE = {
    "flexmatch": lambda: flexmatch.build(Tiny(), 3, tau=0.5),
    "freematch": lambda: freematch.build(Tiny(), 3, momentum=0.5),
    "softmatch": lambda: softmatch.build(Tiny(), 3, momentum=0.5, align=True),
    "debiaspl": lambda: debiaspl.build(Tiny(), 3, momentum=0.5),
}


def remembered(number, processes):
    """Buffers of every method after two steps on one process's share of eight images."""
    found = {}
    for name, make in MADE.items():
        task = make()
        task.prepare(images=10, unlabeled=10, steps=2)
        for step in range(2):
            generator = torch.Generator().manual_seed(step)
            weak = 2 * torch.randn(8, 3, generator=generator)
            rows = torch.randperm(10, generator=generator)[:8]
            weak, rows = (whole.chunk(processes)[number] for whole in (weak, rows))
            task.consistency(weak, torch.zeros_like(weak), {"rows": rows})
            with torch.no_grad():
                task.after_step()
        own = {k: v for k, v in task.state_dict().items() if k == "learned" or ".value" in k}
        found.update({f"{name}.{key}": value for key, value in own.items()})
    return found


def work(number):
    return remembered(number, 2)


@needs_gloo
def test_two_processes(tmp_path):
    alone = remembered(0, 1)
    assert len(alone) == 8
    for found in on_two_processes(work, tmp_path):
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(found[name], value, msg=name)
