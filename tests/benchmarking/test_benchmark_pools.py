"""What a seed draws: its own part of the pool, the same for all, thinned where asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from usl.benchmarking.datasets import DataSet
from usl.benchmarking.entries import Entry
from usl.benchmarking.plan import Plan
from usl.benchmarking.pools import check_pools, open_pools, thinned
from usl.core.errors import DataError, UsageError


def saved(tmp_path, n=200, test=0, classes=4, labels=True):
    rng = np.random.default_rng(0)
    path = tmp_path / "set.npz"
    truth = np.arange(n + test) % classes
    columns = {"labels": truth.astype(str)} if labels else {}
    np.savez(
        path,
        features=rng.normal(size=(n + test, 5)) + 3 * np.eye(5)[truth],
        subset=np.repeat(["train", "test"], [n, test]),
        **columns,
    )
    return DataSet("flowers", str(path), ("auto",), (8,), most=150)


def only(dataset, share=0.8):
    (pool,) = open_pools(dataset, share)
    return pool


def test_every_seed_draws_its_own_part_and_the_rest_is_tested_on(tmp_path):
    pool = only(saved(tmp_path))
    first, again, other = pool.draw(0), pool.draw(0), pool.draw(1)
    assert len(first.rows) == 120  # 80% of most
    np.testing.assert_array_equal(first.rows, again.rows)
    np.testing.assert_array_equal(first.train, again.train)
    assert set(first.rows.tolist()) != set(other.rows.tolist())
    train, test = pool.rows(0)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(200))
    np.testing.assert_array_equal(first.train_truth, train % 4)
    np.testing.assert_allclose(np.linalg.norm(first.train, axis=1), 1, rtol=1e-5)


def test_a_test_subset_is_tested_on_and_never_drawn_from(tmp_path):
    pool = only(saved(tmp_path, n=100, test=40), share=1.0)
    train, test = pool.rows(3)
    assert sorted(train.tolist()) == list(range(100))
    assert test.tolist() == list(range(100, 140))


def test_the_space_is_fitted_on_the_draw_alone(tmp_path):
    pool = only(replace(saved(tmp_path, n=100, test=50), space={"center": True}))
    draw = pool.draw(0)
    raw = np.load(pool.features)
    centred = raw[draw.rows] - raw[draw.rows].mean(axis=0)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(draw.train, expected, atol=1e-5)


def test_a_long_tail_falls_exponentially_in_a_drawn_order():
    rows = np.random.default_rng(0).permutation(4000)
    orders = []
    for seed in range(6):
        kept = thinned(rows, rows % 5, 16.0, np.random.default_rng(seed))
        sizes = np.bincount(kept % 5)
        np.testing.assert_array_equal(np.sort(sizes)[::-1], [800, 400, 200, 100, 50])
        assert np.isin(kept, rows).all()
        orders.append(tuple(np.argsort(sizes)))
    assert len(set(orders)) > 1


def test_a_long_tail_of_unequal_classes_keeps_the_imbalance():
    rows = np.arange(1100)
    classes = np.repeat([0, 1], [1000, 100])
    for seed in range(4):
        sizes = np.bincount(classes[thinned(rows, classes, 4.0, np.random.default_rng(seed))])
        assert sorted(sizes.tolist()) in ([100, 400], [25, 100])


def test_the_key_tells_what_a_draw_depends_on(tmp_path):
    dataset = saved(tmp_path)
    key = only(dataset).key
    assert key == only(dataset).key
    for other in (
        replace(dataset, most=100),
        replace(dataset, imbalance=2.0),
        replace(dataset, space={"center": True}),
        replace(dataset, name="weeds"),
    ):
        assert only(other).key != key
    assert only(dataset, share=0.5).key != key


def test_what_given_features_rest_on_is_as_the_plan_says_and_no_part_of_the_key(tmp_path):
    given = saved(tmp_path)
    told = only(replace(given, supervision="ImageNet labels"))
    assert (only(given).supervision, told.supervision) == ("unknown", "ImageNet labels")
    assert only(given).key == told.key
    pictures = DataSet(
        "f", "builtin:fashion_mnist", ("pixels",), (8,), most=50, supervision="ImageNet labels"
    )
    assert only(pictures).supervision == "none"  # the encoder knows better


def test_what_no_draw_can_serve_is_refused(tmp_path):
    dataset = saved(tmp_path)
    learner = Entry("logistic", "logistic")
    methods = (Entry("random", "random"), Entry("equal", "stratified"))
    plan = Plan("p", 2, 0.8, (replace(dataset, budgets=(120,)),), methods, (learner,), "random")
    with pytest.raises(UsageError, match=r"flowers.budgets: 120 labels, but a draw holds 120"):
        check_pools(plan, [only(plan.datasets[0])])
    plan = replace(plan, datasets=(replace(dataset, budgets=(3,)),))
    with pytest.raises(UsageError, match=r"3 labels are too few for equal, .* 4 classes"):
        check_pools(plan, [only(plan.datasets[0])])
    check_pools(replace(plan, methods=methods[:1]), [only(plan.datasets[0])])
    with pytest.raises(DataError, match=r"set.npz holds no labels"):
        only(saved(tmp_path, labels=False))
    with pytest.raises(DataError, match="leaves no image to test on"):
        only(saved(tmp_path, n=100), share=1.0)
