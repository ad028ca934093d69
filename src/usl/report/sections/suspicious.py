"""Labels that the other labels contradict, the least supported first."""

from __future__ import annotations

from usl.report.drawing.markup import Html, join, plural, section, tag
from usl.report.facts.facts import Facts
from usl.report.sections.picks import card
from usl.run.predictions import suspicious_rows

SHOWN = 8


def suspicious_section(facts: Facts) -> Html:
    """The most suspicious labels with the reason; empty where none is contradicted."""
    told = facts.predictions
    if told is None:
        return Html("")
    found = suspicious_rows(told)
    if not len(found):
        return Html("")
    cards = []
    for row in found[:SHOWN].tolist():
        name = str(facts.collection.ids[row])
        lines = [
            tag("span", str(told.labels[row]), class_="label"),
            tag("span", f"by the others {told.suggestions[row]}"),
            tag("span", f"support {100 * told.support[row]:.0f}%"),
            tag("span", name, class_="id", title=name),
        ]
        cards.append(card(facts, row, name, join(lines)))
    text = (
        f"Left out in turn and judged by all others, {plural(len(found), 'label')} of the training "
        "would be another. Most wrong labels are among the first of them, and hard but right ones "
        "as well. Look again: "
    )
    command = tag("code", f"usl label {facts.run.path} --check {2 * min(len(found), 20)}")
    return section(
        "Labels to look at again",
        tag("p", text, command, "."),
        tag("ul", *cards, class_="cards"),
        id_="suspicious",
    )
