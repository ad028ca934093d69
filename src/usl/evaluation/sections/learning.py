"""How the clusters were learned: figures by step as small charts, and what they warn of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from usl.evaluation.sections.facts import Facts, Pick
from usl.evaluation.sections.linechart import Axis, Curve, axis, line_chart, line_sample, log_axis
from usl.evaluation.sections.markup import Html, figure, join, per_cent, plural, section, tag

ENTROPY, SMALLEST, AGREEMENT = 0.8, 0.05, 0.2  # below: a warning
POINTS = 300  # per curve; of longer trainings every so many records
COLOURS = 10  # see report.css
BARS = 1000  # width of the strip of sizes, in units of the drawing
TALL = 100  # its height


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
    threshold = f"τ = {tau}" if tau else "τ"
    return (
        Panel(
            "Global loss",
            (("global_loss", ""),),
            f"Makes items surer of the cluster they are in (Eq. 10). Only those surer than "
            f"{threshold} count: it is 0 while there are none, and may rise as more join. Sudden "
            "jumps are a warning.",
        ),
        Panel(
            "Local loss",
            (("local_loss", ""),),
            "How far items are from the cluster of a neighbour (Eq. 14). Good: it falls and levels "
            "off. A warning: it rises (lower lr), or still falls at the end (more steps).",
        ),
        Panel(
            "Confidence",
            (("confidence", "mean"), ("above_tau", f"share above {threshold}")),
            "How surely items belong to their cluster (max ŷ, Eq. 9). Good: it rises. A warning: "
            "it stays near one over the number of clusters, where nothing was learned.",
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
    charts = [chart(panel, heads) for panel in panels(parameters)]
    if not any(charts):
        return Html("")
    return section(
        "How the clusters were learned",
        verdict(heads),
        legend(heads),
        tag("div", *charts, class_="charts"),
        sizes(facts.picks),
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


def number(record: dict[str, Any], name: str) -> float | None:
    """A figure of a record; None where it is missing or no finite number."""
    value = record.get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


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


def chart(panel: Panel, heads: dict[int, list[dict[str, Any]]]) -> Html:
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
    return tag(
        "figure",
        tag("h3", panel.title),
        tag("p", *[series_end(*end, several=len(panel.series) > 1) for end in ends], class_="ends"),
        line_chart(
            curves,
            scale(panel, [value for drawn in curves for _, value in drawn.points]),
            limit=panel.limit,
            words=f"{panel.title} by step: {spoken}",
        ),
        tag("figcaption", panel.caption),
        class_="chart",
    )


def scale(panel: Panel, values: list[float]) -> Axis:
    """The axis of a panel that holds these values."""
    if panel.log:
        return log_axis(max(values))
    bounds = [bound for bound in (panel.floor, panel.ceiling) if bound is not None]
    return axis(min([*values, *bounds]), max([*values, *bounds]))


def value_range(values: list[float]) -> str:
    """One value, or the range of the heads'."""
    low, high = figure(float(min(values))), figure(float(max(values)))
    return low if low == high else f"{low}–{high}"


def series_end(kind: str, words: str, value: str, *, several: bool) -> Html:
    """A line's look, name and last value."""
    sample = line_sample(kind) if several else None
    return tag("span", sample, f"{words} " if words else "at the end ", tag("strong", value))


def legend(heads: dict[int, list[dict[str, Any]]]) -> Html | None:
    """Which colour is which head, where there are several."""
    if len(heads) < 2:
        return None
    first = min(heads)
    items = [
        tag(
            "li",
            tag("span", class_="swatch", style=f"--c:{colour(place, heads)}"),
            f"head {head}" + (" (its clusters are the ones used)" if head == first else ""),
        )
        for place, head in enumerate(heads)
    ]
    return tag("ul", *items, class_="legend")


