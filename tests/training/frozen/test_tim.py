"""TIM and alpha-TIM against their definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.core.errors import UsageError
from usl.training.contract import FROZEN
from usl.training.frozen import alpha_tim, tim


@pytest.fixture
def problem():
    """90 items in three unequal groups, 7 of them labelled, weights of 1."""
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2], [50, 25, 15])
    features = unit(np.eye(8)[truth] * 2 + rng.normal(scale=0.6, size=(90, 8)))
    classes = np.full(90, -1)
    for row in (0, 1, 2, 50, 51, 75, 76):
        classes[row] = truth[row]
    return features, classes


def predicted(x, w, tau):
    near = np.exp(-tau / 2 * ((x[:, None] - w[None]) ** 2).sum(axis=2))
    return near / near.sum(axis=1, keepdims=True)


def tim_written_out(features, classes, y, tau=15.0, lam=0.1, alpha=0.1, steps=150):
    """Proposition 1 of the paper; ``y`` holds the labels' weights."""
    x = features.astype(np.float64)
    s, q_items = classes >= 0, classes < 0
    y = y[s]
    w = np.stack([np.average(x[s], axis=0, weights=y[:, c]) for c in range(y.shape[1])])
    a, b = lam / (1 + alpha), y.sum() / q_items.sum()
    for _ in range(steps):
        ps, pq = predicted(x[s], w, tau), predicted(x[q_items], w, tau)
        q = pq ** (1 + alpha)
        q = q / np.sqrt(q.sum(axis=0))
        q = q / q.sum(axis=1, keepdims=True)
        new = np.zeros_like(w)
        for c in range(len(w)):
            top = np.zeros(x.shape[1])
            for i, item in enumerate(x[s]):
                top += a * (y[i, c] * item + y[i].sum() * ps[i, c] * (w[c] - item))
            for i, item in enumerate(x[q_items]):
                top += b * (q[i, c] * item + pq[i, c] * (w[c] - item))
            new[c] = top / (a * y[:, c].sum() + b * q[:, c].sum())
        w = new
    return w


@pytest.mark.parametrize("weighted", [False, True])
def test_tim_is_the_papers_alternation(problem, weighted):
    features, classes = problem
    weights = np.random.default_rng(1).uniform(0.2, 2, 90) if weighted else np.ones(90)
    y = np.eye(3)[classes] * weights[:, None]
    w = tim_written_out(features, classes, y, steps=40)
    model = tim.fit(features, classes, weights, 3, steps=40)
    np.testing.assert_allclose(model.weight / 15, w, atol=1e-4)
    np.testing.assert_allclose(
        model.probabilities(features), predicted(features.astype(float), w, 15), atol=2e-3
    )


@pytest.mark.parametrize("alpha", [2.0, 7.0])
def test_alpha_tim_is_adam_on_its_loss(problem, alpha):
    torch = pytest.importorskip("torch")
    features, classes = problem
    x = torch.tensor(features, dtype=torch.float64)
    s = torch.tensor(classes >= 0)
    y = torch.tensor(classes[classes >= 0])
    w = torch.stack([x[s][y == c].mean(dim=0) for c in range(3)]).requires_grad_()
    adam = torch.optim.Adam([w], lr=1e-3)

    def log_p(items):
        return torch.log_softmax(-15 / 2 * ((items[:, None] - w[None]) ** 2).sum(dim=2), dim=1)

    for _ in range(60):
        p = log_p(x[~s]).exp()
        cross = -log_p(x[s])[torch.arange(len(y)), y].mean()
        marginal = (1 - (p.mean(dim=0) ** alpha).sum()) / (alpha - 1)
        conditional = ((1 - (p**alpha).sum(dim=1)) / (alpha - 1)).mean()
        adam.zero_grad()
        (cross - marginal + conditional).backward()
        adam.step()
    model = alpha_tim.fit(features, classes, np.ones(90), 3, alpha=alpha, steps=60, lr=1e-3)
    np.testing.assert_allclose(model.weight / 15, w.detach().numpy(), atol=2e-4)


def test_alpha_grows_with_the_labels(problem):
    features, classes = problem
    few = alpha_tim.fit(features, classes, np.ones(90), 3, steps=5)  # 7 labels of 3 classes
    told = alpha_tim.fit(features, classes, np.ones(90), 3, steps=5, alpha=5.0)
    np.testing.assert_array_equal(few.weight, told.weight)


@pytest.mark.parametrize("method", [tim, alpha_tim])
def test_everything_labelled(problem, method):
    features, _ = problem
    truth = np.repeat([0, 1, 2], [50, 25, 15])
    found = method.fit(features, truth, np.ones(90), 3).probabilities(features)
    assert (found.argmax(axis=1) == truth).mean() > 0.9


def test_an_alpha_of_one_is_refused():
    with pytest.raises(UsageError, match="alpha: 1"):
        FROZEN.check("alpha_tim", alpha_tim, {"alpha": 1.0})
