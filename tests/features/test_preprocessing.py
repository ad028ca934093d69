from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from threadpoolctl import threadpool_limits

from usl.core.errors import DataError, UsageError, UslWarning
from usl.features.preprocessing import Preprocessing
from usl.numeric import blocks
from usl.numeric import pca as moments


def correlated(n=400, d=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 5 * rng.normal(size=d)).astype(
        np.float32
    )


def unit(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_nothing_but_length():
    rows = correlated()
    fitted = Preprocessing.fit(rows, center=False, standardize=False)
    assert (fitted.mean, fitted.deviation, fitted.components) == (None, None, None)
    result = fitted.transform(rows)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, unit(rows), atol=1e-6)


def test_centre_and_scale_match_numpy():
    rows = correlated()
    exact = rows.astype(np.float64)
    fitted = Preprocessing.fit(rows, center=True, standardize=True)
    np.testing.assert_allclose(fitted.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(fitted.deviation, exact.std(0), rtol=1e-12)
    expected = unit((exact - exact.mean(0)) / exact.std(0))
    np.testing.assert_allclose(fitted.transform(rows), expected, atol=1e-6)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("center", [False, True])
def test_pca_matches_singular_vectors(center, standardize):
    rows = correlated()
    points = rows.astype(np.float64)
    points = points - points.mean(0) * center
    points = points / rows.astype(np.float64).std(0) if standardize else points
    vectors = np.linalg.svd(points, full_matrices=False)[2][:5]
    peaks = np.abs(vectors).argmax(1)
    vectors *= np.sign(vectors[np.arange(5), peaks])[:, None]
    fitted = Preprocessing.fit(rows, center=center, standardize=standardize, pca=5)
    np.testing.assert_allclose(fitted.components, vectors, atol=1e-8)
    np.testing.assert_allclose(fitted.transform(rows), unit(points @ vectors.T), atol=1e-6)
    assert fitted.dimensions == 5


def test_more_columns_than_a_strip_and_more_rows_than_a_block(monkeypatch):
    """Several blocks and strips add up to the covariance that one product gives."""
    rows = correlated(300, 40)
    monkeypatch.setattr(moments, "STRIP", 7)
    monkeypatch.setattr(moments, "rows_per_block", lambda row_bytes: 64)
    centred = rows.astype(np.float64) - rows.astype(np.float64).mean(0)
    found = moments.second_moments(rows, rows.astype(np.float64).mean(0), None)
    np.testing.assert_allclose(found, centred.T @ centred / len(rows), rtol=1e-10, atol=1e-10)
    assert np.array_equal(found, found.T)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_any_number_type_and_memmaps(tmp_path, dtype):
    rows = np.random.default_rng(1).integers(0, 255, (90, 6)).astype(dtype)
    np.save(tmp_path / "rows.npy", rows)
    stored = np.load(tmp_path / "rows.npy", mmap_mode="r")
    reference = Preprocessing.fit(rows.astype(np.float64), center=True, standardize=True, pca=4)
    fitted = Preprocessing.fit(stored, center=True, standardize=True, pca=4)
    assert fitted.digest == reference.digest
    assert np.array_equal(fitted.transform(stored), reference.transform(rows.astype(np.float64)))


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    rows = correlated(5000, 300)
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(blocks, "thread_count", lambda threads=threads: threads)
        with threadpool_limits(threads):
            fitted = Preprocessing.fit(rows, center=True, standardize=True, pca=20)
            results.append((fitted.digest, fitted.transform(rows).tobytes()))
    assert len(set(results)) == 1


def test_a_row_alone_is_transformed_as_among_others():
    rows = correlated(500, 64)
    fitted = Preprocessing.fit(rows, center=True, standardize=True, pca=16)
    together = fitted.transform(rows)
    alone = np.concatenate([fitted.transform(rows[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, together[:20], atol=2e-7)


def test_constant_dimensions():
    rows = correlated()
    rows[:, 3] = 0.1  # not a sum of powers of two: its float mean would be off by rounding
    fitted = Preprocessing.fit(rows, center=True, standardize=True)
    assert fitted.deviation[3] == 1
    assert np.all(fitted.transform(rows)[:, 3] == 0)


@pytest.mark.parametrize("pca", [None, 2])
def test_identical_rows_become_zero(pca):
    rows = np.full((7, 4), 0.1, dtype=np.float32)
    fitted = Preprocessing.fit(rows, center=True, standardize=True, pca=pca)
    assert np.all(fitted.transform(rows) == 0)


def test_a_row_equal_to_the_mean_stays_zero():
    rows = np.concatenate([correlated(200, 6), -correlated(200, 6)]).astype(np.float64)
    fitted = Preprocessing.fit(rows, center=True, standardize=True, pca=3)
    assert np.all(fitted.transform(fitted.mean[None]) == 0)
    assert np.linalg.norm(fitted.transform(rows), axis=1) == pytest.approx(1)


def test_zero_row_without_centring_stays_zero():
    rows = correlated(20, 4)
    rows[5] = 0
    fitted = Preprocessing.fit(rows, center=False, standardize=False)
    lengths = np.linalg.norm(fitted.transform(rows), axis=1)
    assert lengths[5] == 0
    assert np.delete(lengths, 5) == pytest.approx(1)


def test_one_row():
    row = np.array([[3.0, 4.0]])
    assert np.all(Preprocessing.fit(row, center=True, standardize=True).transform(row) == 0)
    plain = Preprocessing.fit(row, center=False, standardize=False)
    np.testing.assert_allclose(plain.transform(row), [[0.6, 0.8]])


@pytest.mark.parametrize(("n", "d", "most"), [(10, 4, 4), (3, 8, 3)])
def test_too_many_components_are_clamped(n, d, most):
    with pytest.warns(UslWarning, match=f"pca: 64 .* using {most}"):
        fitted = Preprocessing.fit(correlated(n, d), center=False, standardize=False, pca=64)
    assert fitted.dimensions == most


def test_directions_without_variance_are_left_out():
    rows = np.repeat(correlated(100, 3), 4, axis=1)  # 12 columns of rank 3
    fitted = Preprocessing.fit(rows, center=True, standardize=False, pca=10)
    assert fitted.dimensions == 3
    # so nothing of the distances is lost
    centred = rows - rows.mean(0, dtype=np.float64)
    np.testing.assert_allclose(
        np.linalg.norm(centred @ fitted.components.T, axis=1), np.linalg.norm(centred, axis=1)
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_values_name_the_row(monkeypatch, bad):
    rows = correlated(50, 4)
    fitted = Preprocessing.fit(rows, center=True, standardize=False)
    rows[37, 2] = bad
    with pytest.raises(DataError, match="row 37"):
        Preprocessing.fit(rows, center=False, standardize=False)
    monkeypatch.setattr("usl.features.preprocessing.rows_per_block", lambda row_bytes: 16)
    with pytest.raises(DataError, match="row 37"):
        fitted.transform(rows)


def test_large_finite_values_are_no_infinity():
    rows = np.full((4, 2), 1e308)
    rows[0] = 1e307
    with np.errstate(over="ignore"):
        moments.check_finite(rows, 0)


def test_wrong_width_says_both():
    fitted = Preprocessing.fit(correlated(20, 5), center=True, standardize=False)
    with pytest.raises(DataError, match=r"7 dimensions.*fitted on 5"):
        fitted.transform(correlated(20, 7))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((0, 4)), "no row"),
        (np.zeros(4), r"table of numbers"),
        (np.zeros((4, 0)), "no dimension"),
        (np.array([["a"]]), "table of numbers"),
    ],
)
def test_no_table(rows, message):
    with pytest.raises(DataError, match=message):
        Preprocessing.fit(rows, center=True, standardize=False)


def test_pca_below_one():
    with pytest.raises(UsageError, match="pca: 0"):
        Preprocessing.fit(correlated(), center=True, standardize=False, pca=0)


def test_no_rows_to_transform():
    fitted = Preprocessing.fit(correlated(20, 5), center=True, standardize=False, pca=2)
    assert fitted.transform(np.zeros((0, 5))).shape == (0, 2)


@pytest.mark.parametrize("options", [{}, {"standardize": True}, {"center": True, "pca": 3}])
def test_saved_and_loaded(tmp_path, options):
    rows = correlated()
    fitted = Preprocessing.fit(rows, **{"center": False, "standardize": False, **options})
    fitted.save(tmp_path / "a.npz")
    loaded = Preprocessing.load(tmp_path / "a.npz")
    assert loaded.digest == fitted.digest
    assert np.array_equal(loaded.transform(rows), fitted.transform(rows))
    loaded.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_digest_tells_fits_apart():
    rows = correlated()
    options = [
        {"center": a, "standardize": b, "pca": c} for a in (0, 1) for b in (0, 1) for c in (None, 3)
    ]
    digests = {Preprocessing.fit(rows, **option).digest for option in options}
    assert len(digests) == len(options)


def test_loading_what_is_no_preprocessing(tmp_path):
    with pytest.raises(DataError, match=r"missing\.npz does not exist"):
        Preprocessing.load(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", format=np.array([{}], dtype=object), width=3)
    Preprocessing.fit(correlated(), center=True, standardize=True).save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "other", "pickled", "cut"):
        with pytest.raises(DataError, match=rf"{name}\.npz holds no fitted preprocessing"):
            Preprocessing.load(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "later.npz", format=9, width=3)
    with pytest.raises(DataError, match="format 9"):
        Preprocessing.load(tmp_path / "later.npz")


@settings(max_examples=60, deadline=None)
@given(
    rows=arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 6)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    center=st.booleans(),
    standardize=st.booleans(),
    pca=st.sampled_from([None, 1]),
)
def test_every_row_is_of_unit_length_or_zero(rows, center, standardize, pca):
    points = Preprocessing.fit(rows, center=center, standardize=standardize, pca=pca).transform(
        rows
    )
    lengths = np.linalg.norm(points.astype(np.float64), axis=1)
    assert np.all((lengths == 0) | (np.abs(lengths - 1) < 1e-6))
