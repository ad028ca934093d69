from __future__ import annotations

import re

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import usl
from support import unit
from usl.core.errors import DataError, UsageError
from usl.selection.constraints import by_group as rounds
from usl.selection.constraints.select_within import Constraints, select_within
from usl.selection.known_methods import is_oracle, list_methods, parameters_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:k = .* neighbours", "ignore:usl_t. .* clusters are empty"
)


def extra(method, labels):
    answers = {"labels": labels.astype(str).astype(object)} if is_oracle(method) else {}
    short = {"steps": 250 if method == "cold_paws" else 40, "iterations": 20}  # where they train
    return answers | {name: short[name] for name in short if name in parameters_of(method)}


def distance(features, a, b):
    return float(np.linalg.norm(features[a].astype(np.float64) - features[b].astype(np.float64)))


def collapsed(features, threshold, rows, first):
    """Row -> its representative, each row in turn against the representatives so far."""
    found, original = list(first), {row: row for row in first}
    for row in rows:
        if row not in original:
            near = [other for other in found if distance(features, row, other) < threshold]
            original[row] = near[0] if near else row
            if not near:
                found.append(row)
    return original


@pytest.fixture(scope="module")
def pairs():
    """240 points in 4 directions, of which rows 200 to 239 repeat rows 0 to 39 with little noise;
    classes, and three groups of unlike size.
    """
    rng = np.random.default_rng(3)
    classes = rng.integers(0, 4, 200)
    points = np.eye(10)[classes] * 3 + rng.normal(scale=0.6, size=(200, 10))
    points = np.concatenate([points, points[:40] + rng.normal(scale=0.01, size=(40, 10))])
    classes = np.concatenate([classes, classes[:40]])
    groups = np.array(["north", "south", "west"])[np.minimum(np.arange(240) % 7 // 3, 2)]
    return unit(points), classes, groups


@pytest.mark.parametrize("method", list_methods())
def test_without_constraints_it_is_a_plain_selection(method, pairs):
    features, classes, _ = pairs
    options = {"method": method, "labeled": [3, 4], "seed": 5, **extra(method, classes)}
    plain = usl.select(features, 12, **options)
    found = select_within(features, 12, Constraints(), **options)
    np.testing.assert_array_equal(found.indices, plain.indices)
    np.testing.assert_array_equal(found.representative, plain.representative)
    assert found.table().equals(plain.table())
    assert found.constraints == {}


@pytest.mark.parametrize("method", list_methods())
def test_all_constraints_with_every_method(method, pairs):
    features, classes, groups = pairs
    constraints = Constraints(
        exclude=np.arange(100, 120),
        include=[9, 2],
        collapse_duplicates=0.1,
        groups=groups,
        quotas={"north": 8, "south": 10, "west": 6},
        min_distance=0.25,
    )
    options = {"method": method, "labeled": [30, 31], **extra(method, classes)}
    found = select_within(features, 24, constraints, **options)
    again = select_within(features, 24, constraints, **options)
    np.testing.assert_array_equal(found.indices, again.indices)
    assert found.table().equals(again.table())
    assert found.indices[:2].tolist() == [9, 2]
    assert found.included.tolist() == [True] * 2 + [False] * 22
    assert len(set(found.indices.tolist())) == 24
    assert not np.isin(found.indices, [*range(100, 120), 30, 31]).any()
    assert not np.isin(found.indices[2:], np.arange(200, 240)).any()  # all repeat earlier rows
    assert {name: int((found.group == name).sum()) for name in ("north", "south", "west")} == {
        "north": 8,
        "south": 10,
        "west": 6,
    }
    kept = [*found.indices.tolist(), 30, 31]
    close = [distance(features, a, b) for i, a in enumerate(kept) for b in kept[:i]]
    assert min(close[:-1]) >= 0.25 - 1e-5  # the last pair are the labelled ones
    np.testing.assert_array_equal(found.representative[found.indices], np.arange(24))
    assert found.table()["rank"].to_pylist() == list(range(1, 25))


@settings(max_examples=50, deadline=None)
@given(data=st.data(), seed=st.integers(0, 999), n=st.integers(8, 40))
def test_any_combination_keeps_to_all_or_says_why_not(data, seed, n):
    rng = np.random.default_rng(seed)
    features = unit(rng.normal(size=(n, 3)))
    names = rng.choice(["a", "b", "c"], n)
    some = st.lists(st.integers(0, n - 1), unique=True, max_size=n // 3)
    exclude, include, labeled = (data.draw(some) for _ in range(3))
    include = [row for row in include[:4] if row not in exclude and row not in labeled]
    threshold = data.draw(st.sampled_from([None, 0.2, 0.6]))
    quotas = data.draw(st.sampled_from([None, "equal", "proportional", "given"]))
    least = data.draw(st.sampled_from([None, 0.2, 0.6, 1.2]))
    method = data.draw(st.sampled_from(["random", "kmeans", "coreset"]))
    budget = data.draw(st.integers(max(1, len(include)), n))
    # What is possible, written out.
    free = [row for row in range(n) if row not in {*exclude, *include, *labeled}]
    if threshold:
        known = sorted({*include, *labeled})
        original = collapsed(features, threshold, sorted({*free, *known}), known)
        free = [row for row in free if original[row] == row]
    room = {name: sum(names[row] == name for row in [*free, *include]) for name in set(names)}
    if quotas == "given":
        counts = dict.fromkeys(sorted(room), 0)
        for name in names[[*include, *free]].tolist()[:budget]:
            counts[name] += 1
        quotas = counts
        budget = min(budget, sum(counts.values()))
        if not budget:
            return
    constraints = Constraints(
        exclude=exclude,
        include=include,
        collapse_duplicates=threshold,
        groups=None if quotas is None else names,
        quotas=quotas,
        min_distance=least,
    )
    options = {"method": method, "labeled": labeled, "seed": seed}
    try:
        found = select_within(features, budget, constraints, **options)
    except UsageError as error:
        text = str(error)
        if "room was found for" in text:
            assert least
            assert int(re.search(r"found for (\d+)", text)[1]) < budget
            if wide := re.search(r"distance of ([\d.]+) all fit", text):
                wider = Constraints(**{**vars(constraints), "min_distance": float(wide[1])})
                assert len(select_within(features, budget, wider, **options)) == budget
        elif "lies only" in text:
            kept = [*include, *labeled]
            assert any(distance(features, a, b) < least for a in include for b in kept if a != b)
        else:
            assert budget > len(free) + len(include)
        return
    picks = found.indices.tolist()
    assert len(picks) == len(set(picks)) == budget <= len(free) + len(include)
    assert picks[: len(include)] == include
    assert set(picks[len(include) :]) <= set(free)
    if quotas is not None:
        counts = {name: int((names[picks] == name).sum()) for name in room}
        assert counts == {name: found.constraints["groups"][name] for name in room}
        assert all(counts[name] <= room[name] for name in room)
        assert not isinstance(quotas, dict) or counts == {name: quotas[name] for name in room}
    if least:
        for position, row in enumerate(picks):
            others = [*picks[:position], *labeled]
            assert all(distance(features, row, other) >= least - 1e-4 for other in others)
    if threshold:
        for rank, row in enumerate(picks):
            for other in found.duplicates(rank).tolist():
                assert original[other] == row
                assert other not in picks
    stands = found.representative
    assert stands.min() >= (-1 if labeled else 0)
    np.testing.assert_array_equal(stands[picks], np.arange(budget))
    again = select_within(features, budget, constraints, **options)
    assert found.table().equals(again.table())


def test_picks_that_replaced_all_of_the_methods_stand_for_the_items():
    """As many as the method chose, and none of them: too close to each other, all went out."""
    features = unit(np.random.default_rng(645).normal(size=(15, 3)))
    apart = Constraints(exclude=[0, 1, 2], min_distance=1.2)
    found = select_within(features, 5, apart, method="random", seed=645)
    assert found.constraints["filled_up"] == 5
    nearest = (features @ features[found.indices].T).argmax(axis=1)
    np.testing.assert_array_equal(found.representative, nearest)


def test_excluded_items_still_shape_the_clusters(pairs):
    features, _, _ = pairs
    excluded = np.arange(0, 240, 2)
    found = select_within(features, 10, Constraints(exclude=excluded))
    plain = usl.select(features, 10, candidates=np.arange(1, 240, 2))
    np.testing.assert_array_equal(found.indices, plain.indices)
    mask = np.zeros(240, dtype=bool)
    mask[excluded] = True
    by_mask = select_within(features, 10, Constraints(exclude=mask))
    np.testing.assert_array_equal(found.indices, by_mask.indices)


def test_must_includes_are_labelled_for_the_method_and_requested_first(pairs):
    features, _, _ = pairs
    found = select_within(features, 10, Constraints(include=[50, 7]))
    plain = usl.select(features, 8, labeled=[7, 50])
    assert found.indices.tolist() == [50, 7, *plain.indices.tolist()]
    table = found.table(np.arange(240).astype(str))
    assert table["included"].to_pylist() == [True] * 2 + [False] * 8
    assert table["density"].to_pylist()[:2] == [None, None]
    np.testing.assert_array_equal(table["density"].to_numpy()[2:], plain.columns["density"])
    # whom the method left to something labelled, the nearest must-include speaks for
    left = np.flatnonzero(plain.representative < 0)
    assert len(left) > 2
    nearer = [int(distance(features, row, 50) > distance(features, row, 7)) for row in left]
    assert found.representative[left].tolist() == nearer


def test_only_must_includes(pairs):
    found = select_within(pairs[0], 3, Constraints(include=[5, 1, 9]))
    assert found.indices.tolist() == [5, 1, 9]
    assert set(found.representative.tolist()) == {0, 1, 2}
    assert found.table().num_rows == 3


def test_duplicates_are_listed_with_their_pick(pairs, tmp_path):
    features, _, _ = pairs
    found = select_within(features, 190, Constraints(collapse_duplicates=True))
    rank = {int(row): place for place, row in enumerate(found.indices)}
    listed = [row for row in range(40) if row in rank]
    assert len(listed) > 30
    assert all(200 + row in found.duplicates(rank[row]) for row in listed)
    ids = np.array([f"img{row}" for row in range(240)])
    found.save(tmp_path, ids)
    table = pyarrow.parquet.read_table(tmp_path / "selection.parquet")
    row = listed[0]
    assert f"img{200 + row}" in table["duplicates"][rank[row]].as_py()
    assert "duplicates" not in (tmp_path / "selection.csv").read_text().splitlines()[0]


def test_a_group_is_selected_as_if_it_were_alone(pairs):
    features, _, groups = pairs
    rows = np.flatnonzero(groups == "north")
    alone = usl.select(features[rows], 9, labeled=[0, 1])
    found = select_within(
        features,
        20,
        Constraints(groups=groups, quotas={"north": 9, "south": 11}),
        labeled=rows[:2],
    )
    north = found.indices[found.group == "north"]
    np.testing.assert_array_equal(north, rows[alone.indices])
    members = found.representative[rows]
    spoken = alone.representative >= 0
    np.testing.assert_array_equal(
        found.indices[members[spoken]], north[alone.representative[spoken]]
    )


def test_any_prefix_keeps_the_proportions_of_the_quotas(pairs):
    features, _, groups = pairs
    constraints = Constraints(groups=groups, quotas={"north": 20, "south": 10, "west": 10})
    found = select_within(features, 40, constraints, method="kmeans")
    for stop in range(4, 41, 4):
        counts = [int((found.group[:stop] == name).sum()) for name in ("north", "south", "west")]
        np.testing.assert_allclose(counts, [stop / 2, stop / 4, stop / 4], atol=1)


def test_groups_by_id_and_parameters_per_item(pairs):
    features, classes, groups = pairs
    ids = np.array([f"i{row}" for row in range(240)])
    constraints = Constraints(
        include=["i3"], groups=dict(zip(ids, groups, strict=True)), quotas="equal"
    )
    labels = classes.astype(str).astype(object)
    found = select_within(features, 24, constraints, ids=ids, method="stratified", labels=labels)
    assert found.indices[0] == 3
    for name in ("north", "south", "west"):
        picked = found.indices[found.group == name]
        assert len(picked) == 8
        assert set(classes[picked]) == {0, 1, 2, 3}


def test_a_tight_distance_is_met_round_by_round(pairs, monkeypatch):
    features, _, _ = pairs
    for most_rounds, filled in ((20, False), (1, True)):
        monkeypatch.setattr(rounds, "ROUNDS", most_rounds)
        found = select_within(features, 12, Constraints(min_distance=0.5), method="density")
        rows = found.indices.tolist()
        close = [distance(features, a, b) for i, a in enumerate(rows) for b in rows[:i]]
        assert min(close) >= 0.5 - 1e-5
        assert (found.constraints["filled_up"] > 0) == filled
        assert found.chosen.sum() == 12 - found.constraints["filled_up"]
        assert found.table()["density"].null_count == found.constraints["filled_up"]
    assert usl.select(features, 12, method="density").columns["nearest_distance"][1:].min() < 0.5


@pytest.mark.parametrize(
    ("constraints", "budget", "message"),
    [
        ({"include": [4, 5], "exclude": [5, 6]}, 9, "include: row 5 is excluded as well"),
        ({"include": [0]}, 9, "include: row 0 has a label already"),
        ({"include": [1, 2, 3]}, 2, "3 items must be picked, but the budget is 2"),
        ({"exclude": range(1, 200)}, 60, "60 given, but with these constraints there are 40 items"),
        ({"collapse_duplicates": 2.5}, 9, "collapse_duplicates: 2.5 given"),
        ({"collapse_duplicates": True}, 220, "220 given, but with these constraints there are"),
        ({"min_distance": 0}, 9, "min_distance: 0 given"),
        ({"min_distance": 1.9}, 9, "at 1.9 room was found for . picks of the 9 wanted"),
        ({"include": [1, 201], "min_distance": 0.5}, 9, "201 lies only .* from 1, but min_dist"),
        ({"include": [200], "min_distance": 0.5}, 9, "200 lies only .* from 0, but min_dist"),
        ({"quotas": "equal"}, 9, "quotas: given without groups"),
        ({"groups": ["a"] * 240}, 9, "groups: given without quotas"),
        ({"include": ["x"]}, 9, "ids given, but the items have none"),
        ({"exclude": "bad.txt"}, 9, "only start_run reads files"),
        ({}, 2.5, "budget: 2.5 given"),
    ],
)
def test_contradictions(pairs, constraints, budget, message):
    with pytest.raises(UsageError, match=message):
        select_within(pairs[0], budget, Constraints(**constraints), labeled=[0], method="random")


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"include": [240]}, "include: row 240 does not exist"),
        ({"exclude": ["img77", "img990"]}, "exclude, entry 2: no item 'img990'.*Did you mean"),
        ({"groups": ["a"] * 239, "quotas": "equal"}, "groups: 239 given for 240 items"),
        ({"groups": {"img0": "a"}, "quotas": "equal"}, "row 1 has no group .239 such rows"),
    ],
)
def test_what_does_not_exist(pairs, constraints, message):
    ids = [f"img{row}" for row in range(240)]
    with pytest.raises(DataError, match=message):
        select_within(pairs[0], 5, Constraints(**constraints), ids=ids, method="random")


def test_not_among_the_candidates(pairs):
    with pytest.raises(UsageError, match="row 9 is not among the candidates"):
        select_within(pairs[0], 5, Constraints(include=[9]), candidates=np.arange(9))


def test_errors_of_a_method_name_the_group(pairs):
    features, classes, groups = pairs
    constraints = Constraints(groups=groups, quotas={"north": 8, "west": 2})
    with pytest.raises(UsageError, match="group 'west': budget 2 is below the 4 classes"):
        select_within(
            features, 10, constraints, method="stratified", labels=classes.astype(str).tolist()
        )
    table = np.zeros((240, 5), dtype=int)
    with pytest.raises(UsageError, match=r"neighbors: a table of shape .* cannot be divided"):
        select_within(features, 10, constraints, method="usl_t", neighbors=table, k=5)
