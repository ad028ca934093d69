"""Audit of the labels, and how far annotators agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

from usl.report.drawing.markup import Html, join, per_cent, plural, section, table, tag
from usl.report.facts.facts import Facts
from usl.report.sections.picks import card

SHOWN = 24  # wrong predictions, and bad images, as pictures
PAIRS = 20  # commonest confusions, where there are more

Figures = dict[str, Any]


def audit_section(facts: Facts) -> Html:
    """The accuracy of the whole labelled collection, and the predictions that were wrong."""
    if facts.people is None or facts.people.audit is None:
        return Html("")
    audit = facts.people.audit
    if not audit["judged"]:
        text = (
            f"An audit of {plural(audit['asked'], facts.noun)} is drawn; none is judged yet. Once "
            "they are, the accuracy of all labels is estimated here."
        )
        return section("Audit", tag("p", text), id_="audit")
    return section(
        "Audit",
        tag("p", opening(facts.noun, audit)),
        figures(facts.noun, audit),
        tag("p", tag("strong", "In plain words: "), plain_words(audit)),
        tag("p", left_out(facts.noun, audit), class_="quiet"),
        wrong_predictions(facts, audit["wrong"]),
        per_class(audit["classes"]),
        id_="audit",
    )


def opening(noun: str, audit: Figures) -> str:
    """What was done, and what came out."""
    return (
        f"{plural(audit['judged'], noun)} were drawn uniformly at random from those that the model "
        f"has labelled, and judged by people who did not see the prediction; "
        f"{audit['right']:,} of the predictions are right. Labels from people count as right."
    )


def figures(noun: str, audit: Figures) -> Html:
    """The estimates with their intervals."""
    rows = [
        ["all labels of the train subset", audit["collection"]],
        [f"of these, predictions{' and swept labels' * bool(audit['swept'])}", audit["machine"]],
    ]
    if audit["unclear"]:
        rows.append([f"all labels, if every {noun} without a verdict were wrong", audit["worst"]])
    return table(
        "Accuracy of the labels, estimated from the audit",
        ["labels", "number", "accuracy", "95% interval (Wilson)"],
        [[name, f"{f['n']:,}", per_cent(f["accuracy"]), interval(f)] for name, f in rows],
    )


def interval(found: Figures) -> str:
    """``86.5% to 98.9%``."""
    return f"{per_cent(found['low'])} to {per_cent(found['high'])}"


def plain_words(audit: Figures) -> str:
    """What the interval means, as a number of wrong labels."""
    whole = audit["collection"]
    n = whole["n"]
    likely, least, most = (round(n * (1 - whole[name])) for name in ("accuracy", "high", "low"))
    return (
        f"of the {n:,} labels about {likely:,} are wrong, and with 95% confidence between "
        f"{least:,} and {most:,}: of a hundred audits drawn like this one, about 95 would give a "
        "range that holds the true number. A larger audit narrows it: four times as many "
        "judgements halve it."
    )


def left_out(noun: str, audit: Figures) -> str:
    """What became of the images that were asked for and do not count."""
    reasons = {
        "pending": "not judged yet",
        "unclear": "called bad or undecidable, or in dispute",
        "labeled": "labelled by a person since",
        "gone": "without a prediction now",
    }
    told = [f"{audit[name]:,} {reason}" for name, reason in reasons.items() if audit[name]]
    text = f"Drawn in all: {plural(audit['asked'], noun)} ({', '.join(audit['rounds'])}). "
    text += f"Left out: {'; '.join(told)}." if told else "None is left out."
    if audit["passed"]:
        text += (
            f" {audit['passed']:,} more ({audit['passed_right']:,} right) are as doubtful as those "
            "that a check has labelled since; they count for themselves, not for the rest."
        )
    return text


def wrong_predictions(facts: Facts, wrong: list[dict[str, str]]) -> Html | None:
    """The wrong ones as pictures; of many, which class is taken for which."""
    if not wrong:
        return None
    if len(wrong) > SHOWN:
        pairs = Counter((one["answer"], one["predicted"]) for one in wrong).most_common(PAIRS)
        rows = [[answer, taken, f"{count:,}"] for (answer, taken), count in pairs]
        return table(
            "Wrong predictions of the audit, the commonest first",
            ["people say", "predicted", "images"],
            rows,
            text_columns=(0, 1),
        )
    return pictures(
        facts,
        "Wrong predictions of the audit",
        [
            (
                one["image_id"],
                [
                    tag("span", one["answer"], class_="label"),
                    tag("span", f"predicted {one['predicted']}"),
                ],
            )
            for one in wrong
        ],
    )


def pictures(facts: Facts, heading: str, shown: list[tuple[str, list[Html]]]) -> Html:
    """Some images by id, each with lines below it, under a heading."""
    row_of = {name: row for row, name in enumerate(facts.collection.ids.tolist())}
    cards = [
        card(
            facts,
            row_of.get(name, -1),
            name,
            join([*lines, tag("span", name, class_="id", title=name)]),
        )
        for name, lines in shown
    ]
    return tag("div", tag("h3", heading), tag("ul", *cards, class_="cards"))


def per_class(classes: list[Figures]) -> Html | None:
    """How far each predicted class can be trusted, where enough were judged."""
    if not classes:
        return None
    rows = [[f["label"], f"{f['n']:,}", per_cent(f["precision"]), interval(f)] for f in classes]
    return table(
        "Predictions that are right, by predicted class (10 or more judged)",
        ["class", "judged", "right", "95% interval (Wilson)"],
        rows,
    )


def answers_section(facts: Facts) -> Html:
    """Who answered, how far they agree, what is in dispute, which images are bad."""
    people = facts.people
    if people is None or not (people.answers or people.bad or people.conflicts or people.swept):
        return Html("")
    total = sum(people.answers.values())
    named = [name or "no name" for name in people.answers]
    text = [f"{plural(total, 'answer')} from {plural(len(named), 'annotator')}."] if total else []
    if people.swept:
        text.append(
            f"Confirmed by sweep: {people.swept:,}, whole sheets at a glance; an audit judges them "
            "as it judges predictions."
        )
    agreed = people.agreement
    if agreed is not None:
        beyond = "not defined" if agreed.value is None else f"{agreed.value:.2f}"
        text.append(
            f"{plural(agreed.images, facts.noun)} have two or more answers, equal in "
            f"{per_cent(agreed.equal)} of cases; {agreed.measure}: {beyond} (1 is perfect, 0 is "
            "chance)."
        )
    if people.live:
        text.append(live_in_words(people.live))
    if people.conflicts:
        text.append(
            f"In dispute, and so without a label: {plural(len(people.conflicts), facts.noun)} "
            f"({shortened(people.conflicts)})."
        )
    shown = people.bad[:SHOWN]
    bad = None
    if shown:
        more = f", the first {SHOWN} of {len(people.bad):,}" if len(people.bad) > SHOWN else ""
        bad = pictures(facts, f"Called bad{more}", [(name, []) for name in shown])
    by_name = None
    if len(named) > 1:
        rows = [[name, f"{n:,}"] for name, n in zip(named, people.answers.values(), strict=True)]
        by_name = table("Answers by annotator", ["annotator", "answers"], rows)
    return section("Answers", tag("p", " ".join(text)), by_name, bad, id_="answers")


def live_in_words(live: dict[bool, int]) -> str:
    """How many answers were given live, and how many in view of the model's class."""
    plain, shown = live.get(False, 0), live.get(True, 0)
    text = f"{plural(plain + shown, 'answer')} were given live, while a model chose what came next"
    if not shown:
        return f"{text}; people did not see what it predicted."
    whom = "all of them" if not plain else f"{shown:,} of them"
    return f"{text}; for {whom} the page suggested its class, which people tend to agree with."


def shortened(names: tuple[str, ...], most: int = 10) -> str:
    """A few names, and how many more."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
