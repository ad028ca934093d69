"""Section: what was done, how well it went, what to beware of, what to do next."""

from __future__ import annotations

from typing import Any

from usl.core.methods import built_in_module
from usl.core.words import quoted
from usl.features.embed import GIVEN
from usl.report.drawing.markup import MINUS, Html, join, per_cent, plural, tag
from usl.report.facts.facts import Facts
from usl.run.split import first_rows
from usl.selection.contract import METHODS
from usl.training.contract import FROZEN

PROTOCOLS = {
    "test": "test {noun}s right",
    "val": "validation {noun}s right",
    "train": "unlabelled train {noun}s right (transductive)",
}


def header(facts: Facts, contents: Html) -> Html:
    """Title, result, caveats, the next step, and links to what follows."""
    picked = facts.run.info["selection"]
    return tag(
        "header",
        tag("p", "usl report", class_="kicker"),
        tag("h1", title(facts)),
        tag("p", result(facts), class_="lead"),
        tag("p", sampled(facts), class_="quiet") if "shards" in facts.run.info else None,
        oracle_notice() if picked["oracle"] else None,
        *[tag("p", note, class_="notice", role="note") for note in (*facts.notes, *doubts(facts))],
        tiles(facts),
        tag("p", supervision(facts.run.info), class_="quiet"),
        next_step(facts),
        contents,
    )


def title(facts: Facts) -> str:
    """``40 picks from photos``."""
    info = facts.run.info
    given = info["shards"]["address"] if "shards" in info else info["source"]["given"]
    source = str(given or "data in memory")
    short = source.removeprefix("builtin:").replace("\\", "/").rstrip("/").rpartition("/")[2]
    return f"{plural(len(facts.picks), 'pick')} from {short or source}"


def shown_name(method: str) -> str:
    """A method as it is written in a sentence; the file's name for one outside the package."""
    module = built_in_module([METHODS, FROZEN], method)
    return getattr(module, "NAME", method.replace("\\", "/").rpartition("/")[2])


def features_of(encoder: str) -> str:
    """``pixels features``, or what a user's own are called."""
    return "features that were given" if encoder == GIVEN else f"{encoder} features"


def result(facts: Facts) -> str:
    """The one sentence."""
    info = facts.run.info
    total = info["source"]["subsets"].get("train", info["source"]["images"])
    total -= len(info["encoder"].get("unreadable", ()))  # which nothing could be picked from
    total = info.get("shards", {}).get("rows", total)
    picked = info["selection"]
    text = (
        f"{len(facts.picks):,} of {total:,} {facts.noun}s picked by "
        f"{shown_name(picked['method'])} on {features_of(info['encoder']['name'])}"
    )
    found = headline(facts)
    if found is not None and facts.evaluation is not None:
        subset, figures = found
        protocol = PROTOCOLS[subset].format(noun=facts.noun)
        text += (
            f"; {per_cent(figures['accuracy'])} of {figures['n']:,} {protocol} "
            f"from {plural(facts.evaluation['labels'], 'label')}"
        )
    return text + "."


def sampled(facts: Facts) -> str:
    """What of a table in shards this page knows."""
    shards, others = facts.run.info["shards"], len(facts.collection) - len(facts.picks)
    looked = ""
    if shards["looked_at"] < shards["rows"]:
        looked = f"The selection looked at {shards['looked_at']:,} of them, drawn at random. "
    return (
        f"{looked}This page knows the picks and {plural(others, f'other {facts.noun}')}, drawn at "
        "random: these alone are labelled, mapped and compared below."
    )


def headline(facts: Facts) -> tuple[str, dict[str, Any]] | None:
    """The strictest accuracy there is: on test, else val, else the unlabelled train images."""
    for subset in ("test", "val", "train"):
        if facts.evaluation and subset in facts.evaluation:
            return subset, facts.evaluation[subset]
    return None


def doubts(facts: Facts) -> list[str]:
    """What the training itself has doubts about, by :mod:`usl.training.doubts`."""
    found = facts.run.info.get("training", {}).get("doubts") or ()
    return [str(doubt) for doubt in found]


