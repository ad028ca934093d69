"""Classes of the picks, beside those of a random and a stratified draw (Fig. 2c, 5)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.evaluation.metrics import balance, coverage
from usl.report.drawing.charts import legend, level, upright
from usl.report.drawing.markup import Html, join, per_cent, plural, section, table, tag
from usl.report.facts.facts import Facts

SHOWN = 40  # classes; of more, those with the most and the fewest picks
DRAWS = 1_000  # of the simulated random selection


@dataclass(frozen=True)
class Chance:
    """A random draw of as many items: per class mean and the range of 9 in 10 draws, float64 [C].

    ``coverage`` and ``balance`` are means over the draws.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    coverage: float
    balance: float


def chance(counts: NDArray[np.int64], budget: int, *, seed: int = 0) -> Chance:
    """What a random selection of ``budget`` from a collection with ``counts`` [C] would hold."""
    rng = np.random.default_rng(seed)
    draws = rng.multivariate_hypergeometric(counts, budget, size=DRAWS, method="marginals")
    low, high = np.percentile(draws, [5, 95], axis=0)
    classes = np.arange(len(counts))
    balances = [balance(np.repeat(classes, draw), len(counts)) for draw in draws]
    return Chance(
        mean=budget * counts / counts.sum(),
        low=low,
        high=high,
        coverage=float((draws > 0).mean()),
        balance=float(np.mean(balances)),
    )


def classes_section(facts: Facts) -> Html:
    """Bars of the picks per class; with the source's answers also what chance would give."""
    if facts.truth is None:
        return given_classes(facts)
    train = facts.truth[facts.collection.rows_in("train")].tolist()
    total = Counter(label for label in train if label is not None)
    rows = [pick.row for pick in facts.picks if pick.row >= 0]
    picked = Counter(label for label in facts.truth[rows].tolist() if label is not None)
    names = sorted(total)
    budget = sum(picked.values())
    if not names or not budget:
        return Html("")
    expected = chance(np.array([total[name] for name in names]), budget)
    numbers = {name: number for number, name in enumerate(names)}
    classes = np.array([numbers[name] for name in picked.elements()], dtype=np.int64)
    covered = len(np.unique(classes))
    missing = [name for name in names if name not in picked]
    text = [
        f"The {plural(budget, 'pick')} cover {covered:,} of {plural(len(names), 'class')}, "
        f"{per_cent(coverage(classes, len(names)))}; a random draw of as many covers "
        f"{per_cent(expected.coverage)} on average. Balance (entropy over its maximum, 1 when all "
        f"classes are equally frequent): {balance(classes, len(names)):.3f}, at random "
        f"{expected.balance:.3f}.",
    ]
    if 0 < len(missing) <= 10:
        text.append(" Without a pick: " + ", ".join(missing) + ".")
    shown = most_and_fewest(names, picked)
    top = max(1.0, max(picked.values()), float(expected.high.max()), budget / len(names))
    lines = [
        [
            name,
            bar(picked[name], top, expected, numbers[name], budget / len(names)),
            f"{picked[name]:,}",
            f"{expected.mean[numbers[name]]:.1f} "
            f"({expected.low[numbers[name]]:.0f}–{expected.high[numbers[name]]:.0f})",
            f"{budget / len(names):.1f}",
        ]
        for name in shown
    ]
    return section(
        "Classes of the picks",
        tag("p", join(text)),
        cut_note(shown, names),
        bars_legend(),
        table(
            "Picks per class: this selection, a random draw (mean, and the range of 9 in 10 "
            f"of {DRAWS:,} draws), and a stratified one, which needs every answer",
            ["class", "", "picks", "random", "stratified"],
            lines,
            class_="bars",
        ),
        id_="classes",
    )


def given_classes(facts: Facts) -> Html:
    """Bars of the labels that were given; of the collection nothing is known."""
    picked = Counter(pick.label for pick in facts.picks if pick.label is not None)
    if not picked:
        return Html("")
    names = sorted(picked)
    shown = most_and_fewest(names, picked)
    top = float(max(picked.values()))
    return section(
        "Classes of the picks",
        tag(
            "p",
            f"{sum(picked.values()):,} of {plural(len(facts.picks), 'pick')} have a label, of "
            f"{plural(len(names), 'class')}. How frequent the classes are in the collection is "
            "not known, so there is nothing to compare with.",
        ),
        cut_note(shown, names),
        table(
            "Labelled picks per class",
            ["class", "", "picks"],
            [[name, bar(picked[name], top), f"{picked[name]:,}"] for name in shown],
            class_="bars",
        ),
        id_="classes",
    )


def most_and_fewest(names: list[str], picked: Counter[str]) -> list[str]:
    """All classes, or of many those with the most and the fewest picks."""
    if len(names) <= SHOWN:
        return names
    order = sorted(names, key=lambda name: (-picked[name], name))
    return order[: SHOWN // 2] + order[-SHOWN // 2 :]


def cut_note(shown: list[str], names: list[str]) -> Html | None:
    """Say that not all classes are shown."""
    if len(shown) == len(names):
        return None
    half = SHOWN // 2
    return tag(
        "p",
        f"Shown are the {half} classes with the most and the {half} with the fewest "
        f"picks, of {len(names):,}.",
        class_="quiet",
    )


def bar(
    value: int,
    top: float,
    expected: Chance | None = None,
    number: int = 0,
    equal: float | None = None,
) -> Html:
    """One bar with the marks of chance. The figures stand beside it: hidden from screen readers."""

    def at(amount: float) -> str:
        return f"{100 * amount / top:.2f}%"

    marks = [tag("rect", class_="bar", x="0", y="3", width=at(value), height="12", rx="2")]
    if equal is not None:
        marks.append(upright(at(equal), 0, 28, "equal"))
    if expected is not None:
        low, mean, high = (getattr(expected, part)[number] for part in ("low", "mean", "high"))
        marks.append(level("21", at(low), at(high), "range"))
        marks.append(tag("circle", class_="mean", cx=at(mean), cy="21", r="3.5"))
    return tag("svg", *marks, class_="strip", height="28", width="100%", aria_hidden="true")


def bars_legend() -> Html:
    """What the marks of a bar mean."""
    dot = tag("circle", class_="mean", cx="14", cy="11", r="4")
    marks = {
        "this selection": [tag("rect", class_="bar", y="4", width="28", height="14", rx="2")],
        "random: mean, and 9 in 10 draws": [level("11", 2, 26, "range"), dot],
        "stratified: equal numbers": [upright("14", 0, 22, "equal")],
    }
    size = {"width": 28, "height": 22, "aria_hidden": "true"}
    return legend(
        (tag("svg", *drawn, class_="strip", **size), words, None) for words, drawn in marks.items()
    )
