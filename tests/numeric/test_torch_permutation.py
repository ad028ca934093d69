from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from usl.numeric.torch_permutation import first_of_randperm  # noqa: E402


@pytest.mark.parametrize(
    ("n", "count", "seed"), [(1, 1, 3), (10, 10, 0), (1000, 999, 5), (50_000, 40, 2**40 + 1)]
)
def test_it_is_torchs(n, count, seed):
    torch.manual_seed(seed)
    np.testing.assert_array_equal(first_of_randperm(n, count, seed), torch.randperm(n)[:count])
