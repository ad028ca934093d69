from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from students import Loop, Tiny, check_round_trip, gradient_of  # noqa: E402
from usl.training.networks import freematch  # noqa: E402


def written_out(strong, counted, expected, histogram):
    """The fairness loss class by class."""
    rows = [row.softmax(0) for row, use in zip(strong, counted, strict=True) if use]
    n = len(strong[0])
    hits = [sum(int(row.argmax()) == c for row in rows) for c in range(n)]
    a = [float(expected[c] / histogram[c]) for c in range(n)]
    b = [sum(row[c] for row in rows) / hits[c] if hits[c] else 0 for c in range(n)]
    return sum(a[c] / sum(a) * torch.log(b[c] / sum(b)) for c in range(n) if hits[c])


def test_fairness_loss_and_gradient():
    generator = torch.Generator().manual_seed(0)
    strong = 2 * torch.randn(9, 4, generator=generator, dtype=torch.float64)
    strong[:, 3] -= 9  # a class that nothing is taken for
    counted = torch.arange(9) % 3 > 0
    expected = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    histogram = torch.tensor([0.5, 0.2, 0.2, 0.1], dtype=torch.float64)
    found, slope = gradient_of(
        lambda z: freematch.fairness_loss(z, counted, expected, histogram), strong
    )
    wanted, reference = gradient_of(lambda z: written_out(z, counted, expected, histogram), strong)
    assert found == pytest.approx(wanted, abs=1e-9)
    torch.testing.assert_close(slope, reference, atol=1e-9, rtol=1e-9)
    assert slope.abs().max() > 0
    assert (slope[~counted] == 0).all()


def test_fairness_without_any_image():
    nothing = torch.zeros(5, dtype=torch.bool)
    even = torch.full((3,), 1 / 3)
    value, slope = gradient_of(
        lambda z: freematch.fairness_loss(z, nothing, even, even), torch.ones(5, 3)
    )
    assert value == 0
    assert (slope == 0).all()


def test_a_class_that_was_never_a_pseudo_label_does_no_harm():
    histogram = torch.tensor([1.0, 0.0])
    loss = freematch.fairness_loss(
        torch.tensor([[2.0, 0.0]]), torch.tensor([True]), torch.tensor([0.9, 0.1]), histogram
    )
    assert torch.isfinite(loss)


def test_steps_follow_the_definition():
    task = freematch.build(Tiny(), 3, momentum=0.8)
    loop = Loop(task, ratio=3, lr=0.05)
    tau, mean, histogram = 1 / 3, [1 / 3] * 3, [1 / 3] * 3
    for step in range(4):
        with torch.no_grad():
            _, weak, strong = task.logits(loop.views(step))
        p = weak.double().softmax(1).tolist()
        b = len(p)
        tau = 0.8 * tau + 0.2 * sum(max(row) for row in p) / b
        mean = [0.8 * mean[c] + 0.2 * sum(row[c] for row in p) / b for c in range(3)]
        votes = [sum(row.index(max(row)) == c for row in p) for c in range(3)]
        histogram = [0.8 * histogram[c] + 0.2 * votes[c] / b for c in range(3)]
        expected = 0.0
        for row, logits in zip(p, strong.double().tolist(), strict=True):
            best = row.index(max(row))
            if row[best] >= tau * mean[best] / max(mean):
                total = math.log(sum(math.exp(value) for value in logits))
                expected += (total - logits[best]) / b
        _, figures = loop.step(step)
        assert figures["unlabeled_loss"].item() == pytest.approx(expected, abs=1e-5)
        assert task.confidence.value.item() == pytest.approx(tau, abs=1e-6)
        assert task.expected.value.tolist() == pytest.approx(mean, abs=1e-6)
        assert task.histogram.value.tolist() == pytest.approx(histogram, abs=1e-6)


def test_fairness_is_a_choice():
    views = Loop(freematch.build(Tiny(), 3)).views(0)
    losses = {}
    for weight in (0.0, 0.5):
        _, figures = freematch.build(Tiny(), 3, fairness=weight).train()(views)
        losses[weight] = figures
    assert "fairness_loss" not in losses[0.0]
    assert losses[0.5]["unlabeled_loss"].item() == pytest.approx(
        losses[0.0]["unlabeled_loss"].item() + 0.5 * losses[0.5]["fairness_loss"].item(), abs=1e-5
    )


def test_the_state_is_all_there_is():
    check_round_trip(lambda seed: freematch.build(Tiny(seed), 3, seed=seed, fairness=0.05))
