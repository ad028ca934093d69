from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from usl.learning.moving_mean import MovingMean  # noqa: E402


def test_the_batch_is_part_of_its_own_mean():
    mean = MovingMean(torch.tensor([0.5, 0.5], dtype=torch.float64), 0.9)
    expected = [0.5, 0.5]
    for batch in ([1.0, 0.0], [0.2, 0.8], [0.0, 1.0]):
        expected = [0.9 * old + 0.1 * new for old, new in zip(expected, batch, strict=True)]
        assert mean(torch.tensor(batch)).tolist() == pytest.approx(expected)
        mean.after_step()
        assert mean.value.tolist() == pytest.approx(expected)
    mean.after_step()  # a step that has seen nothing
    assert mean.value.tolist() == pytest.approx(expected)


def test_it_may_begin_with_the_first_batch():
    mean = MovingMean(torch.tensor([9.0, 9.0]), 0.9, from_first=True)
    assert mean(torch.tensor([0.2, 0.8])).tolist() == pytest.approx([0.2, 0.8])
    assert mean(torch.tensor([0.4, 0.6])).tolist() == pytest.approx([0.4, 0.6])
    mean.after_step()
    assert mean.value.tolist() == pytest.approx([0.3, 0.7])
    renewed = MovingMean(torch.tensor([9.0, 9.0]), 0.9, from_first=True)
    renewed.load_state_dict(mean.state_dict())
    assert renewed(torch.tensor([1.0, 0.0])).tolist() == pytest.approx([0.37, 0.63])
    assert set(mean.state_dict()) == {"value", "share"}


def test_micro_batches_are_one_step():
    mean = MovingMean(torch.tensor(1.0), 0.5)
    assert mean(torch.tensor(0.0)).item() == 0.5
    assert mean(torch.tensor(0.5)).item() == 0.75
    mean.after_step()
    assert mean.value.item() == 0.5 * 1 + 0.5 * 0.25
