"""Predicted classes: how many images of each, beside the labels of people, and a gallery."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from usl.report.drawing.markup import (
    Html,
    figure,
    join,
    per_cent,
    plural,
    section,
    table,
    tag,
)
from usl.report.facts.facts import Facts
from usl.report.sections.classes import bar
from usl.report.sections.picks import card
from usl.run.predictions import Predictions

ROWS = 40  # classes in the table; of more, those with the most predictions
GALLERIES = 20  # classes with pictures, alike
PICTURES, MOST = 120, 5  # on all galleries; of a class, of the surest and the most doubtful each


def predicted_section(facts: Facts) -> Html:
    """A bar for each class, and its surest and most doubtful images; empty without predictions."""
    told = facts.predictions
    if told is None or not told.own.any():
        return Html("")
    own = np.flatnonzero(told.own)
    counts = Counter(told.labels[own].tolist())
    trained = facts.run.info.get("training", {}).get("classes", [])
    known = map(facts.names.present, trained)
    names = sorted({*known, *counts}, key=lambda name: (-counts[name], name))
    return section(
        "Predicted classes",
        tag("p", opening(facts, counts, names)),
        counts_table(facts, told, own, counts, names),
        *galleries(facts, told, own, names),
        id_="predictions",
    )


def opening(facts: Facts, counts: Counter[str], names: list[str]) -> str:
    """How many there are, and of which classes none."""
    none = [name for name in names if not counts[name]]
    text = (
        f"The model has labelled {plural(counts.total(), facts.noun)} that nobody has answered, as "
        f"{plural(len(names) - len(none), 'class')}."
    )
    if none:
        more = f" and {len(none) - 10:,} more" if len(none) > 10 else ""
        text += f" None is called {', '.join(none[:10])}{more}."
    return text


def counts_table(
    facts: Facts,
    told: Predictions,
    own: NDArray[np.int64],
    counts: Counter[str],
    names: list[str],
) -> Html:
    """Predictions and labels by class; a line where the labels' share would put the bar."""
    labeled = facts.split.labeled("train")
    given = Counter(facts.split.labels[labeled].tolist())
    total, labels = counts.total(), given.total()
    shown = names[:ROWS]
    expected = {name: given[name] / labels * total if labels else None for name in shown}
    top = max(1.0, max(counts.values()), *(value or 0.0 for value in expected.values()))
    rows = []
    for name in shown:
        sure = told.confidence[own[told.labels[own] == name]]
        rows.append(
            [
                name,
                bar(counts[name], top, equal=expected[name]),
                f"{counts[name]:,}",
                per_cent(counts[name] / total),
                f"{given[name]:,}",
                per_cent(given[name] / labels) if labels else figure(None),
                per_cent(float(sure.mean())) if len(sure) else figure(None),
            ]
        )
    cut = f" The {ROWS} commonest of {len(names):,} classes." if len(names) > ROWS else ""
    return table(
        "Predictions by class. The dashed line is where the share of the labels would put the bar. "
        "Picks are no random sample, so the two differ; a class that is far off is worth a look."
        + cut,
        ["class", "predictions", "number", "share", "labels", "their share", "mean confidence"],
        rows,
        class_="bars",
        text_columns=(0, 1),
    )


def galleries(
    facts: Facts, told: Predictions, own: NDArray[np.int64], names: list[str]
) -> list[Html]:
    """For each class its surest and its most doubtful images; nothing where there are none."""
    if facts.collection.images is None:
        return []
    labels = told.labels[own]
    shown = [name for name in names if (labels == name).any()][:GALLERIES]
    each = max(2, min(MOST, PICTURES // (2 * len(shown))))
    parts = []
    for name in shown:
        rows = own[labels == name]
        order = rows[np.argsort(-told.confidence[rows], kind="stable")]
        sure, doubtful = order[:each], order[each:][-each:][::-1]
        heading = tag("h3", name, tag("span", f" {plural(len(rows), facts.noun)}"))
        strips = [strip(facts, told, "Surest", sure)]
        if len(doubtful):
            strips.append(strip(facts, told, "Most doubtful", doubtful))
        parts.append(tag("div", heading, tag("div", *strips, class_="strip-pair")))
    kind = "galleries narrow" if each < MOST else "galleries"
    galleries = [tag("div", *parts, class_=kind)]
    left = len({*labels.tolist()}) - len(shown)
    if left:
        text = f"{plural(left, 'more class')} have no pictures here. predictions.csv has them all."
        galleries.append(tag("p", text, class_="quiet"))
    return galleries


def strip(facts: Facts, told: Predictions, heading: str, rows: NDArray[np.int64]) -> Html:
    """A few pictures with the confidence of each."""
    cards = []
    for row in rows.tolist():
        name = str(facts.collection.ids[row])
        lines = [
            tag("span", per_cent(float(told.confidence[row]))),
            tag("span", name, class_="id", title=name),
        ]
        answer = None if facts.truth is None else facts.truth[row]
        if answer is not None and answer != told.labels[row]:
            lines.append(tag("span", f"is {answer}", class_="verdict"))
        cards.append(card(facts, row, name, join(lines), small=True))
    return tag("div", tag("p", heading, class_="what"), tag("ul", *cards, class_="cards small"))
