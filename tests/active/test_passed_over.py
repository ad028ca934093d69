"""Audited images that a rule passes over: found, and counted so that the audit stays unbiased."""

import numpy as np

from usl.active.contract import Query
from usl.active.passed_over import pick_past
from usl.labeling.answers.audit import Z95, _estimate


def by_doubt(doubt):
    def pick(budget, rows):
        taken = rows[np.argsort(-doubt[rows], kind="stable")][:budget]
        return Query(taken, tuple(f"{row}" for row in taken), {"doubt": doubt[taken]})

    return pick


def test_the_picks_are_those_of_a_rule_that_sees_no_audit():
    doubt = np.array([9.0, 8, 7, 6, 5, 4, 3, 2])
    found, passed = pick_past(by_doubt(doubt), 3, np.array([0, 3, 4, 6, 7]), np.array([1, 2, 5]))
    assert found.indices.tolist() == [0, 3, 4]
    assert found.reasons == ("0", "3", "4")
    assert found.figures["doubt"].tolist() == [9, 6, 5]
    assert passed == [(1, 1), (2, 1)]  # wanted after one pick; 5 is wanted less than the last
    found, passed = pick_past(by_doubt(doubt), 5, np.array([0, 3, 4, 6, 7]), np.array([1, 2, 5]))
    assert found.indices.tolist() == [0, 3, 4, 6, 7]
    assert passed == [(1, 1), (2, 1), (5, 3)]


def test_an_audit_stays_unbiased_when_rounds_pass_over_its_images():
    """Three rounds take the doubtful; five hundred collections of 300, of which 60 are audited."""
    rng = np.random.default_rng(0)
    off, naive = [], []
    for _ in range(500):
        doubt = rng.random(300)
        right = rng.random(300) > 0.6 * doubt
        audited = np.sort(rng.choice(300, 60, replace=False))
        left, passed = np.arange(300), set()
        for _ in range(3):
            free = np.setdiff1d(left, audited)
            found, over = pick_past(by_doubt(doubt), 30, free, audited)
            left = np.setdiff1d(left, found.indices)
            passed |= {row for row, _ in over}
        truth = right[left].mean()
        own = sorted(passed)
        rest = np.setdiff1d(audited, own)
        known = (int(right[own].sum()), len(own))
        found = _estimate(int(right[rest].sum()), len(rest), len(left), known, Z95)
        off.append(found["accuracy"] - truth)
        naive.append(right[audited].mean() - truth)
    error = np.std(off) / np.sqrt(len(off))
    assert abs(np.mean(off)) < 3 * error
    assert np.mean(naive) < -10 * error  # what they would say if all were pooled
