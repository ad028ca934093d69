from __future__ import annotations

import math
import statistics

import pytest

torch = pytest.importorskip("torch")

from students import Loop, Tiny, check_round_trip  # noqa: E402
from usl.core.errors import UsageError  # noqa: E402
from usl.training.contract import NETWORKS  # noqa: E402
from usl.training.networks import softmatch  # noqa: E402


def weight(c, mean, variance, n_sigma):
    """A Gaussian around the mean with a standard deviation divided by n_sigma; 1 above it."""
    sigma = math.sqrt(variance) / n_sigma
    return 1.0 if c >= mean else math.exp(-((c - mean) ** 2) / (2 * sigma**2))


def test_weights():
    confidence = torch.tensor([0.2, 0.5, 0.69, 0.7, 0.71, 1.0], dtype=torch.float64)
    found = softmatch.gaussian_weights(confidence, torch.tensor(0.7), torch.tensor(0.04), 2)
    expected = [weight(float(c), 0.7, 0.04, 2) for c in confidence]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert found[3:].tolist() == [1, 1, 1]


def test_a_model_that_is_equally_sure_of_everything():
    none = torch.zeros(())
    found = softmatch.gaussian_weights(torch.tensor([0.5, 0.4]), torch.tensor(0.5), none, 2)
    assert found.tolist() == [1, 0]


def test_alignment_makes_the_mean_even_and_leaves_even_ones_alone():
    p = torch.tensor([[0.8, 0.2], [0.6, 0.4]])
    even = softmatch.aligned(p, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(even, p)
    found = softmatch.aligned(p, torch.tensor([0.7, 0.3]))
    for row, old in zip(found.tolist(), p.tolist(), strict=True):
        parts = [old[0] / 0.7, old[1] / 0.3]
        assert row == pytest.approx([part / sum(parts) for part in parts])
    assert torch.isfinite(softmatch.aligned(p, torch.tensor([1.0, 0.0]))).all()


@pytest.mark.parametrize("align", [False, True])
def test_steps_follow_the_definition(align):
    task = softmatch.build(Tiny(), 3, momentum=0.7, align=align)
    loop = Loop(task, ratio=3, lr=0.05)
    mean, variance, prior = 1 / 3, 1.0, [1 / 3] * 3
    for step in range(4):
        with torch.no_grad():
            _, weak, strong = task.logits(loop.views(step))
        p = weak.double().softmax(1).tolist()
        labels = [row.index(max(row)) for row in p]  # of the model as it is, aligned or not
        if align:
            # As USB's hooks/dist_align.py does: p_model is the first batch's mean at first.
            seen = [sum(row[c] for row in p) / len(p) for c in range(3)]
            prior = [0.7 * prior[c] + 0.3 * seen[c] for c in range(3)] if step else seen
            parts = [[row[c] / prior[c] for c in range(3)] for row in p]
            p = [[part / sum(row) for part in row] for row in parts]
        best = [max(row) for row in p]
        mean = 0.7 * mean + 0.3 * statistics.fmean(best)
        variance = 0.7 * variance + 0.3 * statistics.variance(best)
        expected = 0.0
        for c, label, logits in zip(best, labels, strong.double().tolist(), strict=True):
            cost = math.log(sum(math.exp(value) for value in logits)) - logits[label]
            expected += weight(c, mean, variance, 2) * cost / len(p)
        _, figures = loop.step(step)
        assert figures["unlabeled_loss"].item() == pytest.approx(expected, abs=1e-5)
        assert task.mean.value.item() == pytest.approx(mean, abs=1e-6)
        assert task.variance.value.item() == pytest.approx(variance, abs=1e-6)
        assert task.expected.value.tolist() == pytest.approx(prior, abs=1e-6)


def test_one_unlabelled_image_has_no_variance():
    loop = Loop(softmatch.build(Tiny(), 3), labeled=1, ratio=1)
    for step in range(3):
        loss, _ = loop.step(step)
        assert torch.isfinite(loss)


def test_what_cannot_be_done_is_refused():
    with pytest.raises(UsageError, match="n_sigma: 0"):
        NETWORKS.check("softmatch", softmatch, {"n_sigma": 0})


def test_the_state_is_all_there_is():
    check_round_trip(lambda seed: softmatch.build(Tiny(seed), 3, seed=seed, align=True))
