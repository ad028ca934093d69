"""FixMatch through the real loop: two processes with half a batch each, against one with all."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from two_processes import needs_gloo, on_two_processes  # noqa: E402
from usl.learning.augment import Plain  # noqa: E402
from usl.learning.batches import part_of  # noqa: E402
from usl.learning.loop import run_loop  # noqa: E402
from usl.learning.loop_options import LoopOptions  # noqa: E402
from usl.learning.optim import Optimizer  # noqa: E402
from usl.training.networks import fixmatch  # noqa: E402

STEPS, BATCH, RATIO = 5, 8, 3


class Grouped(torch.nn.Module):
    """8x8 pictures to 12 features; group normalisation, which knows no batch."""

    dim, size = 12, 8

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 12, 3)
        self.normalisation = torch.nn.GroupNorm(3, 12)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.convolution.parameters():
                parameter.normal_(std=0.3, generator=generator)

    def forward(self, images):
        return self.normalisation(self.convolution(images)).relu().mean((2, 3))


def batches(step, rank, ranks):
    generator = torch.Generator().manual_seed(step)
    images = torch.randint(0, 256, (BATCH, 3, 8, 8), dtype=torch.uint8, generator=generator)
    others = torch.randint(0, 256, (BATCH * RATIO, 3, 8, 8), dtype=torch.uint8, generator=generator)
    mine = part_of(torch.arange(BATCH).numpy(), rank, ranks)
    theirs = part_of(torch.arange(BATCH * RATIO).numpy(), rank, ranks)
    return {
        "images": images[mine],
        "classes": (images.float().mean((1, 2, 3)) > 127).long()[mine],
        "weights": torch.ones(BATCH)[mine],
        "rows": torch.from_numpy(mine),
        "unlabeled": others[theirs],
        "unlabeled_rows": torch.from_numpy(theirs),
    }


def trained():
    torch.set_num_threads(1)
    task = fixmatch.build(Grouped(), 2, tau=0.5)
    task.weak = task.strong = Plain(8)  # draws differ by process; these draw nothing
    records = run_loop(
        task,
        batches,
        steps=STEPS,
        optimizer=Optimizer("sgd", lr=0.3, nesterov=True),
        seed=0,
        options=LoopOptions(device="cpu", precision="32"),
        log_every=1,
    )
    return task.state_dict(), [record["above_tau"] for record in records]


def work(number):
    return trained()


@needs_gloo
def test_two_processes_train_what_one_trains(tmp_path):
    (one, _), (two, _) = on_two_processes(work, tmp_path, group=False)
    whole, counted = trained()
    assert max(counted) > 0  # pseudo-labels took part
    start = fixmatch.build(Grouped(), 2).state_dict()
    for name, value in whole.items():
        assert torch.equal(one[name], two[name])
        torch.testing.assert_close(one[name], value, atol=1e-5, rtol=1e-5)
    assert any((whole[name].float() - start[name].float()).abs().max() > 1e-2 for name in whole)
