"""Two processes with half of the images each, against one process with all of them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from two_processes import needs_gloo, on_two_processes  # noqa: E402
from usl.pretraining.methods.moco import MomentumContrast  # noqa: E402
from usl.pretraining.methods.simclr import nt_xent  # noqa: E402

STEPS, IMAGES, WIDTH = 3, 4, 5  # images on each process


def network():
    layer = torch.nn.Linear(7, WIDTH)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(3))
    return layer


def inputs(step):
    """Both views of the images of both processes, [2, processes * images, 7]."""
    generator = torch.Generator().manual_seed(step)
    first = torch.randn(2 * IMAGES, 7, generator=generator)
    return torch.stack([first, first + torch.randn(first.shape, generator=generator)])


def simclr(layer, views):
    loss, accuracy = nt_xent(*layer(views.flatten(0, 1)).chunk(2), 0.3)
    loss.backward()
    return {"loss": loss.detach(), "accuracy": accuracy}


def moco(layer, mine):
    """The queue after some steps and wrapping around, and the loss of each step."""
    contrast = MomentumContrast(
        layer,
        width=WIDTH,
        queue=4 * IMAGES,
        momentum=0.5,
        temperature=0.2,
        bn="plain",
        splits=8,
        generator=torch.Generator().manual_seed(0),
    )
    losses = []
    for step in range(STEPS):
        first, second = mine(inputs(step))
        with torch.no_grad():
            losses.append(contrast(layer(first), contrast.keys(second))[0])
            layer.weight.add_(0.1)
            contrast.after_step(layer)
    return {"queue": contrast.queue.state_dict(), "losses": torch.stack(losses)}


def work(number):
    def mine(views):
        return views[:, number * IMAGES : (number + 1) * IMAGES]

    wrapped = torch.nn.parallel.DistributedDataParallel(network())
    found = simclr(wrapped, mine(inputs(0)))
    found["gradients"] = [parameter.grad for parameter in wrapped.parameters()]
    found |= moco(network(), mine)
    return found


@needs_gloo
def test_two_processes(tmp_path):
    one, two = on_two_processes(work, tmp_path)

    alone = network()
    expected = simclr(alone, inputs(0))
    for name in ("loss", "accuracy"):
        torch.testing.assert_close((one[name] + two[name]) / 2, expected[name])
    for mine, theirs, whole in zip(
        one["gradients"], two["gradients"], alone.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)
        assert whole.grad.abs().max() > 0.01
        torch.testing.assert_close(mine, whole.grad, atol=1e-5, rtol=1e-5)

    single = moco(network(), lambda views: views)
    for name, value in single["queue"].items():
        assert torch.equal(one["queue"][name], two["queue"][name])
        torch.testing.assert_close(one["queue"][name], value)
    assert single["queue"]["pushed"] == STEPS * 2 * IMAGES
    torch.testing.assert_close((one["losses"] + two["losses"]) / 2, single["losses"])
