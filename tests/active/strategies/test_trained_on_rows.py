"""LLAL, MCDAL and VAAL: losses and what is asked written out in NumPy; training; threads."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.active.shared import row_training
from usl.active.shared.row_training import Drawn, torch_alone
from usl.active.strategies import llal, mcdal, vaal
from usl.core.errors import MissingDependencyError
from usl.core.progress import silent
from usl.numeric.table import as_table
from usl.numeric.unit_rows import unit_rows
from usl.numeric.workspace import Workspace

torch = pytest.importorskip("torch")
METHODS = ("llal", "mcdal", "vaal")
STEPS = {"llal": 100, "mcdal": 100, "vaal": 20}
pytestmark = pytest.mark.usefixtures("one_thread")


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def layer(linear, x):
    return x @ linear.weight.detach().double().numpy().T + linear.bias.detach().double().numpy()


def trained(pool, method, seed=2):
    """What the strategy trains on the pool, with the same draws."""
    how = {"steps": STEPS[method], "seed": seed, "progress": silent}
    # Two networks against each other: a last digit of a row can be seen in what they come to.
    table = as_table(unit_rows(pool.features, Workspace(None, None)))
    with torch_alone(method, seed):
        if method == "vaal":
            return vaal.trained(table, pool.labeled, 5**0.5, **how)
        return {"llal": llal, "mcdal": mcdal}[method].trained(
            table, pool.labeled, pool.classes, **how
        )


def asked(pool, budget, method, **given):
    known = {"labeled": pool.labeled, "classes": pool.classes, "predictions": pool.predictions}
    given = {**known, "candidates": pool.candidates, "steps": STEPS[method], "seed": 2, **given}
    return usl.query(pool.features, budget, method=method, **given)


def test_pair_loss_is_that_of_every_pair():
    from usl.active.shared.loss_prediction import pair_loss

    rng = np.random.default_rng(0)
    predicted, losses = rng.normal(size=10), rng.random(10)
    losses[9] = losses[0]  # of equal losses the first is not the larger
    pairs = [(i, 9 - i) for i in range(5)]
    signs = [1 if losses[i] > losses[j] else -1 for i, j in pairs]
    each = [
        max(0, -sign * (predicted[i] - predicted[j]) + 1)
        for sign, (i, j) in zip(signs, pairs, strict=True)
    ]
    found = pair_loss(torch.tensor(predicted), torch.tensor(losses))
    assert found.item() == pytest.approx(np.mean(each))


def test_heads_are_driven_apart_by_their_mean_distance():
    from usl.active.shared.discrepancy import apart_loss

    rng = np.random.default_rng(1)
    known, free = rng.normal(size=(2, 6, 4)), rng.normal(size=(3, 8, 4))
    classes = rng.integers(0, 4, 6)
    main, first, second = (softmax(one) for one in free)
    pairs = ((main, first), (main, second), (first, second))
    distances = sum(np.abs(a - b).mean() for a, b in pairs)
    wanted = sum(-np.log(softmax(one)[np.arange(6), classes]).mean() for one in known) - distances
    found = apart_loss(torch.tensor(known), torch.tensor(classes), list(torch.tensor(free)))
    assert found.item() == pytest.approx(wanted)


def test_the_autoencoder_is_bound_and_the_discriminator_told_as_in_the_paper():
    from usl.active.shared import adversary

    rng = np.random.default_rng(2)
    rows, made = rng.normal(size=(2, 5, 3))
    mean, log_variance = rng.normal(size=(2, 5, 2))
    squared = ((rows - made) ** 2).sum(axis=1)  # -2 log of the normal density, but for a constant
    divergence = (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    given = (torch.tensor(one) for one in (rows, made, mean, log_variance))
    found = adversary.evidence_loss(*given, beta=0.5).item()
    assert found == pytest.approx((squared / 2 + 0.5 * divergence / 2).mean())
    labeled, other = rng.normal(size=4), rng.normal(size=6)
    own, free = 1 / (1 + np.exp(-labeled)), 1 / (1 + np.exp(-other))
    tensors = torch.tensor(labeled), torch.tensor(other)
    hidden = -np.log(own).mean() - np.log(free).mean()
    assert adversary.hiding_loss(*tensors).item() == pytest.approx(hidden)
    told = -np.log(own).mean() - np.log(1 - free).mean()
    assert adversary.telling_loss(*tensors).item() == pytest.approx(told)


def test_llal_asks_for_the_largest_predicted_loss(pool):
    module, losses = trained(pool, "llal")
    seen = np.maximum(layer(module.layers[0], pool.features.astype(np.float64)), 0)
    wanted = layer(module.last, seen)[pool.candidates, 0]
    found = asked(pool, 7, "llal")
    assert found.indices.tolist() == pool.candidates[np.argsort(-wanted)[:7]].tolist()
    np.testing.assert_allclose(found.figures["predicted_loss"], np.sort(wanted)[:-8:-1], rtol=1e-4)
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])


def test_mcdal_asks_for_the_largest_disagreement(pool):
    heads, losses = trained(pool, "mcdal")
    main, first, second = (
        softmax(layer(head, pool.features[pool.candidates].astype(np.float64))) for head in heads
    )
    pairs = ((main, first), (main, second), (first, second))
    wanted = sum(np.abs(a - b).sum(axis=1) for a, b in pairs)
    found = asked(pool, 7, "mcdal")
    assert found.indices.tolist() == pool.candidates[np.argsort(-wanted)[:7]].tolist()
    np.testing.assert_allclose(found.figures["discrepancy"], np.sort(wanted)[:-8:-1], rtol=1e-4)
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])


def test_vaal_asks_for_what_the_discriminator_calls_unlabeled(pool):
    vae, judge, losses = trained(pool, "vaal")
    x = pool.features[pool.candidates].astype(np.float64) * 5**0.5
    code = layer(vae.mean, np.maximum(layer(vae.encoder[0], x), 0))
    seen = np.maximum(layer(judge.layers[0], code), 0)
    seen = np.maximum(layer(judge.layers[2], seen), 0)
    wanted = 1 / (1 + np.exp(-layer(judge.layers[4], seen)[:, 0]))
    found = asked(pool, 7, "vaal")
    assert found.indices.tolist() == pool.candidates[np.argsort(wanted)[:7]].tolist()
    np.testing.assert_allclose(found.figures["labeled"], np.sort(wanted)[:7], rtol=1e-3)
    bound, _, told = np.array(losses).T
    assert bound[-10:].mean() < 0.9 * bound[:10].mean()
    assert told[-10:].mean() < told[:10].mean()


@pytest.mark.parametrize("method", METHODS)
def test_thread_counts_change_nothing_and_torch_is_left_as_it_was(pool, method):
    state = torch.random.get_rng_state()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(asked(pool, 7, method, steps=5).indices.tolist())
        assert torch.get_num_threads() == threads
    assert found[0] == found[1]
    assert found[0] != asked(pool, 7, method, steps=5, seed=5).indices.tolist()
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("method", METHODS)
def test_a_class_without_labels_and_all_candidates_at_once(pool, method):
    seen = pool.classes != 1
    some = {"labeled": pool.labeled[seen], "classes": pool.classes[seen], "steps": 5}
    found = asked(pool, len(pool.candidates), method, **some)
    assert sorted(found.indices.tolist()) == pool.candidates.tolist()


def test_without_labels_vaal_draws_at_random(pool):
    none = np.empty(0, np.int64)
    assert "at random" in asked(pool, 5, "vaal", labeled=none, classes=none).reasons[0]


@pytest.mark.parametrize("method", METHODS)
def test_without_torch_it_says_what_to_install(monkeypatch, pool, method):
    monkeypatch.setattr(row_training, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=rf"{method}.* needs torch.*usl\[torch\]"):
        asked(pool, 3, method)


@pytest.mark.parametrize("count", [5, 200])
def test_batches_are_full_and_fair(cloud, count):
    drawn = Drawn(as_table(cloud), np.arange(300 - count, 300), np.random.default_rng(0), 2.0)
    points, places = drawn.draw()
    assert np.allclose(points.numpy(), 2 * cloud[300 - count + places])
    often = np.bincount(places, minlength=count)
    assert often.sum() == 128
    assert often.max() - often.min() == 1
