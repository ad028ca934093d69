"""Section: the map, every train image as a dot, the picks numbered."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.report.drawing.charts import legend, swatch
from usl.report.drawing.markup import Html, plural, section, tag
from usl.report.facts.explorer import explorer_data
from usl.report.facts.facts import Facts
from usl.report.facts.groups import (
    NAMED,
    UNKNOWN,
    Groups,
    colour,
    groups_of,
    is_square,
)
from usl.report.projection import Projection
from usl.report.sections.picks import SHOWN

WIDTH, HEIGHT, MARGIN = 1000, 800, 36  # in units of the drawing
NUMBERED = 100  # picks with their number written out
MARKED = 1_000  # picks with an element of their own; of a thousand more nobody sees the rank
RING = 15.0  # width of the rings of all others, if they were few
DOT, DENSE = 4.6, 6_000  # width of a dot, while there are at most so many
MARK, LETTER = 24, 9.5  # height of a mark or a name, width of a letter of a name
OFFSETS = sorted(
    ((dx, dy) for dx in range(-120, 121, 20) for dy in range(-120, 121, 12)),
    key=lambda offset: offset[0] ** 2 + offset[1] ** 2,
)


def map_section(
    facts: Facts, projection: Projection | None, limit: int, progress: Progress = silent
) -> Html:
    """The picks among all the others, in two dimensions.

    A picture that is complete by itself, and what the page's script needs to make it answer. The
    two take at most ``limit`` bytes, if need be with fewer and smaller thumbnails.
    """
    if projection is None:
        return Html("")
    groups = groups_of(facts)
    at, height = fit_to_page(projection.xy)
    drawing = tag("div", picture(facts, projection, groups, at, height), class_="stage")
    words = tag("figcaption", caption(facts, projection, groups))
    figure = tag("figure", drawing, groups_legend(groups), words)
    colours = [colour(number, groups) for number in range(len(groups.names))]
    left = limit - len(figure.encode())
    data = explorer_data(facts, projection, groups, colours, at, left, progress)
    return section("Map", figure, data, id_="map")


def picture(
    facts: Facts, projection: Projection, groups: Groups, at: NDArray[np.float64], height: int
) -> Html:
    """The drawing: dots at ``at`` [q, 2], names, and the picks on top of them."""
    xy = np.rint(at).astype(np.int64)
    group = groups.of[facts.rows[projection.rows]]
    points = facts.pick_points()
    by_row = {pick.row: pick for pick in facts.picks}
    marks = []
    for i in reversed(range(min(len(points), MARKED))):
        pick = by_row[int(facts.rows[points[i]])]
        words = [f"#{pick.rank}", pick.image_id] + ([pick.label] if pick.label else [])
        marks.append(mark(xy[i], pick.rank, " · ".join(words), int(group[i]), groups))
    width = DOT * min(1.0, (DENSE / len(xy)) ** 0.25)  # many dots are to stay apart
    ring = RING * min(1.0, (MARKED / max(1, len(points))) ** 0.25)
    return tag(
        "svg",
        tag("title", f"Map of the train {facts.noun}s with the picks marked by rank"),
        *clouds(xy, group, groups),
        *class_names(xy, group, xy[: len(points)], groups),
        tag("g", *rings(xy[MARKED : len(points)], group[MARKED : len(points)], groups)),
        tag("g", *marks, class_="marks"),
        viewBox=f"0 0 {WIDTH} {height}",
        class_="map",
        role="img",
        style=f"--dot:{width:.2f}px;--ring:{ring:.2f}px",
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


def fit_to_page(xy: Float32) -> tuple[NDArray[np.float64], int]:
    """Turn the longest extent level and scale to the page: float64 [q, 2] and the height."""
    centred = xy.astype(np.float64) - xy.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    turned = centred @ axes[:, ::-1]
    turned -= turned.min(axis=0)
    extent = turned.max(axis=0)
    width = WIDTH - 2 * MARGIN
    scale = width / max(float(extent[0]), 1e-12)
    height = max(200, min(HEIGHT, round(float(extent[1]) * scale) + 2 * MARGIN))
    scale = min(scale, (height - 2 * MARGIN) / max(float(extent[1]), 1e-12))
    offset = (np.array([WIDTH, height]) - extent * scale) / 2
    return turned * scale + offset, height


def clouds(xy: NDArray[np.int64], group: NDArray[np.int64], groups: Groups) -> list[Html]:
    """The dots, group by group; groups beyond a few hundred share colours, and then a path."""
    sharing = by_colour(groups)
    return [
        cloud(xy[np.isin(group, numbers)], numbers[-1], groups, alone=len(numbers) == 1)
        for numbers in sharing.values()
    ]


def by_colour(groups: Groups) -> dict[str, list[int]]:
    """The groups that have each colour, that of the unknown first."""
    found: dict[str, list[int]] = {}
    for number in range(-1, len(groups.names)):
        found.setdefault(colour(number, groups), []).append(number)
    return found


def cloud(xy: NDArray[np.int64], number: int, groups: Groups, *, alone: bool = True) -> Html:
    """The dots of one group as a single path: a few bytes per dot, sharp at any size."""
    if not len(xy):
        return Html("")
    name = groups.names[number] if number >= 0 else UNKNOWN
    return tag(
        "path",
        tag("title", name) if alone else None,
        d=dots(xy),
        class_=" ".join(cloud_classes(number, groups)),
        style=f"--c:{colour(number, groups)}",
    )


def cloud_classes(number: int, groups: Groups) -> list[str]:
    """For the style sheet: the group's number, those without a colour as one, and its shape."""
    place = [] if number < 0 else [f"g{min(number, groups.named)}"]
    return ["cloud", *place, *["square"][: is_square(number, groups)]]


