"""A network small enough for many steps, and the loop around a semi-supervised method."""

from __future__ import annotations

import torch


class Tiny(torch.nn.Module):
    """8x8 pictures to 6 features, with batch normalisation."""

    dim, size = 6, 8

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.convolution = torch.nn.Conv2d(3, 6, 3)
        self.normalisation = torch.nn.BatchNorm2d(6)
        with torch.no_grad():
            for parameter in self.convolution.parameters():
                parameter.normal_(generator=generator)

    def forward(self, images):
        return self.normalisation(self.convolution(images)).relu().mean((2, 3))


class Loop:
    """Labelled and unlabelled noise for a method, and its steps with plain SGD."""

    def __init__(self, task, *, labeled=4, ratio=2, images=20, steps=10, classes=3, lr=0.1):
        self.task, self.labeled, self.ratio = task.train(), labeled, ratio
        self.images, self.classes = images, classes
        task.prepare(images=images, unlabeled=images, steps=steps)
        trained = [p for p in task.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=lr)

    def batch(self, step):
        generator = torch.Generator().manual_seed(1000 + step)

        def pictures(count):
            return torch.randint(0, 256, (count, 3, 8, 8), generator=generator).byte()

        def numbers(count, below):
            return torch.randint(0, below, (count,), generator=generator)

        batch = {
            "images": pictures(self.labeled),
            "classes": numbers(self.labeled, self.classes),
            "weights": torch.ones(self.labeled),
            "rows": numbers(self.labeled, self.images),
        }
        if self.ratio:
            batch["unlabeled"] = pictures(self.labeled * self.ratio)
            batch["unlabeled_rows"] = numbers(self.labeled * self.ratio, self.images)
        return batch

    def views(self, step):
        with torch.no_grad():
            return self.task.views(self.batch(step), torch.Generator().manual_seed(step))

    def step(self, step):
        loss, figures = self.task(self.views(step))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.task.after_step()
        return loss.detach(), figures


def state_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def check_round_trip(make, after=3, lr=0.01, **loop):
    """After some steps, a new task with the old one's state makes the same next, to the bit."""
    kept = Loop(make(0), lr=lr, **loop)
    for step in range(after):
        kept.step(step)
    renewed = Loop(make(5), lr=lr, **loop)
    assert not same(kept.task.state_dict(), renewed.task.state_dict())
    renewed.task.load_state_dict(state_of(kept.task))
    losses = [each.step(after)[0] for each in (kept, renewed)]
    assert torch.equal(*losses)
    assert same(kept.task.state_dict(), renewed.task.state_dict())


def gradient_of(loss, logits):
    """The value of a loss and its gradient at some logits."""
    point = logits.clone().requires_grad_()
    value = loss(point)
    (gradient,) = torch.autograd.grad(value, point)
    return value.item(), gradient
