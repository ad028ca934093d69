from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import usl
from usl.core.errors import DataError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:k = ")


@parametrize_with_checks([usl.Selector()])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def test_is_a_shell_around_select(blobs):
    features, _ = blobs
    found = usl.Selector(budget=9, params={"k": 30}, random_state=4).fit(features)
    expected = usl.select(features, 9, k=30, seed=4).indices
    np.testing.assert_array_equal(found.indices_, expected)
    np.testing.assert_array_equal(
        usl.Selector(budget=9, params={"k": 30}, random_state=4).fit_select(features),
        features[expected],
    )


def test_a_number_alone_is_the_budget(blobs):
    features, _ = blobs
    found = usl.Selector(10, params={"k": 30}).fit(features)
    assert len(found.indices_) == 10
    assert len(usl.Selector(4, "coreset").fit(features).indices_) == 4


def test_parameters_in_the_wrong_place_are_refused(blobs):
    features, _ = blobs
    with pytest.raises(UsageError, match=r"budget: 'coreset' given.*Selector\(10, 'coreset'\)"):
        usl.Selector("coreset", 10).fit(features)
    with pytest.raises(UsageError, match="method: 10 given"):
        usl.Selector(4, 10).fit(features)
    with pytest.raises(UsageError, match=r"budget: 2\.5 given"):
        usl.Selector(2.5).fit(features)


def test_the_ways_of_scikit_learns_selectors(blobs):
    features, _ = blobs
    selector = usl.Selector(9, "coreset")
    picked = selector.fit_transform(features)
    np.testing.assert_array_equal(picked, features[selector.indices_])
    mask = selector.get_support()
    assert (mask.dtype, mask.shape, mask.sum()) == (bool, (600,), 9)
    np.testing.assert_array_equal(selector.get_support(indices=True), np.sort(selector.indices_))
    with pytest.raises(NotFittedError):
        usl.Selector().get_support()


def test_a_table_keeps_its_index(blobs):
    pandas = pytest.importorskip("pandas")
    features, _ = blobs
    table = pandas.DataFrame(features, index=[f"row {number}" for number in range(600)])
    selector = usl.Selector(5, "coreset")
    picked = selector.fit_transform(table)
    assert picked.index.tolist() == [f"row {number}" for number in selector.indices_]


def test_stratified_gets_its_labels_from_y(blobs):
    features, classes = blobs
    found = usl.Selector(12, "stratified").fit(features, classes)
    assert np.bincount(classes[found.indices_]).tolist() == [2] * 6
    with pytest.raises(
        UsageError, match=r"y: stratified reads the label of every row.*fit\(X, y\)"
    ):
        usl.Selector(12, "stratified").fit(features)
    with pytest.raises(DataError, match=r"y: shape \(3,\) given for 600 rows"):
        usl.Selector(12, "stratified").fit(features, [1, 2, 3])
    expected = usl.Selector(12, "coreset").fit(features).indices_
    np.testing.assert_array_equal(
        usl.Selector(12, "coreset").fit(features, classes).indices_, expected
    )


def test_importing_usl_imports_nothing_heavy():
    code = (
        "import sys, usl\n"
        "heavy = {'torch', 'sklearn', 'numpy', 'faiss', 'matplotlib', 'pyarrow', 'PIL'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import usl.cli, usl.selection\n"
        "assert not {'torch', 'sklearn', 'faiss', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
