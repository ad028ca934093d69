from __future__ import annotations

import numpy as np
import pytest

from usl.numeric.adam import Adam


def test_steps_are_those_of_the_paper():
    """Algorithm 1 of Kingma & Ba, written out."""
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(5, 3)), rng.normal(size=4)]
    gradients = [[rng.normal(size=array.shape) for array in start] for _ in range(30)]
    ours = [array.copy() for array in start]
    adam = Adam(ours)
    for step, given in enumerate(gradients, start=1):
        adam.step(given, 0.1 / step)
    for number, theta in enumerate(start):
        m, v = np.zeros_like(theta), np.zeros_like(theta)
        for t, given in enumerate(gradients, start=1):
            m = 0.9 * m + 0.1 * given[number]
            v = 0.999 * v + 0.001 * given[number] ** 2
            theta = theta - 0.1 / t * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(ours[number], theta, rtol=1e-9)


def test_arrays_keep_their_precision_and_are_changed_in_place():
    array = np.ones(3, np.float32)
    Adam([array]).step([np.array([1, -1, 0], np.float32)], 0.25)
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, [0.75, 1.25, 1])


def test_every_array_needs_its_gradient():
    with pytest.raises(ValueError, match="argument"):
        Adam([np.zeros(2), np.zeros(3)]).step([np.zeros(2)], 0.1)
