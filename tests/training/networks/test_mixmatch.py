from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from students import Tiny  # noqa: E402
from usl.core.errors import UsageError  # noqa: E402
from usl.training.contract import NETWORKS  # noqa: E402
from usl.training.networks import mixmatch  # noqa: E402
from usl.training.shared.student import labeled_loss  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
CLASSES = 3


def make(seed=0, **options):
    return mixmatch.build(Tiny(seed), CLASSES, **{"seed": seed, "ramp": 4, **options}).train()


def batch(step, labeled=4, unlabeled=5):
    generator = torch.Generator().manual_seed(100 + step)

    def pictures(count):
        return torch.randint(0, 256, (count, 3, 8, 8), generator=generator).byte()

    return {
        "images": pictures(labeled),
        "classes": torch.randint(0, CLASSES, (labeled,), generator=generator),
        "weights": torch.rand(labeled, generator=generator),
        "unlabeled": pictures(unlabeled),
    }


def views(task, step, **sizes):
    with torch.no_grad():
        return task.views(batch(step, **sizes), torch.Generator().manual_seed(step))


def draws(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def softmax(row):
    powers = [torch.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def test_losses_and_gradients():
    logits, targets = 2 * draws(0, 5, CLASSES), draws(1, 5, CLASSES).abs()
    for loss, each, parts in (
        (mixmatch.soft_cross_entropy, lambda p, t: -t * torch.log(p), 5),
        (mixmatch.squared_error, lambda p, t: (p - t) ** 2, 5 * CLASSES),
    ):
        found, wanted = (logits.clone().requires_grad_() for _ in range(2))
        total = sum(
            each(p, t)
            for row, target in zip(wanted, targets, strict=True)
            for p, t in zip(softmax(row), target, strict=True)
        )
        value = loss(found, targets)
        torch.testing.assert_close(value, total / parts, atol=1e-9, rtol=1e-9)
        value.backward()
        (total / parts).backward()
        torch.testing.assert_close(found.grad, wanted.grad, atol=1e-9, rtol=1e-9)


def test_sharpening():
    first, second = 2 * draws(0, 4, CLASSES), 2 * draws(1, 4, CLASSES)
    found = mixmatch.sharpened(first, second, 0.4)
    for row, one, two in zip(found, first, second, strict=True):
        powers = [
            ((a + b) / 2) ** (1 / 0.4) for a, b in zip(softmax(one), softmax(two), strict=True)
        ]
        expected = torch.stack([power / sum(powers) for power in powers])
        torch.testing.assert_close(row, expected, atol=1e-9, rtol=1e-9)
    # p^(1/T) of 1,000 classes is below the smallest float32.
    flat = mixmatch.sharpened(torch.zeros(2, 1000), torch.zeros(2, 1000), 0.02)
    torch.testing.assert_close(flat, torch.full((2, 1000), 1e-3))


def test_everything_random_comes_from_the_generator():
    task = make()
    state = torch.get_rng_state()
    one, two, other = (
        task.views(batch(0), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(one[name], two[name]) for name in one)
    for name in ("first", "second", "partner", "share"):
        assert not torch.equal(one[name], other[name])
    assert not torch.equal(one["first"], one["second"])
    assert sorted(one["partner"].tolist()) == list(range(4 + 2 * 5))
    assert one["share"].shape == (14,)
    assert one["share"].dtype == torch.float32


@pytest.mark.parametrize("alpha", [0.75, 3.0])
def test_shares_are_of_the_beta_distribution(alpha):
    found = mixmatch.shares(20_000, alpha, torch.Generator().manual_seed(0)).double()
    assert 0.5 <= found.min() <= found.max() <= 1
    middles = (np.arange(200_000) + 0.5) / 200_000
    density = (middles * (1 - middles)) ** (alpha - 1)
    density /= density.sum()
    larger = np.maximum(middles, 1 - middles)
    mean = (density * larger).sum()
    assert found.mean().item() == pytest.approx(mean, abs=0.005)
    variance = (density * (larger - mean) ** 2).sum()
    assert found.var().item() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("unlabeled", [4, 7])
def test_the_loss_of_a_step(unlabeled):
    task = make(temperature=0.6, lam=3.0)
    task.steps += 3  # three quarters of the ramp
    seen = views(task, 0, unlabeled=unlabeled)
    seen["weights"][0] = 1
    classifier = copy.deepcopy(task.classifier)
    loss, figures = task(seen)
    loss.backward()

    # 1. Pictures, classes and weights one by one, guesses with the statistics of their batch.
    with torch.no_grad():
        logits = copy.deepcopy(classifier)(torch.cat([seen["first"], seen["second"]]))
    pictures, targets, weights = [], [], []
    for number in range(4):
        pictures.append(seen["labeled"][number])
        targets.append(np.eye(CLASSES)[seen["classes"][number]])
        weights.append(float(seen["weights"][number]))
    for name, offset in (("first", 0), ("second", unlabeled)):
        for number in range(unlabeled):
            ones, twos = (softmax(logits[i].double()) for i in (number, unlabeled + number))
            powers = [float((a + b) / 2) ** (1 / 0.6) for a, b in zip(ones, twos, strict=True)]
            pictures.append(seen[name][number])
            targets.append(np.array(powers) / sum(powers))
            weights.append(1.0)
        assert len(pictures) == 4 + offset + unlabeled
    # 2. Mix them.
    pairs = list(zip(seen["share"].tolist(), seen["partner"].tolist(), strict=True))
    images = torch.stack(
        [s * pictures[i] + (1 - s) * pictures[j] for i, (s, j) in enumerate(pairs)]
    )
    logits = classifier(images).double()
    # 3. Each label of a mixture by its own cross entropy and weight.
    supervised, unsupervised = 0.0, 0.0
    for i, (s, j) in enumerate(pairs):
        p = softmax(logits[i])
        for part, k in ((s, i), (1 - s, j)):
            if i < 4:
                entropy = -sum(float(t) * torch.log(q) for t, q in zip(targets[k], p, strict=True))
                supervised = supervised + part * weights[k] * entropy / 4
        if i >= 4:
            target = s * targets[i] + (1 - s) * targets[j]
            error = sum((q - float(t)) ** 2 for t, q in zip(target, p, strict=True))
            unsupervised = unsupervised + error / (CLASSES * 2 * unlabeled)
    total = supervised + 3.0 * 0.75 * unsupervised
    total.backward()
    assert figures["labeled_loss"].item() == pytest.approx(supervised.item(), rel=1e-5)
    assert figures["unlabeled_loss"].item() == pytest.approx(unsupervised.item(), rel=1e-5)
    assert loss.item() == pytest.approx(total.item(), rel=1e-5)
    for mine, theirs in zip(task.classifier.parameters(), classifier.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_without_mixing_labels_weigh_as_in_any_method():
    task = make()
    seen = views(task, 0)
    seen["share"] = torch.ones_like(seen["share"])
    classifier = copy.deepcopy(task.classifier)
    _, figures = task(seen)
    logits = classifier(torch.cat([seen["labeled"], seen["first"], seen["second"]]))[:4]
    expected = labeled_loss(logits, seen["classes"], seen["weights"])
    torch.testing.assert_close(figures["labeled_loss"], expected.detach())


def test_running_statistics_are_those_of_mixtures():
    task = make()
    seen = views(task, 0)
    task(seen)
    layer = task.classifier.backbone.normalisation
    pictures = torch.cat([seen["labeled"], seen["first"], seen["second"]])
    images = mixmatch.mixed(pictures, seen["partner"], seen["share"])
    maps = task.classifier.backbone.convolution(images)
    torch.testing.assert_close(layer.running_mean, 0.1 * maps.mean((0, 2, 3)).detach())
    assert layer.num_batches_tracked == 1
    assert layer.track_running_stats


def test_statistics_are_remembered_again_after_an_error():
    layer = torch.nn.BatchNorm1d(2)
    with pytest.raises(ValueError, match="more than 1"), mixmatch.still_statistics(layer):
        layer(torch.zeros(1, 2))
    assert layer.track_running_stats


def test_the_ramp():
    losses = []
    for step, ramp in ((0, 4), (1, 4), (4, 4), (9, 4), (0, 0)):
        task = make(ramp=ramp, lam=10.0)
        task.steps += step
        loss, figures = task(views(task, 0))
        added = (loss.detach() - figures["labeled_loss"]) / figures["unlabeled_loss"]
        losses.append(added.item())
    assert losses == pytest.approx([0, 2.5, 10, 10, 10], rel=1e-3, abs=1e-4)


def test_a_frozen_backbone_stays_as_it_is():
    task = make()
    task.freeze()
    task.train()
    before = copy.deepcopy(task.classifier.backbone.state_dict())
    task(views(task, 0))[0].backward()
    assert task.classifier.head.weight.grad.abs().max() > 0
    after = task.classifier.backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_decay_is_that_of_the_authors():
    """Adam, then weights (not biases) times 1 - 0.02 lr, against AdamW; 50 steps."""
    found, wanted = (torch.nn.Linear(3, 2) for _ in range(2))
    wanted.load_state_dict(found.state_dict())
    start = found.weight.detach().clone()
    mine = mixmatch.ADAM.build(found)
    theirs = torch.optim.Adam(wanted.parameters(), lr=0.002)
    plain = torch.nn.Linear(3, 2)
    plain.load_state_dict(found.state_dict())
    undecayed = torch.optim.Adam(plain.parameters(), lr=0.002)
    for step in range(50):
        rows = draws(step, 8, 3).float()
        for layer, optimizer in ((found, mine), (wanted, theirs), (plain, undecayed)):
            optimizer.zero_grad()
            layer(rows).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            wanted.weight.mul_(1 - 0.02 * 0.002)
    apart = (found.weight - wanted.weight).abs().max()
    assert apart < 1e-4 * (wanted.weight - start).abs().max()
    assert apart < 0.05 * (plain.weight - wanted.weight).abs().max()
    torch.testing.assert_close(found.bias, wanted.bias, atol=1e-5, rtol=1e-4)


def step(task, optimizer, number):
    loss, _ = task(views(task, number))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        task.after_step()
    return loss.detach()


def test_the_state_is_whole():
    def started(seed):
        task = make(seed)
        trained = [p for p in task.parameters() if p.requires_grad]
        return task, torch.optim.SGD(trained, lr=0.1)

    kept, renewed = started(0), started(5)
    for number in range(2):
        step(*kept, number)
    renewed[0].load_state_dict(copy.deepcopy(kept[0].state_dict()))
    losses = [step(*each, 2) for each in (kept, renewed)]
    assert torch.equal(*losses)
    one, two = (each[0].state_dict() for each in (kept, renewed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert kept[0].steps == 3
    head = kept[0].kept.head.weight
    assert not torch.equal(head, kept[0].classifier.head.weight)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"alpha": -1.0}, {"lam": -1.0}, {"ramp": -1}]
)
def test_parameters_out_of_range(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        NETWORKS.check("mixmatch", mixmatch, wrong)
