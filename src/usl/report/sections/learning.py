"""Training curves of learned clusters, and what they warn of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from usl.report.drawing.charts import (
    Axis,
    Curve,
    axis,
    bar_strip,
    chart,
    legend,
    line_chart,
    line_sample,
    log_axis,
    swatch,
)
from usl.report.drawing.markup import Html, figure, footnote, plural, section, tag
from usl.report.facts.facts import Facts, Pick
from usl.report.sections.collapse import AGREEMENT, ENTROPY, SMALLEST, number, short, verdict
from usl.report.sections.picks import pick_link

POINTS = 300  # per curve; of longer trainings every so many records
COLOURS = 10  # see report.css
SYMBOLS = (
    "global loss, Eq. 10",
    "local loss, Eq. 14",
    "confidence is max ŷ, Eq. 9",
    "its threshold is τ",
    "the number of neighbours k",
)


@dataclass(frozen=True)
class Panel:
    """One chart: what it shows (figures of ``metrics.jsonl`` and their names), and how to read it.

    ``floor`` and ``ceiling`` have to be on the axis; below ``limit`` it is a warning.
    """

    title: str
    series: tuple[tuple[str, str], ...]
    caption: str
    floor: float | None = 0.0
    ceiling: float | None = None
    limit: float | None = None
    log: bool = False


def panels(parameters: dict[str, Any]) -> tuple[Panel, ...]:
    """The charts in reading order, their captions with the selection's own parameters."""
    tau, k = (figure(parameters[n]) if n in parameters else "" for n in ("tau", "k"))
    threshold = tau or "the threshold"
    return (
        Panel(
            "Global loss",
            (("global_loss", ""),),
            "Makes items surer of the cluster they are in. Only those with a confidence "
            f"of {threshold} or more count, so while they are few it is near 0 or jumps about, "
            "which is normal. A warning: it grows without end.",
        ),
        Panel(
            "Local loss",
            (("local_loss", ""),),
            "How far items are from the cluster of a neighbour. Good: it falls and levels "
            "off. A warning: it rises (lower lr), or still falls at the end (more steps).",
        ),
        Panel(
            "Confidence",
            (
                ("confidence", "mean"),
                ("above_tau", f"share at {tau} or more" if tau else "share at the threshold"),
            ),
            "How surely items belong to their cluster. Good: it rises. While none "
            f"reaches {threshold}, the local loss works alone. A warning: the mean stays near one "
            "over the number of clusters.",
            ceiling=1.0,
        ),
        Panel(
            "Agreement with neighbours",
            (("agreement", ""),),
            "Share of items in the same cluster as a neighbour drawn from their "
            + (f"{k} nearest. " if k else "nearest. ")
            + f"Good: it rises. Below {AGREEMENT} the clusters ignore what is alike.",
            ceiling=1.0,
            limit=AGREEMENT,
        ),
        Panel(
            "Entropy of the cluster sizes",
            (("entropy", ""),),
            "As a share of its maximum: 1 when all clusters are equally large. Good: it stays "
            f"close to 1. Below {ENTROPY} a few clusters hold nearly everything.",
            floor=0.7,
            ceiling=1.0,
            limit=ENTROPY,
        ),
        Panel(
            "Largest and smallest cluster",
            (("largest", "largest"), ("smallest", "smallest")),
            "As multiples of the mean size. Good: both come closer to 1. A smallest one below "
            f"{SMALLEST} is all but empty. A jump up is a restart beside the largest.",
            limit=SMALLEST,
            log=True,
        ),
    )


def learning_section(facts: Facts) -> Html:
    """Charts, a verdict and the final sizes; empty where no such figures were recorded."""
    heads = by_head(facts.history)
    parameters = facts.run.info["selection"]["parameters"]
    charts = [panel_chart(panel, heads) for panel in panels(parameters)]
    if not any(charts):
        return Html("")
    return section(
        "How the clusters were learned",
        verdict(heads),
        heads_legend(heads),
        tag("div", *charts, class_="charts"),
        sizes(facts.picks),
        footnote(*SYMBOLS),
        id_="learning",
    )


def by_head(history: tuple[dict[str, Any], ...]) -> dict[int, list[dict[str, Any]]]:
    """The records of each head in order of their steps; those without a step are left out."""
    heads: dict[int, list[dict[str, Any]]] = {}
    for record in history:
        head = record.get("head", 0)
        if isinstance(head, int) and isinstance(record.get("step"), int):
            heads.setdefault(head, []).append(record)
    return {head: sorted(heads[head], key=lambda record: record["step"]) for head in sorted(heads)}


