from __future__ import annotations

from collections import Counter

import pytest

torch = pytest.importorskip("torch")

from students import Loop, Tiny, check_round_trip  # noqa: E402
from usl.training.networks import flexmatch  # noqa: E402


def written_out(learned, n_classes, tau, warmup):
    """The thresholds by counting."""
    counts = Counter(learned)
    unused = counts.pop(-1, 0)
    best = max([*counts.values(), unused if warmup else 0, 1])
    betas = [counts.get(c, 0) / best for c in range(n_classes)]
    return [tau * beta / (2 - beta) for beta in betas]


@pytest.mark.parametrize("warmup", [True, False])
@pytest.mark.parametrize(
    "learned",
    [
        [-1] * 6,
        [0, 0, 0, 1, 2, 2],
        [0, 1, -1, -1, -1, -1],
        [2, 2, 2, 2, 2, 2],
        [0, 0, 1, -1, -1, 0],
    ],
)
def test_thresholds(learned, warmup):
    found = flexmatch.thresholds(torch.tensor(learned), 4, 6, 0.9, warmup)
    assert found.tolist() == pytest.approx(written_out(learned, 4, 0.9, warmup))


def test_rows_that_are_never_drawn_are_not_unused():
    learned = torch.tensor([0, 0, 1, 1, -1, -1, -1, -1, -1, -1])
    assert flexmatch.thresholds(learned, 2, 4, 0.9, True).tolist() == pytest.approx([0.9, 0.9])
    assert flexmatch.thresholds(learned, 2, 10, 0.9, True)[0] < 0.3


def test_the_last_sure_class_of_a_row_stays():
    learned = torch.tensor([-1, 3, -1, 2])
    rows, sure = [1, 0, 3, 0, 1, 0, 3], [0, 1, -1, 2, -1, 0, -1]
    flexmatch.note(learned, torch.tensor(rows), torch.tensor(sure))
    assert learned.tolist() == [0, 0, -1, 2]
    flexmatch.note(learned, torch.tensor([2, 3]), torch.tensor([-1, -1]))
    assert learned.tolist() == [0, 0, -1, 2]


def test_steps_follow_the_definition():
    task = flexmatch.build(Tiny(), 3, tau=0.5)
    loop = Loop(task, ratio=3, lr=0.01)
    learned = [-1] * loop.images
    used = 0
    for step in range(5):
        views = loop.views(step)
        with torch.no_grad():
            _, weak, strong = task.logits(views)
        bars = written_out(learned, 3, 0.5, True)
        expected = 0.0
        for row, low, high in zip(views["rows"].tolist(), weak, strong, strict=True):
            p = low.double().softmax(0)
            best = int(p.argmax())
            if p[best] >= bars[best]:
                expected -= float(high.double().log_softmax(0)[best]) / len(weak)
                used += 1
            if p[best] >= 0.5:
                learned[row] = best
        _, figures = loop.step(step)
        assert figures["unlabeled_loss"].item() == pytest.approx(expected, abs=1e-5)
        assert task.learned.tolist() == learned
    assert 0 < used <= 60
    assert max(learned) >= 0


def test_micro_batches_are_all_noted():
    task = flexmatch.build(Tiny(), 3, tau=0.0)
    loop = Loop(task)
    for half in range(2):
        views = loop.views(half)
        views["rows"] = torch.arange(8) + 8 * half
        task(views)
    task.after_step()
    assert (task.learned[:16] >= 0).all()
    assert (task.learned[16:] == -1).all()


def test_the_state_is_all_there_is():
    check_round_trip(lambda seed: flexmatch.build(Tiny(seed), 3, seed=seed, tau=0.4))
