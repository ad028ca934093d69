"""Outliers: the first picks beside the least likely images, and what lies far from all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.distances import mean_neighbor_distance
from usl.report.drawing.markup import Html, figure, footnote, join, plural, section, tag
from usl.report.facts.facts import Facts, Pick, zero_rows_are_known
from usl.report.sections.picks import card, pick_link
from usl.selection.outliers import Outlier, outliers

BESIDE = 20  # of the first picks and of the least likely images each
DENSITY_ROWS = 20_000  # of larger collections a sample is searched for the least likely
DENSITY_K = 20
STRAYS, COUNTED = 8, 100  # items far from everything: shown, and counted
STRAY_K = 10
MOST_ROWS = 100_000  # above, the search would take longer than all the rest of the page


def extremes_section(facts: Facts, progress: Progress = silent) -> Html:
    """The first picks beside the images that are least likely ever to be picked (Fig. 2d, 6)."""
    points = facts.pick_points()
    if len(facts.features) < 3 or not len(points):
        return Html("")
    parameters = facts.run.info["selection"]["parameters"]
    density, rows, k = densities(facts.features, points, parameters.get("k"), progress)
    unpicked = ~np.isin(rows, points)
    order = rows[unpicked][np.argsort(density[unpicked], kind="stable")]
    value = dict(zip(rows.tolist(), density.tolist(), strict=True))
    sampled = f" in a sample of {len(rows):,}" if len(rows) < len(facts.features) else ""
    panels = [
        panel(facts, "Picked first", points[:BESIDE], value, ranked=True),
        panel(facts, "Least likely to be picked", order[:BESIDE], value),
    ]
    return section(
        f"First picks beside the least likely {facts.noun}s",
        tag(
            "p",
            f"The label of a typical {facts.noun} says something about many others. Those with the "
            f"lowest density (over their {k:,} nearest neighbours{sampled}) are mostly outliers, "
            "which a random draw does not avoid.",
        ),
        tag("div", *panels, class_="beside"),
        *strays(facts, progress),
        footnote("density is U (Eq. 3), with the number of neighbours k"),
        id_="outliers",
    )


def densities(
    features: Float32, picks: NDArray[np.int64], k: object, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Density of the rows float64 [r], which rows int64 [r], and k.

    ``k`` is the selection's own if that is at most a tenth of all rows (beyond, it finds small
    groups rather than outliers), else 20. Of more than 20,000 rows a random sample that holds the
    picks is searched, with k scaled down alike, so that it reaches about as far.
    """
    n = len(features)
    wanted = k if isinstance(k, int) and 0 < k <= n / 10 else DENSITY_K
    rows: NDArray[np.int64] = np.arange(n)
    if n > DENSITY_ROWS:
        drawn = np.random.default_rng(0).choice(n, DENSITY_ROWS, replace=False)
        rows = np.union1d(drawn, picks)
        wanted = max(1, round(wanted * len(rows) / n))
    reach = min(wanted, len(rows) - 1)
    mean = mean_neighbor_distance(features[rows], reach, progress=progress)
    return 1.0 / np.maximum(mean, 1e-6), rows, reach


def panel(
    facts: Facts,
    heading: str,
    points: NDArray[np.int64],
    density: dict[int, float],
    *,
    ranked: bool = False,
) -> Html:
    """Some pictures with their density, below a heading."""
    cards = []
    for point in points.tolist():
        row = int(facts.rows[point])
        name = str(facts.collection.ids[row])
        lines = [tag("span", f"density {figure(density[point])}")]
        if facts.collection.images is None:
            lines.insert(0, tag("span", name, class_="id", title=name))
        cards.append(card(facts, row, name, join(lines)))
    list_of = "ol" if ranked else "ul"
    return tag("div", tag("h3", heading), tag(list_of, *cards, class_="cards small"))


def strays(facts: Facts, progress: Progress = silent) -> list[str]:
    """The items farthest from everything, with a word on each; nothing where that says little."""
    n = len(facts.features)
    if not 2 * STRAY_K < n <= MOST_ROWS:
        return []
    with zero_rows_are_known():
        found = outliers(facts.features, k=STRAY_K, most=COUNTED, progress=progress)
    heading = tag("h3", "Far from everything")
    if not found:
        text = (
            f"Nothing stands out: no {facts.noun} is much farther from its {STRAY_K} nearest "
            "neighbours than is usual."
        )
        return [heading, tag("p", text)]
    rank_of = {pick.row: pick for pick in facts.picks if pick.row >= 0}
    picked = [rank_of.get(int(facts.rows[stray.row])) for stray in found]
    shown = zip(found[:STRAYS], picked[:STRAYS], strict=True)
    return [
        heading,
        tag("p", *opening(facts, found, [pick for pick in picked if pick])),
        tag("ul", *[stray_card(facts, stray, pick) for stray, pick in shown], class_="cards"),
    ]


def opening(facts: Facts, found: list[Outlier], picked: list[Pick]) -> list[str]:
    """How many there are, which of them are picks, and what to make of it."""
    least = "At least " if len(found) == COUNTED else ""
    first = f" The first {STRAYS}:" if len(found) > STRAYS else ""
    text = (
        f"{least}{plural(len(found), facts.noun)} stand{'s' if len(found) == 1 else ''} far from "
        f"all others, by 3.5 robust deviations or more of the distance to the {STRAY_K} nearest "
        "neighbours: broken, mislaid or rare. "
    )
    if not picked:
        return [text, f"No pick is among them.{first}"]
    ranked = sorted(picked, key=lambda pick: pick.rank)
    links = join([pick_link(pick) for pick in ranked[:STRAYS]], ", ")
    more = " and more" if len(picked) > STRAYS else ""
    are = "is a pick" if len(picked) == 1 else "are picks"
    return [text, f"{len(picked)} of them {are} (", links, f"{more}), whose labels say little of ",
            f"other {facts.noun}s.{first}"]  # fmt: skip


def stray_card(facts: Facts, stray: Outlier, pick: Pick | None) -> Html:
    """One of them: how far it is, and whether it is a pick. What it shows is not told."""
    row = int(facts.rows[stray.row])
    name = str(facts.collection.ids[row])
    lines = [
        tag("span", name, class_="id", title=name),
        tag("span", f"{figure(stray.distance)} away"),
        tag("span", f"{stray.distance / max(stray.usual, 1e-6):.1f} times the usual"),
        tag("span", f"{stray.near} beside it") if stray.near else "",
        tag("span", pick_link(pick) if pick else "not picked"),
    ]
    return card(facts, row, name, join(lines))
