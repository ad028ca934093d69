"""Section: provenance, enough to make the run again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from usl.core.errors import DataError
from usl.core.methods import built_in_module, parameter_help
from usl.features.preprocessing import Preprocessing
from usl.report.drawing.markup import Html, figure, join, plural, section, table, tag
from usl.report.facts.facts import Facts
from usl.report.sections.header import shown_name
from usl.run.folder import Run
from usl.selection.contract import METHODS
from usl.training.open_run import PREPROCESSING

UNREADABLE = 20


def provenance_section(facts: Facts) -> Html:
    """Source, encoder, parameters, hashes, versions, machine and times."""
    info = facts.run.info
    return section(
        "Where this comes from",
        unreadable(info),
        tag(
            "div",
            tag(
                "dl",
                *[
                    tag("div", tag("dt", name), tag("dd", value))
                    for name, value in entries(facts)
                    if value
                ],
                class_="entries",
            ),
            parameters_table(info["selection"]),
            class_="pair",
        ),
        id_="provenance",
    )


def parameters_table(picked: dict[str, Any]) -> Html:
    """The selection's parameters in force, with the paper's symbols."""
    rows = [["budget", "m", figure(picked["budget"]), "labels asked for"]]
    known = symbols_of(picked["method"])
    for name, value in picked["parameters"].items():
        symbol, meaning = known.get(name, ("", ""))
        letter, _, index = symbol.partition("_")
        shown = join([letter, tag("sub", index)]) if index else letter
        rows.append([name, shown, setting(value), meaning])
    rows.append(["seed", "", str(picked["seed"]), "of every random draw"])
    return table(
        f"Selection by {shown_name(picked['method'])}: parameters in force",
        ["parameter", "symbol", "value", "meaning"],
        rows,
        text_columns=(0, 1, 3),
    )


def symbols_of(method: str) -> dict[str, tuple[str, str]]:
    """What a method says of its parameters itself: symbol, ``_`` before an index, and meaning.

    Of one that ``SYMBOLS`` leaves out that is the docstring's, up to the first stop and without
    asides.
    """
    module = built_in_module([METHODS], method)
    if module is None:  # a report runs no code that a run names
        return {}
    meanings: dict[str, tuple[str, str]] = {}
    for name, text in parameter_help(getattr(module, METHODS.function)).items():
        plain = re.sub(r"\s*\([^()]*\)|``", "", text)
        meanings[name] = "", re.split(r"[;.:](?:\s|$)", plain, maxsplit=1)[0]
    return meanings | getattr(module, "SYMBOLS", {})


def setting(value: object) -> str:
    """A parameter as a person would type it."""
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else figure(value)


def entries(facts: Facts) -> Iterable[tuple[str, Html | str]]:
    """Names and values, in the order of the pipeline."""
    info = facts.run.info
    source, encoder = info["source"], info["encoder"]
    counts = ", ".join(f"{count:,} {name}" for name, count in source["subsets"].items())
    if shards := info.get("shards"):
        yield "shards", f"{shards['address']} ({plural(shards['rows'], 'row')})"
        yield "hash of the shards", code(shards["digest"])
    yield "source", f"{source['given'] or 'data in memory'} ({source['kind'] or 'unknown kind'})"
    yield "images", f"{source['images']:,} ({counts})"
    if passed := source.get("passed_over"):
        yield "files passed over", counted(passed)
    if scaled := source.get("scaled"):
        yield "greys scaled", counted(scaled)
    if notes := source.get("notes"):
        yield "taken as", " ".join(notes)
    yield "encoder", f"{encoder['name']}; supervision: {encoder['supervision']}"
    yield "features", preprocessing(facts.run)
    if training := info.get("training"):
        yield "training", describe_training(training)
        if training["encoder"]["key"] != encoder["key"]:
            told = training["encoder"]
            yield "encoder of the training", f"{told['name']}; supervision: {told['supervision']}"
    if facts.comparison:
        yield (
            "comparison",
            (
                f"{plural(len(facts.comparison['methods']), 'method')}, "
                f"{plural(facts.comparison['seeds'], 'seed')}, {facts.comparison['learner']}"
            ),
        )
    yield "seconds", seconds(info)
    yield "hash of the features", code(info["selection"].get("features"))
    yield "hash of the preprocessing", code(encoder["preprocessing"])
    yield "encoder key", code(encoder["key"])
    yield "made", str(info.get("created", ""))
    yield "versions", ", ".join(f"{n} {v}" for n, v in info.get("versions", {}).items())
    machine = info.get("machine", {})
    yield (
        "machine",
        ", ".join(
            str(part)
            for part in (
                machine.get("platform"),
                machine.get("processor"),
                f"{machine['cores']} cores" if machine.get("cores") else None,
                *machine.get("kernel", {}).get("blas", ()),
            )
            if part
        ),
    )


def preprocessing(run: Run) -> str:
    """The fitted steps in words."""
    record = run.info["encoder"]
    try:
        fitted = Preprocessing.load(run.path / PREPROCESSING)
    except DataError:
        return f"{record['width']:,} to {record['dimensions']:,} dimensions"
    steps = [
        "centred" if fitted.mean is not None else "",
        "standardized" if fitted.deviation is not None else "",
        f"{fitted.dimensions:,} principal components" if fitted.components is not None else "",
        "unit length",
    ]
    fit = ", ".join(step for step in steps if step)
    on = "all rows of the shards" if "shards" in run.info else "train"
    return f"{fitted.width:,} dimensions; {fit}; fitted on {on}"


def describe_training(training: dict[str, Any]) -> str:
    """The classifier in words."""
    given = ", ".join(f"{name} = {setting(v)}" for name, v in training["parameters"].items())
    return (
        f"{shown_name(training['method'])} on {plural(training['labels'], 'label')} of "
        f"{plural(len(training['classes']), 'class')} among {training['images']:,} images, seed "
        f"{training['seed']}" + (f"; {given}" if given else "")
    )


def seconds(info: dict[str, Any]) -> str:
    """How long each step took."""
    spent = dict(info.get("seconds", {}))
    if training := info.get("training"):
        spent["train"] = training["seconds"]
    return ", ".join(f"{step} {value:.1f}" for step, value in spent.items())


def code(value: object) -> Html | str:
    """A hash, set as code; nothing for none."""
    return tag("code", str(value)) if value else ""


def counted(counts: dict[str, int]) -> str:
    """``8 x .heic, 2 x .txt``, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count:,} x {what}" for what, count in ordered)


def unreadable(info: dict[str, Any]) -> Html:
    """Images that were left out, by name."""
    pairs = {tuple(pair) for pair in info["source"].get("unreadable", ())}
    pairs |= {tuple(pair) for pair in info["encoder"].get("unreadable", ())}
    if not pairs:
        return tag("p", "Every image could be read.", class_="quiet")
    ordered = sorted(pairs)
    items = [tag("li", tag("code", name), f": {why}") for name, why in ordered[:UNREADABLE]]
    more = f" The first {UNREADABLE}:" if len(ordered) > UNREADABLE else ""
    text = f"{plural(len(ordered), 'image')} could not be read and took no part.{more}"
    return join([tag("p", text), tag("ul", *items, class_="plain")])
