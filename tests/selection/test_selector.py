from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import usl

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


def test_importing_usl_imports_nothing_heavy():
    code = (
        "import sys, usl\n"
        "heavy = {'torch', 'sklearn', 'numpy', 'faiss', 'matplotlib', 'pyarrow', 'PIL'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import usl.cli, usl.selection\n"
        "assert not {'torch', 'sklearn', 'faiss', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