def warnings_of(record: dict[str, Any]) -> list[str]:
    """What the last figures of a head warn of, in words."""
    entropy, smallest, largest, agreement = (
        number(record, name) for name in ("entropy", "smallest", "largest", "agreement")
    )
    found = []
    alone = largest is not None and largest <= 1  # a single cluster has no entropy to lose
    if entropy is not None and entropy < ENTROPY and not alone:
        found.append(
            f"a few clusters hold nearly everything (entropy {figure(float(entropy))} of the "
            f"maximum, below {ENTROPY}): raise alpha, or lower lam"
        )
    if smallest is not None and smallest < SMALLEST:
        found.append(
            f"the smallest cluster is all but empty ({figure(float(smallest))} times the mean, "
            f"below {SMALLEST}), and its pick speaks for hardly anything: raise alpha, or ask for "
            "fewer labels"
        )
    if agreement is not None and agreement < AGREEMENT:
        found.append(
            f"only {per_cent(agreement)} of items share a cluster with a neighbour (below "
            f"{AGREEMENT:.0%}): raise steps or lam"
        )
    return found


def verdict(heads: dict[int, list[dict[str, Any]]]) -> Html | None:
    """One line: whether the clusters came out well, by the last record of each head."""
    last = {head: records[-1] for head, records in heads.items()}
    warned = {head: found for head, record in last.items() if (found := warnings_of(record))}
    if warned:
        parts = [
            (f"Head {head}: " if len(heads) > 1 else "") + "; ".join(found)
            for head, found in warned.items()
        ]
        text = ". ".join(part[0].upper() + part[1:] for part in parts) + "."
        title = tag("strong", "The clusters may have collapsed.")
        return tag("p", join([title, " ", text]), class_="notice", role="note")
    figures = last[min(last)]
    known = {name: number(figures, name) for name in ("entropy", "smallest", "agreement")}
    if None in known.values():
        return None
    entropy, smallest, agreement = (float(value or 0) for value in known.values())
    of_head = f" Figures of head {min(last)}." if len(heads) > 1 else ""
    return tag(
        "p",
        tag("strong", "No sign of collapse."),
        f" After {plural(figures['step'], 'step')} the sizes of the clusters are "
        f"{'nearly even' if entropy >= 0.95 else 'uneven, but within bounds'} (entropy "
        f"{figure(entropy)} of the maximum), the smallest holds {figure(smallest)} times the mean, "
        f"and {per_cent(agreement)} of items share a cluster with a neighbour.{of_head}",
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
    mean, width = sum(counts) / len(counts), BARS / len(counts)
    gap = 0.2 * width if len(counts) <= 150 else 0.0
    bars = "".join(
        f"M{i * width:.2f} {TALL}V{TALL - TALL * count / counts[0]:.2f}h{width - gap:.2f}V{TALL}z"
        for i, count in enumerate(counts)
    )
    level = f"{TALL - TALL * mean / counts[0]:.2f}"
    spoken = f"{counts[0]:,} to {counts[-1]:,} items, {figure(mean)} on average"
    second = len(picks) - len(first)
    return tag(
        "figure",
        tag("h3", "Final sizes of the clusters"),
        tag(
            "svg",
            tag("path", d=bars, class_="bar"),
            tag("line", x1="0", x2=str(BARS), y1=level, y2=level, class_="level"),
            viewBox=f"0 0 {BARS} {TALL}",
            preserveAspectRatio="none",
            class_="sizes",
            role="img",
            aria_label=f"Sizes of {plural(len(counts), 'cluster')}: {spoken}",
        ),
        tag(
            "p",
            tag("span", f"largest {counts[0]:,} (pick #{ordered[0].rank})"),
            tag("span", f"smallest {counts[-1]:,} (pick #{ordered[-1].rank})"),
            class_="between",
        ),
        tag(
            "figcaption",
            f"One bar per cluster that has a pick ({len(counts):,} of them), largest first; the "
            f"dashed line is their mean, {figure(mean)}. Good: a gentle slope. A warning: a few "
            "giants and a long tail of hardly anything."
            + (f" {plural(second, 'pick')} had to share a cluster." if second else ""),
        ),
        class_="sizes-figure",
    )
