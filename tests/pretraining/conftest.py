"""A network small enough for many steps, and batches of noise for it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from students import Tiny  # noqa: E402


@pytest.fixture(autouse=True)
def on_one_thread(one_thread):
    """In all tests of this folder."""


class Driver:
    """The loop in a few lines: one batch per step, plain SGD."""

    def __init__(self, task, batch=4):
        self.task, self.batch = task.train(), batch
        trained = [p for p in task.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=0.1)

    def views(self, step):
        generator = torch.Generator().manual_seed(1000 + step)
        images = torch.randint(0, 256, (self.batch, 3, 8, 8), generator=generator).byte()
        with torch.no_grad():
            return self.task.views({"images": images}, generator)

    def step(self, step):
        loss, figures = self.task(self.views(step))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.task.after_step()
        return loss.detach(), figures


def trees_equal(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def check_round_trip(make, **driver):
    """After three steps, a new task with the old one's state makes the same fourth, to the bit."""
    kept = Driver(make(seed=0), **driver)
    for step in range(3):
        kept.step(step)
    renewed = Driver(make(seed=5), **driver)
    assert not trees_equal(kept.task.state_dict(), renewed.task.state_dict())
    renewed.task.load_state_dict({k: v.clone() for k, v in kept.task.state_dict().items()})
    losses = [each.step(3)[0] for each in (kept, renewed)]
    assert torch.equal(*losses)
    assert trees_equal(kept.task.state_dict(), renewed.task.state_dict())


@pytest.fixture
def tiny():
    return Tiny


@pytest.fixture
def drive():
    return Driver


@pytest.fixture
def round_trip():
    return check_round_trip


@pytest.fixture
def draws():
    """Seeded float64 rows: draws(seed, n, d)."""

    def make(seed, *shape):
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return make
