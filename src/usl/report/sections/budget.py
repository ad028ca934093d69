"""How many labels are enough: coverage along the picks, and where to stop.

Made of features and picks alone; no label is read.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.report.drawing.charts import Curve, axis, chart, decades, line_chart
from usl.report.drawing.markup import Html, per_cent, plural, section, tag
from usl.report.facts.facts import Facts, zero_rows_are_known
from usl.report.sections.collapse import short
from usl.selection.labels_needed import RESAMPLES, LabelsNeeded, labels_needed

LEAST, MOST = 4, 2_000  # picks: fewer say nothing, of more the first are looked at
POINTS = 300  # per curve
AHEAD = 1.5  # times the picks: how far the curves are carried on
WIDER = 1.15  # from one stretch of the gains to the next
Points = tuple[tuple[int, float], ...]


def budget_section(facts: Facts, progress: Progress = silent) -> Html:
    """A sentence and two charts; empty without features, or with hardly any picks."""
    selection = facts.selection()
    if len(facts.features) < 3 or len(selection) < LEAST:
        return Html("")
    cut = len(selection) > MOST
    selection = replace(selection, indices=selection.indices[:MOST])
    with zero_rows_are_known():
        found = labels_needed(facts.features, selection, progress=progress)
    return section(
        "How many labels",
        tag("p", tag("strong", verdict(found)), f" {found.reason[:1].upper()}{found.reason[1:]}."),
        tag("p", how_sure(facts, found, cut), class_="quiet"),
        tag("div", coverage_chart(facts, found), gain_chart(found), class_="charts"),
        id_="budget",
    )


def verdict(found: LabelsNeeded) -> str:
    """What is suggested, in a few words."""
    if found.has_break:
        return f"{plural(found.suggested, 'label')} look{'s' * (found.suggested == 1)} enough."
    if found.low == found.suggested == found.high:
        return "More picks would tell."
    return "No number stands out."


def how_sure(facts: Facts, found: LabelsNeeded, cut: bool) -> str:
    """How steady the number is, and what it cannot know."""
    items, m = f"{facts.noun}s", len(found.gain)
    part = f"{found.sure:.0%}" if found.sure >= 0.005 else "none"
    share = f"{part} of {RESAMPLES} resamples of the {items}"
    if found.has_break:
        spread = f" to {found.high:,}" if found.high > found.low else ""
        text = f"How sure: {share} agree; the middle 80% lie at {found.low:,}{spread}. "
    else:
        text = f"How sure: {share} support a number; half of them would have to. "
    if cut:
        text += f"The first {m:,} picks were looked at. "
    return f"{text}No label was read: how classes lie among the {items} is not known here."


def coverage_chart(facts: Facts, found: LabelsNeeded) -> Html:
    """Coverage by the number of labels, and as it is expected to go on."""
    m, end = len(found.gain), horizon(found)
    known = [(b, float(found.coverage[b])) for b in thinned(0, m)]
    ahead = [(b, found.expected(b)) for b in thinned(m, end)]
    values = [value for _, value in known]
    spoken = (
        f"{per_cent(values[-1])} with {plural(m, 'label')}, {per_cent(ahead[-1][1])} expected with "
        f"{end:,}"
    )
    return chart(
        "Coverage",
        ends(m, per_cent(values[-1]), end, per_cent(ahead[-1][1])),
        line_chart(
            curves(tuple(known), tuple(ahead)),
            axis(min(0.0, *values), 1.0),
            words=f"Coverage by the number of labels: {spoken}",
            end_words="{:,} labels",
            span=span(found),
        ),
        f"How near the labelled {facts.noun}s are to all: 0 is no better than a single one at "
        f"random, 1 is all of them labelled. Dotted: beyond the {m:,} picks, if it goes on as it "
        "did.",
    )


def gain_chart(found: LabelsNeeded) -> Html:
    """What one more label adds, in points of coverage, on a logarithmic axis."""
    m, end = len(found.gain), horizon(found)
    known = stretches(100 * found.coverage, 0 if found.coverage[0] else 1)
    beyond = 100 * np.array([found.expected(b) for b in range(m, end + 1)])
    ahead = tuple((m + b, gain) for b, gain in stretches(beyond, 0))
    shown = [gain for _, gain in (*known, *ahead) if gain > 0]
    if not shown or not known:
        return Html("")
    last, expected = (short(points[-1][1]) for points in (known, ahead))
    spoken = f"{last} points with label {m:,}, {expected} expected with {end:,}"
    return chart(
        "What one more label adds",
        ends(m, last, end, expected),
        line_chart(
            curves(known, ahead),
            decades(min(shown), max(shown)),
            words=f"Points of coverage that one more label adds: {spoken}",
            end_words="{:,} labels",
            span=span(found),
        ),
        "Points of coverage, averaged over neighbouring ranks, from the second label on. A sudden "
        "drop would be a place to stop; a straight decline has none.",
    )


def horizon(found: LabelsNeeded) -> int:
    """The number of labels up to which the curves are carried on."""
    return math.ceil(AHEAD * len(found.gain))


def span(found: LabelsNeeded) -> tuple[int, int, int] | None:
    """The band and the line of a suggestion, where there is one."""
    return (found.low, found.high, found.suggested) if found.has_break else None


def curves(known: Points, ahead: Points) -> list[Curve]:
    """A solid line and its dotted continuation."""
    colour = "var(--accent)"
    return [Curve(known, "", colour), Curve(ahead, "second", colour)]


def ends(m: int, value: str, end: int, expected: str) -> list[Html]:
    """The figures at the last pick and at the end of the axis."""
    return [
        tag("span", f"{plural(m, 'label')} ", tag("strong", value)),
        tag("span", f"{end:,} (expected) ", tag("strong", expected)),
    ]


def thinned(first: int, last: int) -> list[int]:
    """Whole numbers from first to last, both among them, at most ``POINTS``."""
    return sorted(set(np.linspace(first, last, POINTS).round().astype(int).tolist()))


def stretches(values: NDArray[np.float64], first: int) -> Points:
    """Mean rise per step of values [m + 1] from index ``first`` on, over stretches that widen.

    Each stands at the middle of the steps that it averages, the last one at its end.
    """
    points = []
    start, last = first, len(values) - 1
    while start < last:
        stop = min(last, max(start + 1, round(start * WIDER)))
        place = stop if stop == last else (start + 1 + stop) // 2
        points.append((place, float(values[stop] - values[start]) / (stop - start)))
        start = stop
    return tuple(points)