def oracle_notice() -> Html:
    """What an oracle is, where nobody can miss it."""
    return tag(
        "p",
        tag("strong", "Oracle."),
        " This selection has read the answers, which a selection is meant to spare. It is a "
        "yardstick for others, not a result.",
        class_="notice oracle",
        role="note",
    )


def supervision(info: dict[str, Any]) -> str:
    """What the figures on this page owe to labels that the encoder has seen."""
    record = info["encoder"]
    trained = info.get("training", {}).get("encoder", record)
    pairs = [(encoder["name"], encoder["supervision"]) for encoder in (record, trained)]
    sentences = []
    for name, told in dict.fromkeys(pairs):
        if told == "none":
            sentences.append(f"The {name} features were made without any labels.")
        elif told == "unknown":
            whose = "the features that were given" if name == GIVEN else f"the {name} features"
            sentences.append(
                f"Whether labels went into {whose} is unknown; every figure here rests on them."
            )
        else:
            sentences.append(
                f"The encoder {name} was trained with {told}: every figure here rests on that "
                "supervision too."
            )
    return " ".join(sentences)


def tiles(facts: Facts) -> Html | None:
    """The few figures that matter, large."""
    shown: list[tuple[str, str]] = []
    found = headline(facts)
    if found is not None:
        subset, figures = found
        what = "transductive, train" if subset == "train" else f"out of sample, {subset}"
        shown.append((per_cent(figures["accuracy"]), f"accuracy ({what})"))
    audit = facts.people.audit if facts.people else None
    if audit and audit["judged"]:
        whole = audit["collection"]
        what = (
            f"of all labels right, by an audit of {audit['judged']:,} (95% interval "
            f"{per_cent(whole['low'])} to {per_cent(whole['high'])})"
        )
        shown.append((per_cent(whole["accuracy"]), what))
    comparison: dict[str, Any] = facts.comparison or {}
    for name, gain in comparison.get("differences", {}).items():
        first, _, other = name.partition(" - ")
        if other == "random":
            mean, low, high = (
                f"{100 * gain[key]:+.1f}".replace("-", MINUS) for key in ("mean", "low", "high")
            )
            means = comparison["methods"]
            what = (
                f"{shown_name(first)} over random: {per_cent(means[first]['test']['mean'])} "
                f"against {per_cent(means[other]['test']['mean'])} (mean of "
                f"{plural(gain['n'], 'seed')}; 95% interval {low} to {high})"
            )
            shown.append((f"{mean} points", what))
    if facts.evaluation and "picks" in facts.evaluation:
        counts = facts.evaluation["collection"]["counts"]
        classes = sum(1 for count in counts.values() if count)
        covered = round(facts.evaluation["picks"]["coverage"] * classes)
        shown.append((f"{covered} of {classes}", "classes have a pick"))
        shown.append((f"{facts.evaluation['picks']['balance']:.2f}", "balance (1: all equal)"))
    if not shown:
        return None
    return tag(
        "dl",
        *[tag("div", tag("dt", what), tag("dd", value)) for value, what in shown],
        class_="tiles",
    )


def next_step(facts: Facts) -> Html | None:
    """What a person does next with this run."""
    requested, given = len(facts.split.requested()), facts.labels_given
    if requested:
        text = [
            f"{given:,} of {requested + given:,} requested labels are there. " if given else "",
            "Next: ",
            tag("code", f"usl label {quoted(facts.run.path)}"),
            ", or fill in the label column of ",
            tag("code", "split.csv"),
            f", {first_rows(requested)}" if not given else "",
            ", then ",
            tag("code", f"usl train {quoted(facts.run.path)}"),
            ".",
        ]
    elif "training" not in facts.run.info:
        text = [
            "All labels are there. Next: ",
            tag("code", f"usl train {quoted(facts.run.path)}"),
            ".",
        ]
    elif facts.evaluation is None and facts.truth is not None:
        text = [
            "Answers are known. To measure the result: ",
            tag("code", f"usl evaluate {quoted(facts.run.path)}"),
            ".",
        ]
    else:
        return None
    return tag("p", join(text), class_="next")
