"""The map: every train image as a dot, the picks as numbered marks."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.core.neighbors import Float32
from usl.evaluation.projection import Projection
from usl.evaluation.sections.facts import Facts
from usl.evaluation.sections.markup import Html, section, tag
from usl.evaluation.sections.picks import SHOWN

WIDTH, HEIGHT, MARGIN = 1000, 800, 36  # in units of the drawing
PALETTE = 10  # colours that are told apart by people of any colour vision; see report.css
NAMED = 20  # groups in the legend, at most
NUMBERED = 100  # picks with their number written out
UNKNOWN = "unknown"
MARK, LETTER = 24, 9.5  # height of a mark or a name, width of a letter of a name
OFFSETS = sorted(
    ((dx, dy) for dx in range(-120, 121, 20) for dy in range(-120, 121, 12)),
    key=lambda offset: offset[0] ** 2 + offset[1] ** 2,
)


@dataclass(frozen=True)
class Groups:
    """What the colours mean: ``names`` of the groups, ``of`` int64 [n] of each row, -1 unknown."""

    names: list[str]
    of: NDArray[np.int64]
    meaning: str
    legend: bool = True


def groups_of(facts: Facts) -> Groups:
    """True classes if the source knows them, else predicted ones, else who stands for whom."""
    n = len(facts.collection)
    if facts.truth is not None:
        return named_groups(facts.truth, "Colour: the true class.")
    if facts.predictions is not None:
        return named_groups(facts.predictions.labels, "Colour: the predicted class.")
    if (facts.stands >= 0).any():
        names = [f"stood for by pick {pick.rank}" for pick in facts.picks]
        meaning = (
            f"Colour: the pick that stands for the {facts.noun}; neighbouring colours are close."
        )
        return Groups(names, facts.stands, meaning, legend=False)
    return Groups([], np.full(n, -1), "")


def named_groups(labels: NDArray[np.object_], meaning: str) -> Groups:
    """Groups by label, None for unknown."""
    names = sorted({label for label in labels.tolist() if label is not None})
    number = {name: i for i, name in enumerate(names)}
    of = np.array([number.get(label, -1) for label in labels.tolist()], dtype=np.int64)
    if len(names) > NAMED:
        meaning = f"{meaning[:-1]} ({len(names)} of them: neighbouring colours are close)."
    return Groups(names, of, meaning, legend=len(names) <= NAMED)


def map_section(facts: Facts, projection: Projection | None) -> Html:
    """The picks among all the others, in two dimensions."""
    if projection is None:
        return Html("")
    groups = groups_of(facts)
    xy, height = fit_to_page(projection.xy)
    group = groups.of[facts.rows[projection.rows]]
    clouds = [cloud(xy[group == i], i, groups) for i in (-1, *range(len(groups.names)))]
    points = facts.pick_points()
    by_row = {pick.row: pick for pick in facts.picks}
    marks = []
    for i in reversed(range(len(points))):
        pick = by_row[int(facts.rows[points[i]])]
        words = [f"#{pick.rank}", pick.image_id] + ([pick.label] if pick.label else [])
        marks.append(mark(xy[i], pick.rank, " · ".join(words), int(group[i]), groups))
    picture = tag(
        "svg",
        tag("title", f"Map of the train {facts.noun}s with the picks marked by rank"),
        *clouds,
        *class_names(xy, group, xy[: len(points)], groups),
        tag("g", *marks, class_="marks"),
        viewBox=f"0 0 {WIDTH} {height}",
        class_="map",
        role="img",
    )
    return section(
        "Map",
        tag(
            "figure", picture, legend(groups), tag("figcaption", caption(facts, projection, groups))
        ),
        id_="map",
    )


def caption(facts: Facts, projection: Projection, groups: Groups) -> str:
    """How the map was made and what it does not show."""
    drawn, total = len(projection.rows), len(facts.rows)
    parts = [
        f"t-SNE of the {len(facts.pick_points()):,} picks and "
        f"{projection.mapped - min(projection.mapped, len(facts.pick_points())):,} other train "
        f"{facts.noun}s, drawn at random"
    ]
    if drawn > projection.mapped:
        parts.append(
            f"; {drawn - projection.mapped:,} more are set among their nearest mapped neighbours"
        )
    if drawn < total:
        parts.append(f"; {total - drawn:,} are not drawn")
    parts.append(f". {groups.meaning} Distances far across the map mean little.")
    return "".join(parts)


def fit_to_page(xy: Float32) -> tuple[NDArray[np.int64], int]:
    """Turn the longest extent level and scale to the page: int64 [q, 2] and the height."""
    centred = xy.astype(np.float64) - xy.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    turned = centred @ axes[:, ::-1]
    turned -= turned.min(axis=0)
    extent = turned.max(axis=0)
    room = WIDTH - 2 * MARGIN
    scale = room / max(float(extent[0]), 1e-12)
    height = max(200, min(HEIGHT, round(float(extent[1]) * scale) + 2 * MARGIN))
    scale = min(scale, (height - 2 * MARGIN) / max(float(extent[1]), 1e-12))
    offset = (np.array([WIDTH, height]) - extent * scale) / 2
    return np.rint(turned * scale + offset).astype(np.int64), height


def colour(number: int, groups: Groups) -> str:
    """The colour of a group as a CSS value."""
    if number < 0:
        return "var(--faint)"
    if len(groups.names) <= PALETTE:
        return f"var(--k{number})"
    return f"hsl({number * 137.508 % 360:.0f} 55% var(--lightness))"  # the golden angle apart


def cloud(xy: NDArray[np.int64], number: int, groups: Groups) -> Html:
    """The dots of one group as a single path: a few bytes per dot, sharp at any size."""
    if not len(xy):
        return Html("")
    ordered = xy[np.lexsort((xy[:, 1], xy[:, 0] // 16))]
    steps = np.diff(ordered, axis=0, prepend=np.zeros((1, 2), np.int64))
    path = "".join(f"m{dx} {dy}h0" for dx, dy in steps.tolist()).replace(" -", "-")
    name = groups.names[number] if number >= 0 else UNKNOWN
    return tag(
        "path",
        tag("title", name),
        d=re.sub("^m", "M", path),
        class_=f"cloud g{number}" if number >= 0 else "cloud",
        style=f"--c:{colour(number, groups)}",
    )


def mark(at: NDArray[np.int64], rank: int, words: str, number: int, groups: Groups) -> Html:
    """A pick: its rank in a ring of its group's colour, a link to its picture."""
    numbered = rank <= NUMBERED
    x, y = at.tolist()
    return tag(
        "a",
        tag("title", words),
        tag("circle", cx=str(x), cy=str(y), class_=None if numbered else "plain"),
        tag("text", str(rank), x=str(x), y=str(y)) if numbered else None,
        href=f"#pick-{rank}" if rank <= SHOWN else None,
        tabindex="-1",
        style=f"--c:{colour(number, groups)}",
    )


