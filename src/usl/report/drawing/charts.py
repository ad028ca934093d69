"""Charts as SVG: curves by step with a zone of warning below a limit, strips of bars, legends."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from usl.report.drawing.markup import Html, tag

WIDTH, HEIGHT = 340, 168  # in units of the drawing, about a pixel each
LEFT, RIGHT, TOP, BOTTOM = 46, 334, 8, 144  # of the plot
STEPS = 4  # intervals of an axis, at most
ACROSS, TALL = 1000, 100  # of a strip of bars, stretched to the page
LOWEST = 0.01  # of a logarithmic axis: what is smaller stands at its foot


@dataclass(frozen=True)
class Axis:
    """Ends of an axis, the values it names, whether it is logarithmic, a value to stress."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False
    stressed: float | None = None

    def place(self, value: float) -> float:
        """Height of a value in the drawing, within the plot."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return BOTTOM - share * (BOTTOM - TOP)


@dataclass(frozen=True)
class Curve:
    """Points (step, value) in order of the steps; ``kind`` is a class, ``colour`` a CSS value."""

    points: tuple[tuple[int, float], ...]
    kind: str
    colour: str


def round_step(extent: float, most: int = STEPS) -> float:
    """The smallest of 1, 2, 5 times a power of ten that makes ``most`` intervals at the most."""
    power = 10.0 ** math.floor(math.log10(extent / most))
    return next(m * power for m in (1, 2, 5, 10) if extent <= most * m * power * (1 + 1e-9))


def axis(low: float, high: float) -> Axis:
    """An axis from round value to round value that holds both ends."""
    extent = high - low
    if extent <= 1e-9 * max(1e-3, abs(low)):
        extent = max(abs(low), 1e-3)
        high = low + extent
    step = round_step(extent)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    ticks = tuple(step * i for i in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def log_axis(high: float) -> Axis:
    """A logarithmic axis from a hundredth to at least 2, with powers of ten; 1 is stressed."""
    top = max(2.0, 1.1 * high)
    powers = range(round(math.log10(LOWEST)), math.floor(math.log10(top)) + 1)
    ticks = tuple(10.0**power for power in powers)
    return Axis(LOWEST, top, ticks, log=True, stressed=1.0)


def decades(low: float, high: float) -> Axis:
    """A logarithmic axis between powers of ten that holds both ends, 0 < low <= high; 4 at most."""
    last = math.ceil(math.log10(high) - 1e-9)
    first = max(last - STEPS, min(last - 1, math.floor(math.log10(low) + 1e-9)))
    ticks = tuple(10.0**power for power in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks, log=True)


def tick_text(value: float) -> str:
    """A round value without an exponent, unless it is extreme."""
    if value and not 1e-6 <= abs(value) < 1e6:
        return f"{value:.0e}"
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def line_chart(
    curves: list[Curve],
    scale: Axis,
    *,
    words: str,
    limit: float | None = None,
    end_words: str = "step {:,}",
    span: tuple[int, int, int] | None = None,
) -> Html:
    """The chart as an image that says ``words`` to those who cannot see it.

    Parameters
    ----------
    limit : below this value it is a warning.
    end_words : what stands at the right end, with the last step.
    span : first and last step of a band, and a step between them with a line.
    """
    end = max(1, *(step for curve in curves for step, _ in curve.points))

    def across(step: int) -> float:
        return LEFT + (RIGHT - LEFT) * max(0, step) / end

    marks = []
    warned = limit is not None and scale.low < limit
    if limit is not None and warned:
        marks += warning_zone(scale.place(limit))
    if span is not None:
        marks += band(*(across(step) for step in span))
    for tick in scale.ticks:
        y = f"{scale.place(tick):.1f}"
        marks.append(level(y, LEFT, RIGHT, "grid even" if tick == scale.stressed else "grid"))
        marks.append(tag("text", tick_text(tick), x=LEFT - 6, y=y, class_="tick level"))
    for step, kind in ((0, "start"), (end, "end")):
        place = f"{across(step):.1f}"
        words_of = end_words.format(step) if step else "0"
        marks.append(tag("text", words_of, x=place, y=HEIGHT - 7, class_=f"tick {kind}"))
    for curve in curves:
        places = [f"{across(step):.1f} {scale.place(v):.1f}" for step, v in curve.points]
        style, (x, y) = f"--c:{curve.colour}", places[-1].split()
        marks.append(
            tag("path", d="M" + "L".join(places), class_=f"curve {curve.kind}".strip(), style=style)
        )
        marks.append(tag("circle", cx=x, cy=y, r="3", class_="last", style=style))
    if warned:  # last, so that no curve runs through the word
        marks.append(tag("text", "warning", x=RIGHT - 8, y=BOTTOM - 9, class_="warned"))
    return tag("svg", *marks, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=words)


def warning_zone(y: float) -> list[Html]:
    """The part of the plot below a height, marked as a warning."""
    below, width = f"{BOTTOM - y:.1f}", RIGHT - LEFT
    return [
        tag("rect", x=LEFT, y=f"{y:.1f}", width=width, height=below, class_="zone"),
        level(y, LEFT, RIGHT, "limit"),
    ]


def band(first: float, last: float, here: float) -> list[Html]:
    """A part of the plot between two places, at least as wide as a curve, and a line in it."""
    width = max(last - first, 3.0)
    x, height = f"{(first + last - width) / 2:.1f}", BOTTOM - TOP
    return [
        tag("rect", x=x, y=TOP, width=f"{width:.1f}", height=height, class_="span"),
        upright(f"{here:.1f}", TOP, BOTTOM, "here"),
    ]


def level(y: float | str, left: float | str, right: float | str, kind: str) -> Html:
    """A horizontal line."""
    place = f"{y:.1f}" if isinstance(y, float) else y
    return tag("line", x1=left, x2=right, y1=place, y2=place, class_=kind)


def upright(x: float | str, top: float, bottom: float, kind: str) -> Html:
    """A vertical line."""
    return tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=kind)


def chart(title: str, ends: list[Html], drawing: Html, caption: str) -> Html:
    """A figure: its title, the last values, the drawing, and how to read it."""
    return tag(
        "figure",
        tag("h3", title),
        tag("p", *ends, class_="ends"),
        drawing,
        tag("figcaption", caption),
        class_="chart",
    )


def legend(items: Iterable[tuple[Html, str, str | None]]) -> Html:
    """Samples of what is drawn, each with its words and, if need be, a class."""
    return tag("ul", *[tag("li", *item, class_=kind) for *item, kind in items], class_="legend")


def swatch(colour: str, *, square: bool = False) -> Html:
    """A patch of a colour for a legend, a disc or a square."""
    return tag("span", class_="swatch square" if square else "swatch", style=f"--c:{colour}")


def line_sample(kind: str) -> Html:
    """A piece of a curve for a legend."""
    piece = level("5", 0, 22, f"curve {kind}".strip())
    return tag("svg", piece, width=22, height=10, aria_hidden="true")


def bar_strip(counts: list[int], mean: float, words: str) -> Html:
    """Counts, largest first, as bars over the whole width, with a line at their mean."""
    width, top = ACROSS / len(counts), max(counts)
    gap = 0.2 * width if len(counts) <= 150 else 0.0
    bars = "".join(
        f"M{i * width:.2f} {TALL}V{TALL - TALL * count / top:.2f}h{width - gap:.2f}V{TALL}z"
        for i, count in enumerate(counts)
    )
    middle = f"{TALL - TALL * mean / top:.2f}"
    return tag(
        "svg",
        tag("path", d=bars, class_="bar"),
        level(middle, 0, ACROSS, "level"),
        viewBox=f"0 0 {ACROSS} {TALL}",
        preserveAspectRatio="none",
        class_="sizes",
        role="img",
        aria_label=words,
    )
