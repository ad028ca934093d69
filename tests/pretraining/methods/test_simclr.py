from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from usl.core.errors import UsageError  # noqa: E402
from usl.pretraining.contract import METHODS  # noqa: E402
from usl.pretraining.methods import moco, simclr  # noqa: E402


def written_out(first, second, temperature):
    """NT-Xent term by term, and the share of views whose counterpart is the nearest."""
    rows = [row / row.norm() for row in (*first, *second)]
    n = len(first)
    total, hits = 0.0, 0
    for i in range(2 * n):
        partner = i + n if i < n else i - n
        terms = {j: torch.dot(rows[i], rows[j]) for j in range(2 * n) if j != i}
        below = sum(torch.exp(value / temperature) for value in terms.values())
        total = total - torch.log(torch.exp(terms[partner] / temperature) / below)
        hits += max(terms, key=lambda j: terms[j].item()) == partner
    return total / (2 * n), hits / (2 * n)


@pytest.mark.parametrize("temperature", [0.5, 0.1])
def test_loss_and_gradient(draws, temperature):
    first = draws(0, 5, 4)
    second = first + 0.7 * draws(1, 5, 4)
    one = [first.clone().requires_grad_(), second.clone().requires_grad_()]
    two = [first.clone().requires_grad_(), second.clone().requires_grad_()]
    loss, accuracy = simclr.nt_xent(*one, temperature)
    expected, share = written_out(*two, temperature)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected.item(), abs=1e-9)
    assert 0 < share < 1
    assert accuracy.item() == pytest.approx(share)
    assert not accuracy.requires_grad
    loss.backward()
    expected.backward()
    for found, wanted in zip(one, two, strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, atol=1e-9, rtol=1e-9)


def test_views_that_agree_and_nothing_else_does():
    rows = torch.eye(4, dtype=torch.float64)
    loss, accuracy = simclr.nt_xent(rows, 7 * rows, 0.5)  # length does not matter
    assert loss.item() == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 6)))
    assert accuracy == 1


def test_half_precision_is_widened(draws):
    first, second = draws(0, 6, 4).bfloat16(), draws(1, 6, 4).bfloat16()
    wide = simclr.nt_xent(first.float(), second.float(), 0.1)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = simclr.nt_xent(first, second, 0.1)[0]
    assert narrow.dtype == torch.float32
    assert torch.equal(narrow, wide)


def test_a_step_trains_the_backbone_it_was_given(tiny, drive):
    backbone = tiny(0)
    before = [p.detach().clone() for p in backbone.parameters()]
    task = simclr.build(backbone, projection=4)
    loss, figures = drive(task).step(0)
    assert task.backbone is backbone
    assert all(
        not torch.equal(p, old) for p, old in zip(backbone.parameters(), before, strict=True)
    )
    assert loss.shape == figures["accuracy"].shape == ()


def test_both_views_share_one_normalisation(tiny, drive):
    driver = drive(simclr.build(tiny(0), projection=4))
    views = driver.views(0)
    assert not torch.equal(views["first"], views["second"])
    driver.task(views)
    assert driver.task.backbone.normalisation.num_batches_tracked == 1


def test_it_learns_to_tell_its_images_apart(tiny, drive):
    driver = drive(simclr.build(tiny(0), projection=8, temperature=0.2), batch=16)
    generator = torch.Generator().manual_seed(0)
    views = {"first": torch.rand(16, 3, 1, 1, generator=generator).expand(-1, -1, 8, 8)}
    views["second"] = views["first"] + 0.02 * torch.randn(16, 3, 8, 8, generator=generator)
    before = driver.task(views)[0].item()
    for _ in range(100):  # on the way there one or two may be confused, by the processor's rounding
        driver.optimizer.zero_grad()
        loss, figures = driver.task(views)
        loss.backward()
        driver.optimizer.step()
    assert loss.item() < 0.8 * before
    assert figures["accuracy"] == 1


def test_round_trip(tiny, round_trip):
    round_trip(lambda seed: simclr.build(tiny(seed), seed=seed, projection=4))


@pytest.mark.parametrize("method", [simclr, moco])
@pytest.mark.parametrize("crop", [0.0, 1.5])
def test_a_box_has_a_share_of_the_area(tiny, method, crop):
    with pytest.raises(UsageError, match=f"crop: {crop} given; it must be at (least 0.01|most 1)"):
        METHODS.check(method.__name__, method, {"crop": crop})
    with pytest.raises(UsageError, match="scale="):
        method.build(tiny(0), crop=crop)


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", 0.0), ("temperature", float("nan")), ("projection", 0)]
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(UsageError, match=name):
        METHODS.check("simclr", simclr, {name: value})
