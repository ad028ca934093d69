"""usl.query: what it hands to a strategy, what it refuses; the same in, the same out."""

import numpy as np
import pytest

import usl
from support import QUICK
from usl.active.contract import ORACLE, STRATEGIES
from usl.core.errors import DataError, UsageError
from usl.training.refit import Refit

MODEL_FREE = ("quorum", "coreset", "random")
FAIR = [name for name in STRATEGIES.names() if not hasattr(STRATEGIES.load(name), ORACLE)]


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300)
    features = rng.normal(size=(4, 16))[truth] + 0.7 * rng.normal(size=(300, 16))
    labeled = np.concatenate([np.flatnonzero(truth == one)[:4] for one in range(4)])
    return features.astype(np.float32), labeled, truth[labeled]


@pytest.mark.parametrize("method", [*FAIR, *MODEL_FREE])
def test_it_asks_for_new_rows_alone_and_says_why(known, method):
    features, labeled, classes = known
    allowed = np.setdiff1d(np.arange(0, 300, 2), labeled)
    found = usl.query(
        features,
        6,
        labeled=labeled,
        classes=classes,
        method=method,
        candidates=allowed,
        **QUICK.get(method, {}),
    )
    assert len(set(found.indices.tolist())) == 6
    assert np.isin(found.indices, allowed).all()
    assert len(found.reasons) == 6
    assert all(found.reasons)


@pytest.mark.parametrize("method", [*FAIR, *MODEL_FREE])
def test_the_same_in_the_same_out(known, method, one_thread):
    features, labeled, classes = known
    given = {"labeled": labeled, "classes": classes, "method": method, "seed": 3}
    given |= QUICK.get(method, {})
    first = usl.query(features, 5, **given)
    mixed = np.random.default_rng(1).permutation(len(labeled))
    again = usl.query(
        features, 5, **{**given, "labeled": labeled[mixed], "classes": classes[mixed]}
    )
    assert first.indices.tolist() == again.indices.tolist()


@pytest.mark.parametrize("method", FAIR)
def test_predictions_may_be_given_and_a_learner_serves_many_rounds(known, method):
    features, labeled, classes = known
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    refit = Refit(units, "nearest_mean")
    every = np.full(300, -1)
    every[labeled] = classes
    said = refit.update(every).probabilities(units)
    given = {"labeled": labeled, "classes": classes, "method": method, "learner": refit}
    given |= QUICK.get(method, {})
    told = usl.query(features, 5, predictions=said, **given)
    assert told.indices.tolist() == usl.query(features, 5, **given).indices.tolist()


def test_what_does_not_fit_is_refused_by_name(known):
    features, labeled, classes = known
    given = {"labeled": labeled, "classes": classes}
    with pytest.raises(UsageError, match="budget: 285 given"):
        usl.query(features, 285, **given)
    with pytest.raises(DataError, match="classes: "):
        usl.query(features, 2, labeled=labeled, classes=classes[:-1])
    with pytest.raises(DataError, match="classes: -1"):
        usl.query(features, 2, labeled=labeled[:2], classes=[0, -1])
    with pytest.raises(DataError, match="labeled: row 300"):
        usl.query(features, 2, labeled=[1, 300], classes=[0, 1])
    with pytest.raises(DataError, match="predictions: 2 classes"):
        usl.query(features, 2, predictions=np.full((300, 2), 0.5), **given)
    with pytest.raises(DataError, match="predictions: 1 class given"):
        usl.query(features, 2, labeled=[1], classes=[0], predictions=np.ones((300, 1)))
    with pytest.raises(UsageError, match="fewer than two classes"):
        usl.query(features, 2, labeled=[1, 2], classes=[0, 0], method="margin")
    with pytest.raises(UsageError, match=r"Unknown method .margins.*margin"):
        usl.query(features, 2, method="margins", **given)
    with pytest.raises(UsageError, match="no parameter 'k'"):
        usl.query(features, 2, method="margin", k=3, **given)
