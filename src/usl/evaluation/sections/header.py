"""What was done and how well it went, in one sentence; what to beware of; what to do next."""

from __future__ import annotations

from typing import Any

from usl.evaluation.sections.facts import Facts
from usl.evaluation.sections.markup import Html, join, per_cent, plural, tag

SHOWN_NAMES = {"usl": "USL", "kmeans": "k-means", "label_spreading": "label spreading"}
PROTOCOLS = {
    "test": "test images right",
    "val": "validation images right",
    "train": "unlabelled train images right (transductive)",
}


def header(facts: Facts) -> Html:
    """Title, result, caveats and the next step."""
    picked = facts.run.info["selection"]
    return tag(
        "header",
        tag("p", "usl report", class_="kicker"),
        tag("h1", title(facts)),
        tag("p", result(facts), class_="lead"),
        oracle_notice() if picked["oracle"] else None,
        *[tag("p", note, class_="notice", role="note") for note in facts.notes],
        tiles(facts),
        tag("p", supervision(facts.run.info), class_="quiet"),
        next_step(facts),
    )


def title(facts: Facts) -> str:
    """``40 images to label in photos``."""
    source = str(facts.run.info["source"]["given"] or "data in memory")
    short = source.removeprefix("builtin:").replace("\\", "/").rstrip("/").rpartition("/")[2]
    return f"{plural(len(facts.picks), thing(facts))} to label in {short or source}"


def thing(facts: Facts) -> str:
    """What the collection is made of."""
    return "item" if facts.collection.images is None else "image"


def shown_name(method: str) -> str:
    """A method as it is written in a sentence."""
    return SHOWN_NAMES.get(method, method.replace("\\", "/").rpartition("/")[2])


def result(facts: Facts) -> str:
    """The one sentence."""
    info = facts.run.info
    total = info["source"]["subsets"].get("train", info["source"]["images"])
    picked = info["selection"]
    text = (
        f"{len(facts.picks):,} of {total:,} {thing(facts)}s picked by "
        f"{shown_name(picked['method'])} on {info['encoder']['name']} features"
    )
    found = headline(facts)
    if found is not None and facts.evaluation is not None:
        subset, figures = found
        text += (
            f"; {per_cent(figures['accuracy'])} of {figures['n']:,} {PROTOCOLS[subset]} "
            f"from {plural(facts.evaluation['labels'], 'label')}"
        )
    return text + "."


def headline(facts: Facts) -> tuple[str, dict[str, Any]] | None:
    """The strictest accuracy there is: on test, else val, else the unlabelled train images."""
    for subset in ("test", "val", "train"):
        if facts.evaluation and subset in facts.evaluation:
            return subset, facts.evaluation[subset]
    return None


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
    used = {record["name"]: record["supervision"]}
    trained = info.get("training", {}).get("encoder", record)
    used[trained["name"]] = trained["supervision"]
    sentences = []
    for name, told in used.items():
        if told == "none":
            sentences.append(f"The {name} features were made without any labels.")
        elif told == "unknown":
            sentences.append(
                f"Whether the encoder {name} was trained with labels is unknown; every figure "
                "here rests on its features."
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
    for name, gain in (facts.comparison or {}).get("differences", {}).items():
        first, _, other = name.partition(" - ")
        if other == "random":
            points = f"{100 * gain['mean']:+.1f} points".replace("-", "−")
            what = f"{shown_name(first)} over random, mean of {plural(gain['n'], 'seed')}"
            shown.append((points, what))
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
            "Next: fill in the label column of ",
            tag("code", "split.csv"),
            f", rows 2 to {requested + 1:,}" if not given else "",
            ", then ",
            tag("code", "usl train RUN"),
            ".",
        ]
    elif "training" not in facts.run.info:
        text = ["All labels are there. Next: ", tag("code", "usl train RUN"), "."]
    elif facts.evaluation is None and facts.truth is not None:
        text = ["Answers are known. To measure the result: ", tag("code", "usl evaluate RUN"), "."]
    else:
        return None
    return tag("p", join(text), class_="next")
