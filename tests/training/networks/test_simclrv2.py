from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from students import Loop, Tiny, check_round_trip, gradient_of, same, state_of  # noqa: E402
from usl.core.errors import UsageError  # noqa: E402
from usl.learning.augment import MoCoV2  # noqa: E402
from usl.training.contract import NETWORKS  # noqa: E402
from usl.training.networks import simclrv2, simclrv2_cld  # noqa: E402


def softmax(logits):
    terms = [torch.exp(value) for value in logits]
    return [term / sum(terms) for term in terms]


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_distillation_loss_and_gradient(temperature):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)

    def written_out(logits):
        total = 0.0
        for own, told in zip(logits, teacher, strict=True):
            wanted = softmax(told / temperature)
            for p, target in zip(softmax(own / temperature), wanted, strict=True):
                total = total - target * torch.log(p)
        return total / len(teacher)

    found, slope = gradient_of(
        lambda z: simclrv2.distillation_loss(z, teacher, temperature), student
    )
    wanted, reference = gradient_of(written_out, student)
    assert found == pytest.approx(wanted, abs=1e-9)
    torch.testing.assert_close(slope, reference, atol=1e-9, rtol=1e-9)


def test_logits_begin_at_zero():
    task = simclrv2.build(Tiny(), 3, distill_share=0.0)
    loss, _ = Loop(task, ratio=0).step(0)
    assert loss.item() == pytest.approx(math.log(3), abs=1e-6)
    assert task.kept is task.classifier
    assert task.classifier.head.weight.abs().max() > 0


@pytest.mark.parametrize("layers", [0, 1])
def test_the_tuned_network_becomes_the_teacher_of_a_fresh_student(layers):
    task = simclrv2.build(Tiny(), 3, head_layers=layers, distill_share=0.4)
    first = state_of(task.classifier)
    loop = Loop(task, steps=5)
    for step in range(3):
        assert not task.distilling
        assert "unlabeled" not in loop.views(step)
        tuned = state_of(task.classifier)
        loop.step(step)
    assert task.distilling
    assert same(first, state_of(task.classifier))
    assert not same(tuned, state_of(task.teacher))  # moved by the third step
    assert task.teacher.head.weight.abs().max() > 0
    taught = state_of(task.teacher)
    layer = state_of(task.layer_of_teacher)
    assert len(layer) == 6 * layers
    for step in range(3, 5):
        loop.step(step)
    assert same(taught, state_of(task.teacher))
    assert same(layer, state_of(task.layer_of_teacher))
    assert task.kept is task.classifier
    assert not same(first, state_of(task.kept))


@pytest.mark.parametrize("layers", [0, 1])
def test_the_students_loss(layers):
    task = simclrv2.build(Tiny(), 3, head_layers=layers, distill_share=0.5, alpha=0.3)
    loop = Loop(task, steps=4)
    for step in range(3):
        loop.step(step)
    views = loop.views(3)
    expected_teacher = task.layer_of_teacher(task.teacher.backbone(views["unlabeled"]))
    told = task.teacher.head(expected_teacher).softmax(1)
    both = task.classifier(torch.cat([views["labeled"], views["unlabeled"]])).log_softmax(1)
    labels = views["classes"].tolist()
    supervised = -sum(both[i, y] for i, y in enumerate(labels)) / 4
    distilled = -(told * both[4:]).sum() / 8
    loss, figures = task(views)
    assert loss.item() == pytest.approx((0.7 * supervised + 0.3 * distilled).item(), abs=1e-5)
    assert figures["distillation"].item() == pytest.approx(distilled.item(), abs=1e-5)
    loss.backward()  # every parameter has a part, as several processes need it
    assert all(p.grad is not None for p in task.parameters() if p.requires_grad)


def test_a_short_training_still_tunes():
    loop = Loop(simclrv2.build(Tiny(), 3, distill_share=0.99), steps=2)
    loop.step(0)
    assert loop.task.distilling
    assert loop.task.teacher.head.weight.abs().max() > 0


def test_what_cannot_be_done_is_refused():
    def build(given):
        NETWORKS.check("simclrv2", simclrv2, given)
        simclrv2.build(Tiny(), 3, **given)

    for given, message in (
        ({"head_layers": 2}, "head_layers: 2"),
        ({"head_layers": 1, "distill_share": 0.0}, "has to be distilled"),
        ({"distill_share": 1.0}, "distill_share: 1.0"),
        ({"alpha": -1.0}, "alpha: -1.0"),
        ({"temperature": 0.0}, "temperature: 0.0"),
    ):
        with pytest.raises(UsageError, match=message):
            build(given)
    with pytest.raises(UsageError, match="ratio: 0"):
        Loop(simclrv2.build(Tiny(), 3), ratio=0).step(0)


def test_linear_trains_the_layer_alone():
    task = simclrv2.build(Tiny(), 3, linear=True, distill_share=0.0)
    before = state_of(task.classifier)
    loop = Loop(task, ratio=0)
    for step in range(3):
        loop.step(step)
    after = state_of(task.kept)
    assert {name for name in after if not torch.equal(after[name], before[name])} == {
        "head.weight",
        "head.bias",
    }
    for given in ({}, {"distill_share": 0.0, "head_layers": 1}):
        with pytest.raises(UsageError, match="linear: "):
            simclrv2.build(Tiny(), 3, linear=True, **given)


def test_on_cifar_as_in_the_released_code():
    # semisup-simclrv2-cld, config.py and configs/cifar10_usl_finetune_simclr.yaml: SGD, LR 0.01,
    # MOMENTUM 0.9, NESTEROV, WEIGHT_DECAY 0.0001, EPOCHS 5, BATCH_SIZE 128, REPEAT_DATA 100,
    # FREEZE_BACKBONE, TRANSFORM_NAME CLD-cifar10, which are MoCo v2's views; drop_last.
    recipe = simclrv2.RECIPES["cifar"]
    chosen = recipe.optimizer
    assert (recipe.batch_size, recipe.ratio) == (128, 0)
    assert recipe.steps == 5 * (40 * 100 // 128)
    assert (chosen.name, chosen.lr, chosen.momentum) == ("sgd", 0.01, 0.9)
    assert (chosen.nesterov, chosen.weight_decay, chosen.schedule) == (True, 1e-4, "constant")
    task = simclrv2.build(Tiny(), 10, **recipe.parameters)
    assert task.weak == MoCoV2(8, blur=True, scale=(0.2, 1.0))
    assert task.frozen
    cld = simclrv2_cld.RECIPES["cifar"]
    assert (cld.optimizer, cld.batch_size, cld.steps) == (chosen, 128, recipe.steps)
    assert simclrv2_cld.build(Tiny(), 10, **cld.parameters).weak == task.weak


def test_presets_follow_the_paper():
    recipe = simclrv2.RECIPES["imagenet"]
    assert recipe.steps == 60 * (12_820 // recipe.batch_size)
    few = simclrv2.RECIPES["imagenet-few"]
    assert few.optimizer.rate(few.steps - 1, few.steps) == 0.16
    for name, each in simclrv2.RECIPES.items():
        if name == "cifar":
            continue
        assert each.optimizer.name == "lars"
        assert simclrv2.build(Tiny(), 2, **each.parameters).distill_share == 0 or each.ratio


@pytest.mark.parametrize("after", [2, 4])
def test_the_state_is_all_there_is(after):
    check_round_trip(
        lambda seed: simclrv2.build(Tiny(seed), 3, seed=seed, head_layers=1), after=after, steps=6
    )
