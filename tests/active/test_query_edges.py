"""Every strategy on odd pools: coinciding rows, rows of zeros, sure predictions, few labels."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import QUICK, unit
from usl.active.contract import ORACLE, STRATEGIES
from usl.core.errors import UsageError


def ordinary(n=40, n_classes=3, width=4):
    """Features, labels of two classes, and predictions of more."""
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(n_classes), n)
    return unit(rng.normal(size=(n, width))), np.array([0, 1]), np.array([0, 1]), p


def all_alike():
    features, labeled, classes, p = ordinary()
    return np.repeat(features[:1], 40, axis=0), labeled, classes, np.repeat(p[:1], 40, axis=0)


def pairs_and_zeros():
    features, labeled, classes, p = ordinary()
    features[20:] = features[:20]
    features[[5, 25]] = 0
    return features, labeled, classes, p


def certain():
    features, labeled, classes, p = ordinary()
    return features, labeled, classes, np.eye(3)[p.argmax(axis=1)]


def two_classes():
    return ordinary(n_classes=2)


def a_thousand_classes():
    return ordinary(n_classes=1000)


def one_labeled_class():
    features, labeled, _, p = ordinary()
    return features, labeled, np.array([1, 1]), p


FAIR = {name for name in STRATEGIES.names() if not hasattr(STRATEGIES.load(name), ORACLE)}
# These learn by themselves, which takes two classes.
THROUGH_A_HEAD = {"alfamix", "bald", "dropquery", "llal", "mcdal", "refine", "revival"}
OF_VIEWS = {"cbssal", "mma", "mma_kmeans"}  # which the learner of two classes predicts
OF_FEW_LABELS = sorted(FAIR - THROUGH_A_HEAD - OF_VIEWS)
POOLS = (ordinary, all_alike, pairs_and_zeros, certain, two_classes, a_thousand_classes)


@pytest.mark.filterwarnings("ignore:.*all zeros.*")
@pytest.mark.parametrize("method", sorted(FAIR))
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("budget", [5, 38])
def test_odd_pools_are_served(method, pool, budget):
    features, labeled, classes, predictions = pool()
    found = usl.query(
        features,
        budget,
        labeled=labeled,
        classes=classes,
        method=method,
        predictions=predictions,
        learner="nearest_mean",
        **QUICK.get(method, {}),
    )
    assert len(set(found.indices.tolist())) == budget
    assert all(np.isfinite(values).all() for values in found.figures.values())


@pytest.mark.parametrize("method", OF_FEW_LABELS)
def test_labels_of_one_class_are_enough_where_predictions_are_given(method):
    features, labeled, classes, predictions = one_labeled_class()
    given = {"labeled": labeled, "classes": classes, "predictions": predictions}
    found = usl.query(features, 3, method=method, **given, **QUICK.get(method, {}))
    assert len(found.indices) == 3


@pytest.mark.parametrize("method", OF_FEW_LABELS)
def test_no_label_is_needed_where_predictions_are_given(method):
    features, _, _, predictions = ordinary()
    none = np.empty(0, np.int64)
    found = usl.query(
        features, 3, labeled=none, classes=none, method=method, predictions=predictions
    )
    assert len(found.indices) == 3


@pytest.mark.parametrize("method", sorted(THROUGH_A_HEAD))
def test_a_head_needs_labels_of_two_classes(method):
    features, labeled, classes, predictions = one_labeled_class()
    given = {"labeled": labeled, "classes": classes, "predictions": predictions}
    with pytest.raises(UsageError, match=f"{method!r} trains a head"):
        usl.query(features, 3, method=method, **given)


@pytest.mark.parametrize("method", sorted(OF_VIEWS))
def test_views_need_labels_of_two_classes_or_are_given(method):
    features, labeled, classes, predictions = one_labeled_class()
    given = {"labeled": labeled, "classes": classes, "predictions": predictions, "method": method}
    with pytest.raises(UsageError, match="views: none given, and fewer than two classes"):
        usl.query(features, 3, **given)
    found = usl.query(features, 3, views=lambda count: iter([predictions] * count), **given)
    assert len(found.indices) == 3


@pytest.mark.parametrize(
    "method", [name for name in sorted(FAIR) if not hasattr(STRATEGIES.load(name), "DRAWN")]
)
def test_rows_of_another_order_give_the_same_picks_where_nothing_is_drawn(method):
    features, labeled, classes, predictions = ordinary()
    given = {"classes": classes, "method": method}
    found = usl.query(features, 6, labeled=labeled, predictions=predictions, **given)
    order = np.random.default_rng(2).permutation(40)
    place = np.argsort(order)
    mixed = usl.query(
        features[order], 6, labeled=place[labeled], predictions=predictions[order], **given
    )
    assert order[mixed.indices].tolist() == found.indices.tolist()
