from __future__ import annotations

import itertools
import random

import pytest

from usl.labeling.answers.entries import Answer
from usl.labeling.answers.outcomes import (
    agreement,
    bad_images,
    cohens_kappa,
    conflicts,
    current,
    krippendorffs_alpha,
    outcomes,
    queue,
)


def history(*entries, image="x"):
    """Entries as ``"A cat"``, ``"A cat!"`` (final), ``"A ~bad"`` (a kind), ``"-3"`` (undo of 3)."""
    found = []
    for number, entry in enumerate(entries, 1):
        if entry.startswith("-"):
            place = int(entry[1:]) - 1
            told = found[place]
            found[place] = Answer(**{**vars(told), "undone": True})
            found.append(
                Answer(told.image_id, "undo", annotator=told.annotator, id=number, undoes=place + 1)
            )
            continue
        name, word, *place = entry.split()
        final, word = word.endswith("!"), word.rstrip("!")
        kind, label = (word[1:], None) if word.startswith("~") else ("label", word)
        found.append(Answer(image, kind, label, name, *place, final=final, id=number))
    return found


def outcome(*entries):
    return outcomes(history(*entries))["x"]


@pytest.mark.parametrize(
    ("entries", "kind", "label"),
    [
        (["A cat"], "label", "cat"),
        (["A cat", "A dog"], "label", "dog"),  # the last one counts
        (["A cat", "-1"], "open", None),
        (["A cat", "A dog", "-2"], "label", "cat"),  # what was said before is back
        (["A ~skip"], "open", None),
        (["A cat", "A ~skip"], "open", None),
        (["A cat", "A ~skip check-1"], "label", "cat"),  # skipped elsewhere
        (["A cat", "A dog check-1"], "label", "dog"),
        (["A ~unsure"], "unlabeled", None),
        (["A ~bad"], "unlabeled", None),
        (["A ~unsure", "B cat"], "label", "cat"),
        (["A ~bad", "B cat"], "label", "cat"),
        (["A ~unsure", "B ~bad"], "unlabeled", None),
        (["A cat", "B cat"], "label", "cat"),
        (["A cat", "B dog"], "conflict", None),
        (["A cat", "B dog", "C ~unsure"], "conflict", None),
        (["A cat", "B dog", "C cat"], "label", "cat"),
        (["A cat", "B dog", "C cat", "D dog"], "conflict", None),
        (["A cat", "B cat", "C dog", "D ~unsure"], "conflict", None),  # two of four
        (["A cat", "B cat", "C cat", "D dog", "E ~bad"], "label", "cat"),
        (["A cat", "B dog", "C emu"], "conflict", None),
        (["A cat", "B dog", "A dog"], "label", "dog"),  # A has come round
        (["A cat", "B dog", "J dog!"], "label", "dog"),
        (["A cat", "B dog", "A emu!"], "label", "emu"),
        (["A cat", "B dog", "J dog!", "-3"], "conflict", None),
        (["A cat", "B dog", "J ~bad!"], "unlabeled", None),
        (["A cat", "B dog", "J dog!", "C cat"], "label", "dog"),  # who comes later, in the blind
        (["A cat", "B dog", "J dog!", "J emu!"], "label", "emu"),
        (["A cat", "split.csv dog!"], "label", "dog"),
        (["A cat", "split.csv dog!", "A emu"], "label", "emu"),  # alone: the newest word
        (["split.csv dog!", "A emu", "B emu"], "label", "dog"),
        (["A ~unsure", "split.csv ~skip!"], "open", None),  # asked anew
        (["A cat", "B dog", "split.csv ~skip!", "B emu"], "label", "emu"),
    ],
)
def test_what_answers_amount_to(entries, kind, label):
    found = outcome(*entries)
    assert (found.kind, found.label) == (kind, label)


def test_a_majority_is_still_a_dispute():
    assert outcome("A cat", "B dog", "C cat").disputed
    assert not outcome("A cat", "B cat", "C ~unsure").disputed
    assert outcome("A cat", "B dog", "J dog!").disputed
    assert outcome("A cat", "B dog", "J dog!").final
    assert [a.annotator for a in outcome("A cat", "B dog", "J dog!").answers] == ["A", "B", "J"]


def test_conflicts_and_bad_images():
    entries = [
        *history("A cat", "B dog", image="torn"),
        *history("A ~bad", image="black"),
        *history("A ~bad", "B cat", image="half black"),
        *history("A ~bad", "-1", image="undone"),
        *history("A ~bad", "J cat!", image="settled"),
    ]
    found = outcomes(entries)
    assert conflicts(found) == ["torn"]
    assert bad_images(found) == ["black", "half black"]


def test_audits_are_kept_apart():
    entries = history("A cat audit-1", "A dog", "B cat audit-2")
    assert outcomes(entries)["x"].label == "dog"
    assert outcomes(entries, audit=True)["x"].label == "cat"


