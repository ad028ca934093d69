from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from usl.core.errors import UsageError  # noqa: E402
from usl.learning.precision import full_precision  # noqa: E402
from usl.pretraining.heads import NormalizedLinear, projection_head  # noqa: E402


def head(seed=0, **options):
    return projection_head(5, 3, generator=torch.Generator().manual_seed(seed), **options)


def test_layers():
    def names(network):
        return [type(layer).__name__ for layer in network]

    assert names(head()) == ["Linear", "ReLU", "Linear"]
    assert names(head(batch_norm=True)) == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert names(head(layers=1)) == ["Linear"]
    # google-research/simclr, model_util.py: use_bn in every layer, and no bias in the last.
    whole = head(batch_norm=True, last_norm=True)
    assert names(whole) == ["Linear", "BatchNorm1d", "ReLU", "Linear", "ScaledBatchNorm"]
    assert [tuple(p.shape) for p in whole.parameters()] == [(5, 5), (5,), (5,), (3, 5), (3,)]
    assert names(head(normalized=True)) == ["Linear", "ReLU", "NormalizedLinear"]
    assert [tuple(p.shape) for p in head().parameters()] == [(5, 5), (5,), (3, 5), (3,)]


def test_weights_come_from_the_generator_alone():
    before = torch.get_rng_state()
    one, again, other = head(1), head(1), head(2)
    assert torch.equal(torch.get_rng_state(), before)
    for p, q, r in zip(one.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
        assert not torch.equal(p, r)
        assert 0 < p.abs().max() <= 1 / math.sqrt(5)


def test_normalised_layer_gives_cosines(draws):
    layer = NormalizedLinear(4, 2, torch.Generator().manual_seed(0)).double()
    rows = draws(3, 6, 4)
    found = layer(rows)
    for i in range(6):
        for j in range(2):
            x, w = rows[i].tolist(), layer.weight[j].tolist()
            dot = sum(a * b for a, b in zip(x, w, strict=True))
            expected = dot / math.hypot(*x) / math.hypot(*w)
            assert found[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_the_last_normalisation_scales_without_an_offset(draws):
    whole = head(last_norm=True).double()
    found = whole(draws(0, 20, 5) + 3)
    torch.testing.assert_close(found.mean(0), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(
        found.std(0, correction=0), torch.ones(3, dtype=torch.float64), atol=1e-3, rtol=0
    )
    with torch.no_grad():
        whole[-1].weight.copy_(torch.tensor([2.0, 3.0, 4.0]))
    torch.testing.assert_close(whole(draws(0, 20, 5) + 3)[:, 1], 3 * found[:, 1])


def test_no_outputs():
    with pytest.raises(UsageError, match="projection: 0"):
        projection_head(5, 0, generator=torch.Generator())


def test_full_precision_leaves_autocast():
    rows = torch.full((2, 2), 1 + 2**-12)

    def product(a, b):
        return a @ b

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product(rows, rows).dtype == torch.bfloat16
        inside = full_precision(product)(rows, rows)
    assert torch.equal(inside, product(rows, rows))
    half = rows.bfloat16()
    assert full_precision(product)(half, half).dtype == torch.float32
    assert full_precision(product)(rows.double(), rows.double()).dtype == torch.float64
