"""Probabilities of a few classes of each item: rows as of the whole table, written out."""

from __future__ import annotations

import numpy as np
import pytest

from usl.training.shared.few_classes import FewClasses, renumbered

NUMBERS = np.array([[4, 0], [1, 1], [2, 3]], dtype=np.int16)
VALUES = np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 0.0]])
WHOLE = np.array([[0.25, 0, 0, 0, 0.75], [0, 1, 0, 0, 0], [0.2, 0.2, 0.2, 0.2, 0.2]])


@pytest.fixture
def table():
    return FewClasses(NUMBERS, VALUES, 5)


@pytest.mark.parametrize(
    "rows", [1, slice(None), slice(1, 3), [2, 0, 0], np.array([True, False, True]), []]
)
def test_rows_are_whole(table, rows):
    np.testing.assert_array_equal(table[rows], WHOLE[rows])
    assert table.shape == WHOLE.shape
    assert table.dtype == np.float64


def test_tables_one_after_another(table):
    np.testing.assert_array_equal(FewClasses.joined([table, table]), np.concatenate([WHOLE, WHOLE]))


def test_the_likeliest_class_is_the_lower_of_equal_ones():
    even = FewClasses(
        np.array([[7, 2, 5], [1, 0, 3]]), np.array([[0.4, 0.4, 0.2], [0.1, 0, 0.9]]), 8
    )
    classes, sure = even.likeliest(slice(None))
    np.testing.assert_array_equal(classes, [2, 3])
    np.testing.assert_array_equal(sure, [0.4, 0.9])


@pytest.mark.parametrize("few", [False, True])
def test_classes_get_other_numbers_merge_and_vanish(few):
    whole = np.array([[0.5, 0.2, 0.3, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.1, 0.2, 0.7]])
    numbers = np.array([[0, 1, 2], [3, 0, 1], [1, 2, 3]])
    said = FewClasses(numbers, np.take_along_axis(whole, numbers, axis=1), 4) if few else whole
    found = renumbered(said, np.array([2, 1, 2, -1]), 4)  # 0 and 2 are one, 3 is gone, two are new
    wanted = [[0, 0.2, 0.8, 0], [0.25] * 4, [0, 1 / 3, 2 / 3, 0]]
    np.testing.assert_allclose(np.asarray(found), wanted, atol=1e-15)
