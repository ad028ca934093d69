from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from students import Loop, Tiny, check_round_trip  # noqa: E402
from usl.training.networks import debiaspl, fixmatch  # noqa: E402


def softmax(logits):
    terms = [math.exp(value) for value in logits]
    return [term / sum(terms) for term in terms]


def test_steps_follow_the_definition():
    task = debiaspl.build(Tiny(), 3, tau=0.45, t=0.4, momentum=0.6)
    loop = Loop(task, ratio=3, lr=0.05)
    q = [1 / 3] * 3
    counted = 0
    for step in range(4):
        with torch.no_grad():
            _, weak, strong = task.logits(loop.views(step))
        weak, strong = weak.double().tolist(), strong.double().tolist()
        labels = []
        for row in weak:  # with q of the step before
            p = softmax([z - 0.4 * math.log(share) for z, share in zip(row, q, strict=True)])
            labels.append(p.index(max(p)) if max(p) >= 0.45 else None)
        told = [softmax(row) for row in weak]
        q = [0.6 * q[c] + 0.4 * sum(row[c] for row in told) / len(told) for c in range(3)]
        expected = 0.0
        for row, label in zip(strong, labels, strict=True):
            if label is not None:
                p = softmax([z + 0.4 * math.log(share) for z, share in zip(row, q, strict=True)])
                expected -= math.log(p[label]) / len(strong)
                counted += 1
        _, figures = loop.step(step)
        assert figures["unlabeled_loss"].item() == pytest.approx(expected, abs=1e-5)
        assert task.habit.value.tolist() == pytest.approx(q, abs=1e-6)
    assert 0 < counted < 48


def mean(rows, others):
    pairs = zip(rows, others, strict=True)
    return [[(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in pairs]


def test_two_pairs_and_the_group_loss_follow_the_release():
    """main_DebiasPL.py with --multiviews and --CLDLoss, in plain numbers."""
    task = debiaspl.build(Tiny(), 3, tau=0.5, momentum=0.6, pairs=2, group=0.3, lam=2.0)
    loop = Loop(task, ratio=3, lr=0.05)
    q, counted = [1 / 3] * 3, 0
    for step in range(3):
        seen = loop.views(step)
        assert len(seen["weak"]) == len(seen["strong"]) == 2 * 12
        assert not torch.equal(*seen["strong"].chunk(2))
        with torch.no_grad():
            _, weak, strong = task.logits(seen)
        weak, strong = ([part.double().tolist() for part in z.chunk(2)] for z in (weak, strong))
        before = q
        means = [softmax(row) for row in mean(*weak)]
        q = [0.6 * q[c] + 0.4 * sum(row[c] for row in means) / 12 for c in range(3)]
        unlabeled = 0.0
        for told in (mean(*weak), *weak):
            for own in strong:
                for z, row in zip(told, own, strict=True):
                    p = softmax([a - 0.4 * math.log(b) for a, b in zip(z, before, strict=True)])
                    if max(p) >= 0.5:
                        margin = [a + 0.4 * math.log(b) for a, b in zip(row, q, strict=True)]
                        unlabeled -= math.log(softmax(margin)[p.index(max(p))]) / 12 / 6
                        counted += 1
        groups = [p.index(min(p)) for p in means]
        centroids = [[0.0] * 3 for _ in range(3)]
        for k, p in zip(groups, means, strict=True):
            centroids[k] = [a + b / groups.count(k) for a, b in zip(centroids[k], p, strict=True)]
        grouped = 0.0
        for k, row in zip(groups, mean(*strong), strict=True):
            p = softmax(row)
            near = [sum(a * b for a, b in zip(p, c, strict=True)) / 0.07 for c in centroids]
            grouped -= math.log(softmax(near)[k]) / 12
        loss, figures = loop.step(step)
        assert figures["unlabeled_loss"].item() == pytest.approx(unlabeled, abs=1e-5)
        assert figures["group_loss"].item() == pytest.approx(grouped, abs=1e-5)
        whole = figures["labeled_loss"].item() + 2.0 * unlabeled + 0.3 * grouped
        assert loss.item() == pytest.approx(whole, abs=1e-4)
        assert task.habit.value.tolist() == pytest.approx(q, abs=1e-6)
    assert 0 < counted < 3 * 6 * 12


def test_no_gradient_reaches_the_groups():
    weak, strong = (torch.randn(5, 4, requires_grad=True) for _ in range(2))
    debiaspl.group_loss(weak, strong).backward()
    assert weak.grad is None
    assert strong.grad.abs().sum() > 0


def test_without_t_it_is_fixmatch():
    views = Loop(debiaspl.build(Tiny(), 3)).views(0)
    losses = [
        module.build(Tiny(), 3, tau=0.4, **more).train()(views)[0].item()
        for module, more in ((debiaspl, {"t": 0.0}), (fixmatch, {}))
    ]
    assert losses[0] == losses[1]


def test_a_habit_is_taken_off_the_pseudo_labels():
    task = debiaspl.build(Tiny(), 2, tau=0.0, t=1.0)
    task.habit.value.copy_(torch.tensor([0.99, 0.01]))
    weak = torch.tensor([[2.0, 0.0]])
    strong = torch.zeros(1, 2, requires_grad=True)
    loss, _ = task.consistency(weak, strong, {})
    (gradient,) = torch.autograd.grad(loss, strong)
    assert gradient[0, 1] < 0 < gradient[0, 0]  # the rare class is meant, whatever is said


def test_a_class_that_is_never_predicted():
    task = debiaspl.build(Tiny(), 2)
    task.habit.value.copy_(torch.tensor([1.0, 0.0]))
    loss, _ = task.consistency(torch.tensor([[200.0, 0.0]]), torch.zeros(1, 2), {})
    assert torch.isfinite(loss)


def test_the_state_is_all_there_is():
    check_round_trip(lambda seed: debiaspl.build(Tiny(seed), 3, seed=seed, tau=0.4))
