"""What every selection method promises, checked for each one that is found."""

from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.core.errors import DataError, UsageError, UslWarning
from usl.numeric.stage_cache import KeepInMemory
from usl.selection.contract import METHODS
from usl.selection.known_methods import is_nested, is_oracle, list_methods, parameters_of
from usl.selection.select import select

pytestmark = pytest.mark.filterwarnings(
    "ignore:k = .* neighbours", "ignore:usl_t. .* clusters are empty"
)

SHORT = {
    "activeft": {"iterations": 100},
    "usl_t": {"steps": 60},
    "cold_paws": {"steps": 250, "sample": 300},
}


def drawn(method):
    """Why a permutation of the rows cannot leave the picks alone, or None.

    Such methods are held to picks that are as good; every other one, to the same picks.
    """
    module = METHODS.load(method)
    return getattr(module, "DRAWN", None) or getattr(module, "DRAWN_COLD", None)


def exact_cases():
    """Methods, with labelled rows or cold, whose picks a permutation must leave alone.

    Nothing is drawn where a method can be given its clusters.
    """
    for name in list_methods():
        module = METHODS.load(name)
        if not hasattr(module, "DRAWN") or "clusters" in parameters_of(name):
            yield name, False
            if not hasattr(module, "DRAWN_COLD"):
                yield name, True


def extra(method, labels):
    """An oracle gets the answers; a method that trains keeps it short."""
    answers = {"labels": labels.astype(str).astype(object)} if is_oracle(method) else {}
    return answers | SHORT.get(method, {})


@pytest.fixture(params=list_methods())
def method(request):
    return request.param


@pytest.mark.parametrize("budget", [6, 7, 40, 300])
def test_exactly_the_budget_of_unique_rows(method, blobs, budget):
    features, classes = blobs
    picks = select(features, budget, method=method, **extra(method, classes)).indices
    assert picks.dtype == np.int64
    assert len(np.unique(picks)) == budget
    assert picks.min() >= 0
    assert picks.max() < 600


def test_same_seed_same_picks_and_the_input_is_untouched(method, blobs):
    features, classes = blobs
    before = features.copy()
    first = select(features, 12, method=method, seed=3, **extra(method, classes))
    again = select(features, 12, method=method, seed=3, **extra(method, classes))
    np.testing.assert_array_equal(first.indices, again.indices)
    for name, column in first.columns.items():
        np.testing.assert_array_equal(column, again.columns[name])
    np.testing.assert_array_equal(features, before)


def test_stages_kept_from_other_selections_change_nothing(method, blobs):
    features, classes = blobs
    keep, own = KeepInMemory(), extra(method, classes)
    select(features, 20, method=method, resume=keep, seed=1, **own)
    select(features, 8, method=method, resume=keep, labeled=np.arange(5), **own)
    alone = select(features, 8, method=method, seed=1, **own)
    shared = select(features, 8, method=method, resume=keep, seed=1, **own)
    np.testing.assert_array_equal(alone.indices, shared.indices)


def test_the_number_of_threads_changes_nothing(method, monkeypatch):
    features = unit(np.random.default_rng(5).normal(size=(9000, 24)))  # several blocks
    classes = np.arange(9000) % 4
    found = []
    for threads in (1, 3):
        monkeypatch.setattr("usl.numeric.blocks.thread_count", lambda threads=threads: threads)
        found.append(select(features, 8, method=method, **extra(method, classes)))
    np.testing.assert_array_equal(found[0].indices, found[1].indices)
    np.testing.assert_array_equal(found[0].representative, found[1].representative)


@pytest.mark.parametrize("known", [0, 30])
@pytest.mark.parametrize("method", [name for name in list_methods() if is_nested(name)])
def test_nested_picks_begin_with_those_of_a_smaller_budget(method, known, blobs):
    features, _ = blobs
    asked = {"method": method, "labeled": np.arange(known), "seed": 2}
    many = select(features, 60, **asked).indices
    for budget in (1, 7, 20):
        np.testing.assert_array_equal(select(features, budget, **asked).indices, many[:budget])


