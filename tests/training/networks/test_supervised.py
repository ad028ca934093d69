from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from students import Loop, Tiny, check_round_trip, same  # noqa: E402
from usl.training.networks import supervised  # noqa: E402
from usl.training.networks.fixmatch import RECIPES as FIXMATCH  # noqa: E402


def test_the_loss_counts_labels_by_their_weights():
    task = supervised.build(Tiny(), 3)
    loop = Loop(task, ratio=0)
    views = loop.views(0)
    views["weights"] = torch.tensor([1.0, 0.5, 0.0, 1.0])
    loss, figures = task(views)
    logits = task.classifier(views["labeled"]).double().tolist()
    expected = 0.0
    for row, label, weight in zip(logits, views["classes"], views["weights"], strict=True):
        expected += weight * (math.log(sum(math.exp(value) for value in row)) - row[label])
    assert loss.item() == pytest.approx(float(expected) / 4, abs=1e-6)
    right = sum(row.index(max(row)) == y for row, y in zip(logits, views["classes"], strict=True))
    assert figures["accuracy"].item() == pytest.approx(int(right) / 4)


def test_the_average_is_kept_or_with_momentum_0_the_last_weights():
    loops = [Loop(supervised.build(Tiny(), 3, ema=ema), ratio=0) for ema in (0.999, 0.0)]
    for loop in loops:
        for step in range(3):
            loop.step(step)
    kept, last = (
        same(each.task.kept.state_dict(), each.task.classifier.state_dict()) for each in loops
    )
    assert (kept, last) == (False, True)


def test_it_learns():
    loop = Loop(supervised.build(Tiny(), 3, flip=False), ratio=0, lr=0.3)
    views = loop.views(0)
    first = loop.task(views)[0].item()
    loop.views = lambda step: views
    for step in range(30):
        loop.step(step)
    assert loop.task(views)[0].item() < 0.5 * first


def test_presets_are_fixmatchs_without_unlabelled_images():
    for name, recipe in supervised.RECIPES.items():
        assert recipe.ratio == 0
        assert recipe.optimizer == FIXMATCH[name].optimizer
        assert supervised.build(Tiny(), 2, **recipe.parameters)


def test_the_state_is_all_there_is():
    check_round_trip(lambda seed: supervised.build(Tiny(seed), 3, seed=seed), ratio=0)