def test_nobody_rules_over_the_order_of_different_annotators():
    """Without a final answer it does not matter who spoke first."""
    words = ["A cat", "B dog", "C cat", "D ~unsure", "E ~bad"]
    for size in range(1, 6):
        for chosen in itertools.combinations(words, size):
            kinds = {
                (outcome(*order).kind, outcome(*order).label)
                for order in itertools.permutations(chosen)
            }
            assert len(kinds) == 1


def test_the_queue_puts_the_skipped_last():
    said = [
        *history("A ~skip", image="b"),
        *history("A cat", image="a"),
        *history("A ~skip", image="d"),
    ]
    said = [Answer(**{**vars(answer), "id": i}) for i, answer in enumerate(said, 1)]
    assert queue(["a", "b", "c", "d", "e"], said) == ["c", "e", "b", "d"]
    again = Answer("b", "skip", annotator="A", id=9)
    assert queue(["a", "b", "c", "d", "e"], [*said, again]) == ["c", "e", "d", "b"]
    undone = Answer("c", "label", "cat", "A", id=10, undone=True)
    assert queue(["c"], [undone]) == ["c"]


def test_current_leaves_out_undone_and_final():
    entries = history("A cat", "A dog", "-2", "A emu!", "B cat", "-5", "A fox audit-1")
    assert {key: a.label for key, a in current(entries).items()} == {
        ("labels", "A", "x"): "cat",
        ("audit-1", "A", "x"): "fox",
    }


def naive_kappa(pairs):
    """By the definition: the chance that two draws from the margins agree."""
    n = len(pairs)
    chance = sum(a == b for (a, _), (_, b) in itertools.product(pairs, pairs)) / n**2
    seen = sum(a == b for a, b in pairs) / n
    return (seen - chance) / (1 - chance)


def naive_alpha(units):
    """By the coincidence matrix, filled pair by pair."""
    values = sorted({v for unit in units for v in unit})
    matrix = dict.fromkeys(itertools.product(values, values), 0.0)
    for unit in units:
        for i, j in itertools.permutations(range(len(unit)), 2):
            matrix[unit[i], unit[j]] += 1 / (len(unit) - 1)
    totals = {v: sum(matrix[v, w] for w in values) for v in values}
    n = sum(totals.values())
    off = [(v, w) for v, w in matrix if v != w]
    seen = sum(matrix[pair] for pair in off) / n
    chance = sum(totals[v] * totals[w] for v, w in off) / (n * (n - 1))
    return 1 - seen / chance


def test_figures_of_agreement_against_naive_references():
    rng = random.Random(3)
    for _ in range(30):
        pairs = [(rng.choice("abc"), rng.choice("aab")) for _ in range(rng.randint(5, 40))]
        assert cohens_kappa(pairs) == pytest.approx(naive_kappa(pairs))
        units = [[rng.choice("aabc") for _ in range(rng.randint(2, 5))] for _ in range(20)]
        assert krippendorffs_alpha(units) == pytest.approx(naive_alpha(units))


def test_figures_of_agreement_by_hand():
    # 20 and 15 times together, 5 and 10 times apart: (0.7 - 0.5) / (1 - 0.5)
    pairs = [("y", "y")] * 20 + [("n", "n")] * 15 + [("y", "n")] * 5 + [("n", "y")] * 10
    assert cohens_kappa(pairs) == pytest.approx(0.4)
    assert cohens_kappa([("y", "y")] * 5) is None
    assert krippendorffs_alpha([["y", "y"]] * 5) is None
    # 2 observers, 10 units, 6 + 14 values, 4 apart: 1 - 19 * 8 / (2 * 6 * 14)
    units = [["1", "0"]] * 4 + [["1", "1"]] + [["0", "0"]] * 5
    assert krippendorffs_alpha(units) == pytest.approx(1 - 19 * 8 / (2 * 6 * 14))


def test_agreement_of_a_history():
    entries = []
    for i, (one, other) in enumerate([("cat", "cat"), ("cat", "dog"), ("~bad", "~bad"), ("a", "")]):
        entries += history(f"A {one}", *([f"B {other}"] if other else []), image=f"{i}")
    found = agreement([*entries, *history("J cat!", image="1")])
    assert (found.images, found.equal) == (3, pytest.approx(2 / 3))
    assert found.measure == "Cohen's kappa"
    pairs = [("cat", "cat"), ("cat", "dog"), ("bad", "bad")]
    assert found.value == pytest.approx(naive_kappa(pairs))
    assert found.answers == {"A": 4, "B": 3}
    found = agreement([*entries, *history("C cat", image="1"), *history("C ~skip", image="0")])
    assert found.measure == "Krippendorff's alpha"
    units = [["cat", "cat"], ["cat", "dog", "cat"], ["bad", "bad"]]
    assert found.value == pytest.approx(naive_alpha(units))
    assert found.answers == {"A": 4, "B": 3, "C": 1}
    assert agreement(history("A cat", "A dog")) is None
    assert agreement([]) is None