def test_labelled_rows_are_never_picked(method, blobs):
    features, classes = blobs
    labeled = np.arange(0, 600, 3)
    picks = select(features, 50, method=method, labeled=labeled, **extra(method, classes)).indices
    assert not np.isin(picks, labeled).any()
    mask = np.zeros(600, dtype=bool)
    mask[labeled] = True
    by_mask = select(features, 50, method=method, labeled=mask, **extra(method, classes)).indices
    np.testing.assert_array_equal(picks, by_mask)


def test_only_candidates_are_picked_even_all_of_them(method, blobs):
    features, classes = blobs
    candidates = np.flatnonzero(classes < 2)
    few = select(features, 10, method=method, candidates=candidates, **extra(method, classes))
    assert np.isin(few.indices, candidates).all()
    every = select(features, 200, method=method, candidates=candidates, **extra(method, classes))
    np.testing.assert_array_equal(np.sort(every.indices), candidates)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_float_and_any_memory_layout(method, blobs, dtype):
    features, classes = blobs
    table = features.astype(dtype)
    plain = select(table, 9, method=method, **extra(method, classes)).indices
    odd = np.asfortranarray(table)
    strided = np.repeat(table, 2, axis=0)[::2]
    for other in (odd, strided):
        found = select(other, 9, method=method, **extra(method, classes)).indices
        np.testing.assert_array_equal(plain, found)


def test_fewer_distinct_rows_than_the_budget(method):
    features = np.repeat(np.eye(4), 5, axis=0)
    classes = np.repeat(np.arange(4), 5)
    picks = select(features, 11, method=method, **extra(method, classes)).indices
    assert len(np.unique(picks)) == 11


def test_rows_that_are_all_the_same(method):
    features, classes = np.ones((8, 3)), np.zeros(8, dtype=int)
    picks = select(features, 5, method=method, **extra(method, classes)).indices
    assert len(np.unique(picks)) == 5


def test_one_row(method):
    found = select([[1.0, 2.0]], 1, method=method, **extra(method, np.zeros(1, dtype=int)))
    assert found.indices.tolist() == [0]
    assert found.stands_for(0).tolist() == [0]


def test_every_item_is_spoken_for_and_picks_speak_for_themselves(method, blobs):
    features, classes = blobs
    found = select(features, 13, method=method, **extra(method, classes))
    assert (found.representative >= 0).all()
    np.testing.assert_array_equal(found.representative[found.indices], np.arange(13))
    members = np.concatenate([found.stands_for(rank) for rank in range(13)])
    np.testing.assert_array_equal(np.sort(members), np.arange(600))


def test_zero_rows_are_kept_with_a_warning(method, blobs):
    features, classes = blobs
    features = features.copy()
    features[17] = 0
    with pytest.warns(UslWarning, match=r"1 row is all zeros .*row 17"):
        picks = select(features, 20, method=method, **extra(method, classes)).indices
    assert len(np.unique(picks)) == 20


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_the_row(method, blobs, bad):
    features, classes = blobs
    features = features.copy()
    features[5, 2] = bad
    with pytest.raises(DataError, match="row 5 holds NaN or infinity"):
        select(features, 4, method=method, **extra(method, classes))


@pytest.mark.parametrize("budget", [0, -1, 601, 2.5, True, "4"])
def test_impossible_budgets(method, blobs, budget):
    features, classes = blobs
    with pytest.raises(UsageError, match="budget"):
        select(features, budget, method=method, **extra(method, classes))