def class_names(
    xy: NDArray[np.int64], group: NDArray[np.int64], marks: NDArray[np.int64], groups: Groups
) -> list[Html]:
    """Each group's name near the middle of its dots, so that colour is not all there is.

    It stands at the nearest place where it covers no other name and no mark (int64 [m, 2]).
    """
    if not groups.legend:
        return []
    taken: list[tuple[float, float, float]] = [(x, y, MARK / 2) for x, y in marks.tolist()]
    names = []
    for number, whole in enumerate(groups.names):
        own = xy[group == number]
        if not len(own):
            continue
        name = shorten(whole)
        half = LETTER * len(name) / 2
        middle = np.median(own, axis=0)
        for dx, dy in OFFSETS:
            x, y = middle[0] + dx, middle[1] + dy
            if all(abs(x - tx) > half + th or abs(y - ty) > MARK for tx, ty, th in taken):
                break
        else:
            x, y = middle
        taken.append((x, y, half))
        names.append(tag("text", name, x=f"{x:.0f}", y=f"{y:.0f}", class_="name"))
    return names


def shorten(name: str) -> str:
    """A name short enough to stand on the map."""
    return name if len(name) <= 18 else f"{name[:17]}…"


def legend(groups: Groups) -> Html | None:
    """Colours and names. Pointing at one makes the others fade, by style sheet alone."""
    if not groups.legend or not groups.names:
        return None
    items = [
        tag(
            "li",
            tag("span", class_="swatch", style=f"--c:{colour(number, groups)}"),
            name,
            class_=f"g{number}",
        )
        for number, name in enumerate(groups.names)
    ]
    return tag("ul", *items, class_="legend")


def highlight_rules() -> str:
    """The style rules behind :func:`legend`'s fading."""
    return "".join(
        f"figure:has(.legend .g{i}:hover) .cloud:not(.g{i}){{opacity:.06}}" for i in range(NAMED)
    )
