"""Comparison with other selections: means, standard deviations, paired differences."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from usl.report.drawing.charts import level, round_step, upright
from usl.report.drawing.markup import MINUS, NOTHING, Html, per_cent, section, table, tag
from usl.report.facts.facts import Facts
from usl.report.sections.header import features_of, shown_name

HEIGHT = 34  # of a strip, in pixels


def comparison_section(facts: Facts) -> Html:
    """One row per method: every seed as a dot, mean, sd, and what the first gains over it."""
    record = facts.comparison
    if record is None:
        return Html("")
    methods: dict[str, Any] = record["methods"]
    values = {
        name: [row["test"] for row in record["rows"] if row["method"] == name] for name in methods
    }
    scale = axis([value for own in values.values() for value in own])
    first = next(iter(methods))
    rows = [
        [
            shown_name(name) + (" (oracle) *" if found["oracle"] else ""),
            strip(values[name], found["test"], scale, first=name == first),
            per_cent(found["test"]["mean"]),
            f"{100 * found['test']['sd']:.1f}",
            gain(record["differences"].get(f"{first} - {name}")),
            per_cent(found["coverage"]["mean"]),
            f"{found['balance']['mean']:.3f}",
        ]
        for name, found in methods.items()
    ]
    rows.append(["", tick_labels(scale), "", "", "", "", ""])
    note = None
    if any(found["oracle"] for found in methods.values()):
        words = "* An oracle: it has read every label, which a selection is meant to spare."
        note = tag("p", words, class_="quiet")
    encoder = facts.run.info["encoder"]
    return section(
        "Against other selections",
        tag(
            "p",
            f"Accuracy on test (out of sample) after {record['budget']:,} labels; "
            f"{shown_name(record['learner'])} on {features_of(encoder['name'])} (supervision: "
            f"{encoder['supervision']}); {record['seeds']} seeds, the same for every method, none "
            "dropped. Intervals are 95% bootstrap intervals of the mean paired difference.",
        ),
        table(
            "Selections compared. Faint dots are seeds; the large dot is their mean, the line one "
            "standard deviation to either side",
            [
                "selection",
                "",
                "mean",
                "sd",
                f"{shown_name(first)} gains, in points",
                "classes covered",
                "balance",
            ],
            rows,
            class_="strips",
        ),
        note,
        id_="comparison",
    )


def gain(difference: dict[str, float] | None) -> str:
    """A paired difference with its interval, in percentage points."""
    if difference is None:
        return NOTHING
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", MINUS)


class Scale(NamedTuple):
    """Ends of an axis and the values that it names."""

    low: float
    high: float
    ticks: list[float]

    def place(self, value: float) -> str:
        """A value as a place along the axis."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"


def axis(values: list[float]) -> Scale:
    """An axis that holds all values, and two to seven round marks on it."""
    low, high = min(values), max(values)
    step = round_step(max(high - low, 0.025), 5)  # half a point at least
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    ticks = [step * i for i in range(first, last + 1)]
    return Scale(ticks[0] - 0.1 * step, ticks[-1] + 0.1 * step, ticks)


def strip(values: list[float], summary: dict[str, float], scale: Scale, *, first: bool) -> Html:
    """One method on the axis. The figures stand beside it: hidden from screen readers."""
    middle, mean, sd = f"{HEIGHT // 2}", summary["mean"], summary["sd"]
    marks = [upright(scale.place(tick), 0, HEIGHT, "grid") for tick in scale.ticks]
    marks += [
        tag("circle", class_="seed", cx=scale.place(value), cy=middle, r="3.5") for value in values
    ]
    marks.append(level(middle, scale.place(mean - sd), scale.place(mean + sd), "range"))
    marks.append(tag("circle", class_="mean", cx=scale.place(mean), cy=middle, r="5.5"))
    kind = "strip first" if first else "strip"
    return tag("svg", *marks, class_=kind, width="100%", height=HEIGHT, aria_hidden="true")


def tick_labels(scale: Scale) -> Html:
    """The axis below the strips."""
    digits = 1 if any(round(100 * t, 6) % 1 for t in scale.ticks) else 0
    shown = [
        tag("text", f"{100 * t:.{digits}f}%", x=scale.place(t), y="12", class_="tick")
        for t in scale.ticks
    ]
    return tag("svg", *shown, class_="strip", width="100%", height="16", aria_hidden="true")
