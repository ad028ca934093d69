"""The later rounds: accuracy by the number of labels, and what each round asked and changed."""

from __future__ import annotations

from collections.abc import Callable

from usl.report.drawing.charts import Curve, axis, chart, line_chart, swatch
from usl.report.drawing.markup import (
    MINUS,
    NOTHING,
    Html,
    join,
    per_cent,
    plural,
    section,
    table,
    tag,
)
from usl.report.facts.facts import Facts
from usl.report.facts.rounds import RoundFacts, Standing
from usl.report.sections.header import shown_name
from usl.report.sections.picks import card

SHOWN = 24  # pictures of the last round
CLASSES = 3  # that a row names
KINDS: tuple[tuple[str, str, Callable[[Standing], float | None]], ...] = (
    ("own estimate", "second", lambda one: one.estimate),
    ("by audit", "", lambda one: None if one.audit is None else one.audit[0] / one.audit[1]),
    ("measured", "", lambda one: one.measured),
)
COLOURS = {"own estimate": "var(--accent)", "by audit": "var(--k1)", "measured": "var(--k2)"}


def rounds_section(facts: Facts) -> Html:
    """A curve, a table, and the images of the last round; empty without later rounds."""
    rounds = facts.rounds
    if not rounds.listed:
        return Html("")
    standings = [one.before for one in rounds.listed]
    standings += [] if rounds.now is None else [rounds.now]
    return section(
        "Rounds",
        tag(
            "p",
            f"After the first selection {plural(len(rounds.listed), 'round')} "
            f"{'was' if len(rounds.listed) == 1 else 'were'} asked for, given the labels there "
            "were. A line says what was known before a round, and what its labels have changed.",
        ),
        rounds_table(facts, rounds.listed),
        curve(facts, standings),
        last_round(facts, rounds.listed[-1]),
        id_="rounds",
    )


def rounds_table(facts: Facts, listed: tuple[RoundFacts, ...]) -> Html:
    """One line a round; columns of figures that nobody has are left out."""
    kinds = [kind for kind in KINDS if any(kind[2](one.before) is not None for one in listed)]
    corrected = any(one.changed and one.changed["relabeled"] for one in listed)
    header = ["round", "picked by", "labelled", "labels before", *[name for name, _, _ in kinds]]
    header += ["predictions changed", "most changed classes", *["labels corrected"] * corrected]
    rows = []
    for one in listed:
        info, changed = one.made.info, one.changed
        how = shown_name(str(info.get("method", "")))
        values = [read(one.before) for _, _, read in kinds]
        rows.append(
            [
                str(one.made.number),
                f"likely {info['class']}" if "class" in info else how,
                f"{one.answered:,} of {len(one.picks['image_id']):,}",
                f"{one.before.labels:,}",
                *[NOTHING if value is None else per_cent(value) for value in values],
                NOTHING
                if changed is None
                else f"{changed['changed']:,} of {changed['predicted']:,}",
                NOTHING if changed is None else moved(changed["gained"], changed["lost"]),
                *[NOTHING if changed is None else f"{len(changed['relabeled']):,}"] * corrected,
            ]
        )
    return table(
        f"The rounds after the first {plural(len(facts.picks), 'pick')}",
        header,
        rows,
        text_columns=(0, 1, header.index("most changed classes")),
    )


def moved(gained: dict[str, int], lost: dict[str, int]) -> str:
    """``cat +12, dog −9``: the classes whose predictions changed most in number."""
    net = {name: gained.get(name, 0) - lost.get(name, 0) for name in [*gained, *lost]}
    first = sorted(net, key=lambda name: (-abs(net[name]), name))
    words = [f"{name} {signed(net[name])}" for name in first if net[name]]
    return ", ".join(words[:CLASSES]) or NOTHING


def signed(count: int) -> str:
    """``+12`` or ``−9``."""
    return f"{count:+,}".replace("-", MINUS)


def curve(facts: Facts, standings: list[Standing]) -> Html | None:
    """Accuracy by the number of labels, of each kind that is known twice at least."""
    curves, ends, spoken = [], [], []
    for name, kind, read in KINDS:
        points = {one.labels: value for one in standings if (value := read(one)) is not None}
        if len(points) < 2:
            continue
        curves.append(Curve(tuple(sorted(points.items())), kind, COLOURS[name]))
        last = per_cent(curves[-1].points[-1][1])
        ends.append(tag("span", swatch(COLOURS[name]), f"{name} ", tag("strong", last)))
        spoken.append(f"{name} ends at {last}")
    if not curves:
        return None
    low = min(value for one in curves for _, value in one.points)
    drawn = chart(
        "Accuracy by the number of labels",
        ends,
        line_chart(
            curves,
            axis(low, 1.0),
            words=f"Accuracy by the number of labels: {'; '.join(spoken)}",
            end_words="{:,} labels",
        ),
        caption(facts, standings),
    )
    return tag("div", drawn, class_="charts")


def caption(facts: Facts, standings: list[Standing]) -> str:
    """What each line is."""
    text = "Own estimate: what the learner expects, from labels held out; no measured accuracy."
    interval = standings[-1].interval()
    if standings[-1].audit is not None and interval is not None:
        low, high = map(per_cent, interval)
        text += (
            f" By audit: the same {plural(standings[-1].audit[1], facts.noun)}, drawn at random, "
            f"at every point; at the last one the 95% interval is {low} to {high}."
        )
    if any(one.measured is not None for one in standings):
        text += (
            f" Measured: train {facts.noun}s that nobody has labelled by now, against known "
            "answers."
        )
    return text


def last_round(facts: Facts, one: RoundFacts) -> Html | None:
    """The images of the last round, each with its reason."""
    row_of = {name: row for row, name in enumerate(facts.collection.ids.tolist())}
    labeled = facts.split.labeled()
    given = dict(
        zip(facts.split.ids[labeled].tolist(), facts.split.labels[labeled].tolist(), strict=True)
    )
    names = one.picks["image_id"][:SHOWN]
    reasons = one.picks.get("reason", [None] * len(names))
    title = tag("h3", f"Asked for in round {one.made.number}")
    cards = []
    for name, reason in zip(names, reasons, strict=False):
        label = given.get(name)
        caption = join(
            [
                tag("strong", label, class_="label")
                if label
                else tag("span", "no label yet", class_="quiet"),
                tag("span", name, class_="id", title=name),
                tag("span", reason) if reason else "",
            ]
        )
        cards.append(card(facts, row_of.get(name, -1), name, caption))
    left = len(one.picks["image_id"]) - len(names)
    where = f"rounds/{one.made.number:02d}/selection.csv"
    more = tag("p", f"{left:,} more are in {where}.", class_="quiet") if left else None
    return join([title, tag("ul", *cards, class_="cards"), *([more] if more else [])])