def curve(records: list[dict[str, Any]], name: str, kind: str, colour: str) -> Curve | None:
    """One figure of one head by step; None if there is nothing to draw."""
    points = [(r["step"], v) for r in records if (v := number(r, name)) is not None]
    thinned = points[:: max(1, math.ceil(len(points) / POINTS))]
    if points and thinned[-1] != points[-1]:
        thinned.append(points[-1])
    return Curve(tuple(thinned), kind, colour) if thinned else None


def colour(place: int, heads: dict[int, list[dict[str, Any]]]) -> str:
    """The colour of the head in this place, as a CSS value."""
    return "var(--accent)" if len(heads) == 1 else f"var(--k{place % COLOURS})"


def panel_chart(panel: Panel, heads: dict[int, list[dict[str, Any]]]) -> Html:
    """One panel with its final figures and its caption."""
    curves: list[Curve] = []
    ends = []
    for i, (name, words) in enumerate(panel.series):
        kind = "second" if i else ""
        found = [
            drawn
            for place, records in enumerate(heads.values())
            if (drawn := curve(records, name, kind, colour(place, heads)))
        ]
        if found:
            curves += found
            ends.append((kind, words, value_range([drawn.points[-1][1] for drawn in found])))
    if not curves:
        return Html("")
    spoken = "; ".join(f"{words} ends at {value}".strip() for _, words, value in ends)
    return chart(
        panel.title,
        [series_end(*end, several=len(panel.series) > 1) for end in ends],
        line_chart(
            curves,
            scale(panel, [value for drawn in curves for _, value in drawn.points]),
            limit=panel.limit,
            words=f"{panel.title} by step: {spoken}",
        ),
        panel.caption,
    )


def scale(panel: Panel, values: list[float]) -> Axis:
    """The axis of a panel that holds these values."""
    if panel.log:
        return log_axis(max(values))
    bounds = [bound for bound in (panel.floor, panel.ceiling) if bound is not None]
    return axis(min([*values, *bounds]), max([*values, *bounds]))


def value_range(values: list[float]) -> str:
    """One value, or the range of the heads'."""
    low, high = short(min(values)), short(max(values))
    return low if low == high else f"{low}–{high}"


def series_end(kind: str, words: str, value: str, *, several: bool) -> Html:
    """A line's look, name and last value."""
    sample = line_sample(kind) if several else None
    return tag("span", sample, f"{words} " if words else "at the end ", tag("strong", value))


def heads_legend(heads: dict[int, list[dict[str, Any]]]) -> Html | None:
    """Which colour is which head, where there are several."""
    if len(heads) < 2:
        return None
    used = {min(heads): " (its clusters are the ones used)"}
    return legend(
        (swatch(colour(place, heads)), f"head {head}{used.get(head, '')}", None)
        for place, head in enumerate(heads)
    )


def sizes(picks: tuple[Pick, ...]) -> Html | None:
    """The final sizes of the clusters that have a pick, largest first, as a strip of bars."""
    first: dict[int, Pick] = {}
    for pick in picks:
        if pick.figures.get("cluster_size") and pick.figures.get("cluster") is not None:
            first.setdefault(pick.figures["cluster"], pick)
    if not first:
        return None
    ordered = sorted(first.values(), key=lambda pick: (-pick.figures["cluster_size"], pick.rank))
    counts = [pick.figures["cluster_size"] for pick in ordered]
    mean, shared = sum(counts) / len(counts), len(picks) - len(first)
    words = (
        f"Sizes of {plural(len(counts), 'cluster')}: {counts[0]:,} to {counts[-1]:,} items, "
        f"{figure(mean)} on average"
    )
    return tag(
        "figure",
        tag("h3", "Final sizes of the clusters"),
        bar_strip(counts, mean, words),
        tag(
            "p",
            tag("span", f"largest {counts[0]:,} (", pick_link(ordered[0]), ")"),
            tag("span", f"smallest {counts[-1]:,} (", pick_link(ordered[-1]), ")"),
            class_="between",
        ),
        tag(
            "figcaption",
            f"One bar per cluster that has a pick ({len(counts):,} of them), largest first; the "
            f"dashed line is their mean, {figure(mean)}. Good: a gentle slope. A warning: a few "
            "giants and a long tail of hardly anything."
            + (f" {plural(shared, 'pick')} had to share a cluster." if shared else ""),
        ),
        class_="sizes-figure",
    )
