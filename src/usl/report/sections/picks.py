"""Section: the picks as pictures, best first, with their figures; doubtful predictions."""

from __future__ import annotations

import numpy as np

from usl.core.methods import built_in_module
from usl.report.drawing.markup import (
    FIXED_SPACE,
    Html,
    figure,
    footnote,
    join,
    per_cent,
    section,
    table,
    tag,
)
from usl.report.drawing.thumbnails import thumbnail
from usl.report.facts.facts import Facts, Pick
from usl.selection.contract import METHODS

SHOWN = 200  # picks, as pictures; selection.csv holds them all
DOUBTFUL = 8

BEST_FIRST = "Best first: any number from the top is a good selection by itself."

TERMS = (
    ("stands for", "represents", "how many images the pick speaks for, itself included"),
    ("cluster", "cluster_size", "size of its cluster, where it differs"),
    ("label goes to", "propagated_to", "how many others of its cluster receive its label"),
    ("confidence", "confidence", "how surely it belongs to its cluster"),
    ("density", "density", "how close its neighbours are"),
    ("regulariser", "regularizer", "what speaks against it"),
    ("utility", "utility", "what the method went by"),
)
DECIDED = "; it decided which of a cluster is picked"
SCORES = ("confidence", "density", "regularizer", "utility")
Terms = list[tuple[str, str, str]]


def picks_section(facts: Facts) -> Html:
    """Every pick, in rank order, with what is known about it."""
    shown = facts.picks[:SHOWN]
    terms = terms_of(facts)
    limit = (
        f" The first {SHOWN} of {len(facts.picks):,} are shown; selection.csv holds them all."
        if len(facts.picks) > SHOWN
        else ""
    )
    module = built_in_module([METHODS], facts.run.info["selection"]["method"])
    order = "In the order of the draw." if getattr(module, "UNRANKED", False) else BEST_FIRST
    intro = tag("p", order + limit)
    key = tag(
        "dl",
        *[tag("div", tag("dt", short), tag("dd", meaning)) for short, _, meaning in terms],
        tag("div", tag("dt", "→ #3 at 0.8"), tag("dd", "the nearest earlier pick, its distance")),
        class_="key",
    )
    symbols = footnote(*symbols_of(facts, terms))
    if facts.collection.images is None:
        listed = picks_table(shown, terms)
        return section("The picks", intro, key, listed, symbols, id_="picks")
    cards = [
        card(facts, pick.row, pick.image_id, pick_caption(pick, terms), rank=pick.rank)
        for pick in shown
    ]
    listed = tag("ol", *cards, class_="cards")
    return section("The picks", intro, key, listed, symbols, id_="picks")


def terms_of(facts: Facts) -> Terms:
    """The figures that there are: short name, column, and what it means for this selection.

    Where utility merely repeats another figure, that one is said to have decided, and utility is
    left out.
    """
    have = facts.picks[0].figures if facts.picks else {}
    picked = facts.run.info["selection"]
    heads, chosen = (picked["parameters"].get(name) for name in ("heads", "chosen"))
    own = getattr(built_in_module([METHODS], picked["method"]), "TERMS", {})
    decided = None
    if "utility" in have and "regularizer" not in have:
        same = (
            name
            for name in ("confidence", "density")
            if all(pick.figures.get(name) == pick.figures["utility"] for pick in facts.picks)
        )
        decided = next(same, None)
    terms = []
    for short, name, text in TERMS:
        if name not in have or (name == "utility" and decided):
            continue
        short, meaning = (own.get(f"{name} {chosen}") or own.get(name, (short, text)))[:2]
        if name == "confidence" and isinstance(heads, int) and heads > 1:
            meaning += f", mean of {heads} heads"
        terms.append((short, name, meaning + DECIDED if name == decided else meaning))
    return terms


def symbols_of(facts: Facts, terms: Terms) -> list[str]:
    """What the paper calls these figures, as ``density is U (Eq. 3)``."""
    picked = facts.run.info["selection"]
    own = getattr(built_in_module([METHODS], picked["method"]), "TERMS", {})
    chosen = picked["parameters"].get("chosen")
    found = []
    for short, name, _ in terms:
        _, _, *symbol = own.get(f"{name} {chosen}") or own.get(name, ("", ""))
        found += [f"{short} is {one}" for one in symbol]
    return found