def test_huge_and_tiny_values_have_directions_too(method):
    rng = np.random.default_rng(0)
    base = unit(rng.normal(size=(50, 5)))
    classes = np.arange(50) % 2
    scale = np.logspace(-30, 30, 50)[:, None].astype(np.float32)
    plain = select(base, 6, method=method, **extra(method, classes)).indices
    scaled = select(base * scale, 6, method=method, **extra(method, classes)).indices
    np.testing.assert_array_equal(plain, scaled)


@pytest.mark.parametrize("known", [0, 30])
def test_as_many_picks_as_candidates(method, blobs, known):
    features, classes = blobs[0][:90], blobs[1][:90]
    labeled = np.arange(known)
    found = select(features, 90 - known, method=method, labeled=labeled, **extra(method, classes))
    np.testing.assert_array_equal(np.sort(found.indices), np.arange(known, 90))


def test_the_order_in_which_candidates_are_given_changes_nothing(method, blobs):
    features, classes = blobs
    candidates = np.random.default_rng(1).permutation(600)[:400]
    given = {"method": method, **extra(method, classes)}
    shuffled = select(features, 12, candidates=candidates, **given)
    ordered = select(features, 12, candidates=np.sort(candidates), **given)
    np.testing.assert_array_equal(shuffled.indices, ordered.indices)
    for name, column in shuffled.columns.items():
        np.testing.assert_array_equal(column, ordered.columns[name])


def by_class(blobs):
    """The blobs with their classes one after the other, the order that hides least."""
    features, classes = blobs
    order = np.argsort(classes, kind="stable")
    return features[order], classes[order]


@pytest.mark.parametrize(("method", "cold"), list(exact_cases()))
def test_permuted_rows_same_picks(method, cold, blobs):
    features, classes = by_class(blobs)
    order = np.random.default_rng(2).permutation(600)  # row i is order[i] of the original
    place = np.argsort(order)
    labeled = np.arange(0 if cold else 600, step=50)
    candidates = np.setdiff1d(np.arange(0, 500), labeled)
    clusters = {"clusters": classes} if "clusters" in parameters_of(method) else {}
    permuted = {name: answers[order] for name, answers in clusters.items()}
    given = {"method": method, **extra(method, classes)}
    plain = select(features, 20, labeled=labeled, candidates=candidates, **given, **clusters)
    other = select(
        features[order],
        20,
        labeled=place[labeled],
        candidates=place[candidates],
        **given,
        **permuted,
    )
    assert set(order[other.indices].tolist()) == set(plain.indices.tolist())


def gap(run, features, classes, seeds=range(8)):
    """By how much a permutation changes the mean distance to the nearest pick, as a share."""
    means = []
    for order in (np.arange(len(features)), np.random.default_rng(2).permutation(len(features))):
        rows = features[order]
        distances = []
        for seed in seeds:
            picks = run(rows, classes[order], seed)
            between = np.linalg.norm(rows[:, None] - rows[picks], axis=2)
            distances.append(between.min(axis=1).mean())
        means.append(np.mean(distances))
    return abs(means[1] / means[0] - 1)


@pytest.mark.parametrize("method", [name for name in list_methods() if drawn(name)])
def test_permuted_rows_picks_as_good(method, blobs):
    features, classes = by_class(blobs)

    def run(rows, of_rows, seed):
        own = extra(method, of_rows)
        if method == "quorum":  # usl_t, whose picks it would look at too, has a case of its own
            own["learned"] = 0
        return select(rows, 30, method=method, seed=seed, **own).indices

    assert gap(run, features[::3], classes[::3]) < 0.05


@pytest.mark.parametrize("method", [name for name in list_methods() if drawn(name)])
def test_a_method_that_draws_says_why(method):
    assert isinstance(drawn(method), str)
    assert drawn(method)


def test_a_method_that_prefers_early_rows_would_be_noticed(blobs):
    def run(rows, of_rows, seed):
        early = np.random.default_rng(seed).permutation(len(rows) * 3 // 4)
        return early[:30]

    assert gap(run, *by_class(blobs)) > 0.1
