from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usl.core.errors import DataError, UsageError
from usl.selection.constraints.quotas import Groups, parse_quotas, shares


def share(quotas, column, budget, *, included=None, free=None):
    groups = Groups.from_column(column)
    sizes = groups.counts(np.ones(len(column), dtype=bool))
    included = np.zeros_like(sizes) if included is None else np.array(included)
    free = sizes - included if free is None else np.array(free)
    given_ = shares(
        quotas, groups.names, budget, sizes=sizes, weights=sizes, included=included, free=free
    )
    return dict(zip(groups.names, given_.tolist(), strict=True))


def test_counts_by_name():
    assert share({"a": 1, "b": 2}, list("aabbbc"), 3) == {"a": 1, "b": 2, "c": 0}


def test_equal_and_proportional():
    column = ["big"] * 60 + ["mid"] * 30 + ["tiny"] * 2
    assert share("equal", column, 30) == {"big": 14, "mid": 14, "tiny": 2}
    assert share("proportional", column, 46) == {"big": 30, "mid": 15, "tiny": 1}
    assert share("proportional", column, 46, included=[0, 0, 2]) == {
        "big": 29,
        "mid": 15,
        "tiny": 2,
    }


@settings(max_examples=60, deadline=None)
@given(
    quotas=st.sampled_from(["equal", "proportional"]),
    groups=st.lists(
        st.tuples(st.integers(1, 30), st.integers(0, 5), st.integers(0, 30)), min_size=1, max_size=6
    ),
    spare=st.integers(0, 100),
)
def test_shares_keep_the_bounds_and_no_exchange_is_fairer(quotas, groups, spare):
    sizes = [max(size, least + free) for size, least, free in groups]
    least = [low for _, low, _ in groups]
    most = [low + free for _, low, free in groups]
    budget = min(max(1, sum(least)) + spare, sum(most))
    if budget < 1:
        return
    column = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    free = [free for *_, free in groups]
    found = list(share(quotas, column, budget, included=least, free=free).values())
    assert sum(found) == budget
    assert all(low <= x <= high for x, low, high in zip(found, least, most, strict=True))
    weights = [1] * len(sizes) if quotas == "equal" else sizes
    ideal = [w * budget / sum(weights) for w in weights]

    def unfairness(counts):
        return sum((x - want) ** 2 / w for x, want, w in zip(counts, ideal, weights, strict=True))

    for i in range(len(found)):  # Sainte-Lague: the least weighted squared deviation
        for j in range(len(found)):
            if i != j and found[i] > least[i] and found[j] < most[j]:
                other = found.copy()
                other[i] -= 1
                other[j] += 1
                assert unfairness(found) <= unfairness(other) + 1e-9


@pytest.mark.parametrize(
    ("quotas", "budget", "message"),
    [
        ({"a": 2, "x": 1}, 3, "no item is in a group 'x'.*Groups: a, b"),
        ({"a": 2, "b": 2}, 5, "add up to 4, but the budget is 5"),
        ({"a": 3, "b": 2}, 5, "3 asked of 'a', but the group has 2 items"),
        ({"a": -1, "b": 6}, 5, "-1 given for 'a'"),
        ({"a": 1.5, "b": 1}, 2, "1.5 given for 'a'"),
        ("equall", 2, "Did you mean 'equal'"),
        ("equal", 8, "groups hold 6 items"),
    ],
)
def test_quotas_that_cannot_be(quotas, budget, message):
    with pytest.raises(UsageError, match=message):
        share(quotas, list("aabbbb"), budget)


def test_what_else_limits_a_quota():
    with pytest.raises(
        UsageError, match="2 asked of 'a', but the group has 3 items, of which 1 can"
    ):
        share({"a": 2, "b": 1}, list("aaab"), 3, free=[1, 1])
    with pytest.raises(UsageError, match="1 asked of 'a', but 2 of its items must be included"):
        share({"a": 1, "b": 1}, list("aaab"), 2, included=[2, 0])


@pytest.mark.parametrize("missing", [None, "", float("nan"), "  "])
def test_an_item_without_a_group(missing):
    with pytest.raises(DataError, match="row 1 has no group"):
        Groups.from_column(["a", missing, "b"])


def test_quotas_of_the_command_line():
    assert parse_quotas([]) is None
    assert parse_quotas(["equal"]) == "equal"
    assert parse_quotas(["a=2", "x=y=3"]) == {"a": 2, "x=y": 3}
    for words in (["a"], ["a="], ["=3"], ["a=x"], ["equal", "a=2"], ["a=-2"]):
        with pytest.raises(UsageError, match="write NAME=COUNT"):
            parse_quotas(words)
    with pytest.raises(UsageError, match="'a' is given twice"):
        parse_quotas(["a=1", "a=2"])
