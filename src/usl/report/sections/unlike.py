"""Images that are like no class with a label: what is in the collection that nobody has named."""

from __future__ import annotations

import numpy as np

from usl.report.drawing.markup import Html, join, per_cent, plural, section, tag
from usl.report.facts.facts import Facts
from usl.report.sections.picks import card
from usl.training.unlike import LIMIT

SHOWN = 8


def unlike_section(facts: Facts) -> Html:
    """How many there are, and those that are least like any class; empty without one."""
    told = facts.predictions
    if told is None:
        return Html("")
    found = np.flatnonzero(told.own & (told.unlike >= LIMIT))
    if not len(found):
        return Html("")
    first = found[np.argsort(-told.unlike[found], kind="stable")][:SHOWN]
    cards = []
    for row in first.tolist():
        name = str(facts.collection.ids[row])
        lines = [
            tag("span", f"called {told.labels[row]}", class_="label"),
            tag("span", f"unlike {told.unlike[row]:.2f}"),
            tag("span", name, class_="id", title=name),
        ]
        cards.append(card(facts, row, name, join(lines)))
    share = per_cent(len(found) / max(1, int(told.own.sum())))
    text = (
        f"{plural(len(found), facts.noun)} ({share} of those without a label) lie apart from every "
        "class that has a label, by their features and by their neighbours. They may be of a class "
        f"that nobody has labelled yet; label some of them to see. The first {len(first)}:"
    )
    return section("Like no class", tag("p", text), tag("ul", *cards, class_="cards"), id_="unlike")
