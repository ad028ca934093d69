from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from students import Loop, Tiny, check_round_trip, same, state_of  # noqa: E402
from usl.training.networks import simclrv2_cld  # noqa: E402


def trained(**given):
    task = simclrv2_cld.build(Tiny(), 3, **given)
    before = state_of(task.classifier)
    loop = Loop(task, ratio=0)
    for step in range(3):
        loop.step(step)
    return task, before


@pytest.mark.parametrize("frozen", [False, True])
def test_only_the_layer_moves(frozen):
    task = simclrv2_cld.build(Tiny(), 3)
    if frozen:
        task.freeze()  # as the driver does when it is asked for
    before = state_of(task.classifier)
    loop = Loop(task, ratio=0)
    for step in range(3):
        loop.step(step)
    after = state_of(task.classifier)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"head.weight", "head.bias"}
    assert same(after, state_of(task.kept))  # no average


def test_the_statistics_move_as_released():
    task, before = trained(moving_statistics=True)
    after = state_of(task.kept)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert {name.split(".")[-1] for name in moved} == {
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert not any("convolution" in name or "normalisation.weight" in name for name in moved)
    assert not task.eval().classifier.backbone.training


def test_five_epochs_of_40_labels_100_times():
    recipe = simclrv2_cld.RECIPES["cifar"]
    assert recipe.steps == 5 * (40 * 100 // recipe.batch_size)
    assert recipe.optimizer.rate(recipe.steps - 1, recipe.steps) == 0.01


def test_the_state_is_all_there_is():
    check_round_trip(lambda seed: simclrv2_cld.build(Tiny(seed), 3, seed=seed), ratio=0)