def rings(xy: NDArray[np.int64], group: NDArray[np.int64], groups: Groups) -> list[Html]:
    """The picks that have no mark of their own, as small rings."""
    found = []
    for value, numbers in by_colour(groups).items():
        own = xy[np.isin(group, numbers)]
        if len(own):
            path = dots(own)
            found.append(tag("path", d=path, class_="rings", style=f"--c:{value}"))
            found.append(tag("path", d=path, class_="rings inside"))
    return found


def dots(xy: NDArray[np.int64]) -> str:
    """Path data that draw a dot at each place, int64 [q, 2], in steps from one to the next."""
    ordered = xy[np.lexsort((xy[:, 1], xy[:, 0] // 16))]
    steps = np.diff(ordered, axis=0, prepend=np.zeros((1, 2), np.int64))
    path = "".join(f"m{dx} {dy}h0" for dx, dy in steps.tolist()).replace(" -", "-")
    return re.sub("^m", "M", path)


def mark(at: NDArray[np.int64], rank: int, words: str, number: int, groups: Groups) -> Html:
    """A pick: its rank in a ring of its group's colour, a link to its picture."""
    numbered = rank <= NUMBERED
    x, y = at.tolist()
    return tag(
        "a",
        tag("title", words),
        tag("circle", cx=x, cy=y, class_=None if numbered else "plain"),
        tag("text", str(rank), x=x, y=y) if numbered else None,
        href=f"#pick-{rank}" if rank <= SHOWN else None,
        tabindex="-1",
        data_rank=rank,
        style=f"--c:{colour(number, groups)}",
    )


def class_names(
    xy: NDArray[np.int64], group: NDArray[np.int64], marks: NDArray[np.int64], groups: Groups
) -> list[Html]:
    """Each group's name near the middle of its dots, so that colour is not all there is.

    It stands at the nearest place where it covers no other name and no mark (int64 [m, 2]).
    """
    taken: list[tuple[float, float, float]] = [(x, y, MARK / 2) for x, y in marks.tolist()]
    names = []
    for number, whole in enumerate(groups.names[: groups.named]):
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
        place = {"x": f"{x:.0f}", "y": f"{y:.0f}", "data_group": str(number)}
        names.append(tag("text", name, class_="name", **place))
    return names


def shorten(name: str) -> str:
    """A name short enough to stand on the map."""
    return name if len(name) <= 18 else f"{name[:17]}…"


def groups_legend(groups: Groups) -> Html | None:
    """Colours and names. Pointing at one makes the others fade, by style sheet alone."""
    if not groups.named:
        return None
    items = [
        (swatch(colour(number, groups), square=is_square(number, groups)), name, f"g{number}")
        for number, name in enumerate(groups.names[: groups.named])
    ]
    if others := len(groups.names) - groups.named:
        grey = swatch(colour(groups.named, groups))
        items.append((grey, f"{plural(others, 'other class')}", f"g{groups.named}"))
    return legend(items)


def highlight_rules() -> str:
    """The style rules behind :func:`groups_legend`'s fading."""
    return "".join(
        f"figure:has(.legend .g{i}:hover) .cloud:not(.g{i}){{opacity:.06}}"
        for i in range(NAMED + 1)
    )
