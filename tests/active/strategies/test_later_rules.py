"""pcb, tcm, bald and alfamix, each against its definition written out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import usl


def asked(pool, budget, method, **given):
    given = {
        "labeled": pool.labeled,
        "classes": pool.classes,
        "candidates": pool.candidates,
        **given,
    }
    given.setdefault("predictions", pool.predictions)
    return usl.query(pool.features, budget, method=method, **given)


def head_of(pool):
    head = LogisticRegression(C=10, max_iter=2000)
    return head.fit(pool.features[pool.labeled].astype(np.float64), pool.classes)


def entropy(p):
    return -(p * np.log(p)).sum(axis=-1)


def test_pcb_serves_the_predicted_class_of_fewest_labels(pool):
    found = asked(pool, 12, "pcb", share=0.5, seed=1)
    least = np.sort(entropy(pool.predictions[pool.candidates]))[-30]
    assert (entropy(pool.predictions[found.indices]) >= least).all()
    labels = np.bincount(pool.classes, minlength=4)
    looked = pool.candidates[entropy(pool.predictions[pool.candidates]) >= least]
    left = np.bincount(pool.predictions[looked].argmax(axis=1), minlength=4)
    for row, reason in zip(found.indices, found.reasons, strict=True):
        served = int(pool.predictions[row].argmax())
        assert labels[served] == min(labels[c] for c in range(4) if left[c])
        assert reason.startswith(f"likely {{{served}}}, which has {labels[served]} label")
        labels[served] += 1
        left[served] -= 1


def test_tcm_is_typiclust_for_three_batches_and_margin_then(pool):
    by = {"labeled": pool.labeled, "candidates": pool.candidates, "seed": 1}
    typical = usl.select(pool.features, 3, method="typiclust", **by)
    doubtful = asked(pool, 2, "margin")
    assert set(asked(pool, 3, "tcm", seed=1).indices) == set(typical.indices)
    assert asked(pool, 2, "tcm").indices.tolist() == doubtful.indices.tolist()
    assert asked(pool, 2, "tcm", batches=5).parameters["by"] == "typiclust"


def test_bald_is_the_mutual_information_of_class_and_dropout(pool):
    head, points = head_of(pool), pool.features[pool.candidates].astype(np.float64)
    rng = np.random.default_rng([2, pool.candidates[0]])
    passes = []
    for _ in range(5):
        drop = rng.random(points.shape, dtype=np.float32) < 0.5
        passes.append(head.predict_proba(np.where(drop, 0, points / 0.5)))
    told = entropy(np.mean(passes, axis=0)) - np.mean([entropy(p) for p in passes], axis=0)
    found = asked(pool, 9, "bald", passes=5, dropout=0.5, seed=2)
    order = np.argsort(-told)[:9]
    assert found.indices.tolist() == pool.candidates[order].tolist()
    np.testing.assert_allclose(found.figures["information"], told[order], rtol=1e-4)


@pytest.mark.parametrize("epsilon", [0.1, 0.3])
def test_alfamix_moves_rows_up_their_loss(pool, epsilon):
    head, points = head_of(pool), pool.features[pool.candidates].astype(np.float64)
    own = pool.features[pool.labeled].astype(np.float64)
    mixes = np.zeros(len(points), int)
    for i, z in enumerate(points):
        p = head.predict_proba(z[None])[0]
        likely = int(p.argmax())
        gradient = (p - np.eye(4)[likely]) @ head.coef_
        for one in range(4):
            anchor = own[pool.classes == one].mean(axis=0)
            shares = (  # of the closed form, coordinate by coordinate
                (epsilon / np.sqrt(5))
                * np.linalg.norm(anchor - z)
                * gradient
                / (np.linalg.norm(gradient) * (anchor - z))
            )
            mixed = shares * anchor + (1 - shares) * z
            mixes[i] += head.predict(mixed[None])[0] != likely
    found = asked(pool, len(points), "alfamix", epsilon=epsilon)
    place = np.searchsorted(pool.candidates, found.indices)
    assert found.figures["mixes"].tolist() == mixes[place].tolist()
    assert (np.diff(found.figures["mixes"]) <= 0).all()
    count = int((mixes > 0).sum())
    assert 0 < count < len(points)
    some = asked(pool, max(1, count // 3), "alfamix", epsilon=epsilon)
    assert (some.figures["mixes"] > 0).all()