def pick_caption(pick: Pick, terms: Terms) -> Html:
    """Label, id and figures below a picture."""
    known = pick.figures
    stands = [f"stands for {figure(known['represents'])}"]
    if "cluster_size" in known and known["cluster_size"] != known["represents"]:
        stands.append(f"cluster {figure(known['cluster_size'])}")
    scores = [
        tag("span", f"{short}{FIXED_SPACE}{figure(known[name])}")
        for short, name, _ in terms
        if name in SCORES and known.get(name) is not None
    ]
    receivers = known.get("propagated_to")
    return join(
        [
            label_line(pick),
            tag("span", pick.image_id, class_="id", title=pick.image_id),
            tag("span", " · ".join(stands)),
            tag("span", f"label goes to {receivers:,}") if receivers is not None else "",
            tag("span", *scores, class_="scores") if scores else "",
            tag("span", earlier(pick)),
        ]
    )


def label_line(pick: Pick) -> Html:
    """The label in bold; in italics if nobody gave it and the source knows the answer."""
    if pick.said:
        known = tag("em", f" ({pick.label})") if pick.label is not None else None
        return tag("span", tag("strong", pick.said), known, class_="undecided")
    if pick.label is None:
        return tag("span", "no label yet", class_="quiet")
    return tag("strong" if pick.given else "em", pick.label, class_="label")


def earlier(pick: Pick) -> str:
    """``→ #3 at 0.81``."""
    nearest = pick.figures.get("nearest_earlier")
    if nearest is None:
        return "→ the first"
    return f"→ #{nearest} at {figure(pick.figures['nearest_distance'])}"


def pick_link(pick: Pick) -> Html:
    """The pick by its number, as a link to its picture if that is on the page."""
    words = f"pick #{pick.rank}"
    return tag("a", words, href=f"#pick-{pick.rank}") if pick.rank <= SHOWN else tag("span", words)


def picks_table(shown: tuple[Pick, ...], terms: Terms) -> Html:
    """The picks where there are no pictures."""
    header = ["#", "id", "label", *[short for short, _, _ in terms], "nearest earlier"]
    rows = [
        [
            tag("span", str(pick.rank), id_=f"pick-{pick.rank}"),
            pick.image_id,
            label_line(pick),
            *[figure(pick.figures[name]) for _, name, _ in terms],
            earlier(pick),
        ]
        for pick in shown
    ]
    return table("The picks, best first", header, rows, text_columns=(0, 1, 2))


def card(
    facts: Facts,
    row: int,
    name: str,
    caption: Html,
    *,
    rank: int | None = None,
    small: bool = False,
) -> Html:
    """One picture with what is said about it."""
    label = f"pick {rank}: {name}" if rank else name
    return tag(
        "li",
        tag(
            "figure",
            tag(
                "div",
                thumbnail(facts.collection.images, row, label, small=small),
                tag("span", str(rank), class_="rank") if rank else None,
                class_="picture",
            )
            if facts.collection.images is not None
            else tag("span", str(rank), class_="rank")
            if rank
            else None,
            tag("figcaption", caption),
        ),
        id_=f"pick-{rank}" if rank else None,
    )


def doubtful_section(facts: Facts) -> Html:
    """The predictions that the model is least sure of: what to look at, or to label, next."""
    told = facts.predictions
    if told is None or not told.own.any():
        return Html("")
    own = np.flatnonzero(told.own)
    rows = own[np.argsort(told.confidence[own], kind="stable")][:DOUBTFUL]
    cards = []
    for row in rows.tolist():
        name = str(facts.collection.ids[row])
        answer = None if facts.truth is None else facts.truth[row]
        lines = [
            tag("span", str(told.labels[row]), class_="label"),
            tag("span", f"{per_cent(float(told.confidence[row]))} sure"),
            tag("span", name, class_="id", title=name),
        ]
        if answer is not None:
            lines.append(tag("span", "right" if answer == told.labels[row] else f"is {answer}"))
        cards.append(card(facts, row, name, join(lines)))
    return section(
        "Most doubtful predictions",
        tag("p", f"The {len(rows)} predictions that the classifier is least sure of."),
        tag("ul", *cards, class_="cards"),
        id_="doubtful",
    )
