"""Learn from the labels of a run and label every other image of its collection.

The first model is the active one: predict, evaluate, report and export go by it. One with other
settings is kept beside it, until --use NAME, or until the audit of the run says that it is better.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.options import Sources, verb
from usl.cli.shared import Json, print_counts, report_unreadable, say_unlike
from usl.console import bars, note, print_json, say
from usl.core.methods import Methods
from usl.core.words import counted, quoted, verb_for
from usl.run.folder import Run
from usl.run.model_changes import activate_model
from usl.run.models import TrainedModel
from usl.training.contract import DEFAULT, FROZEN, NETWORKS
from usl.training.train import train as train_run
from usl.training.train import train_model, training_method


def network_options(kind: Methods) -> Sources:
    """What all methods that train a network have as options."""
    if kind is not NETWORKS:
        return {}
    from usl.learning.loop_options import LoopOptions
    from usl.training.train_network import train_network

    return {"Training a network": [train_network, LoopOptions]}


@verb(
    train_run,
    choice="method",
    kinds=[FROZEN, NETWORKS],
    find=training_method,
    shared=network_options,
)
def train(run: Path, /, *, use: str | None = None, json: Json = False, **options: Any) -> None:
    """Print what was trained on how many labels, and what it says.

    Parameters
    ----------
    use : name of the model that the other verbs are to go by. Alone it trains nothing; beside
        other options it is the name of the model that they make.
    """
    if use is not None and not options:
        active = activate_model(Run.open(run), use)
        made = active.models()[0]
        if json:
            print_json({"run": str(run), **made.info, "active": made.name})
            return
        say(f"Active now: {made.name}, {described(made)}. All verbs go by it.")
        print_classes(made)
        say(f"Next: {next_steps(run)}")
        return
    with bars() as progress:
        options = {"method": DEFAULT, **options}
        done, made = train_model(run, **options, use=use, progress=progress)
    trained, active_name = made.info, done.models()[0].name
    report_unreadable(trained["encoder"]["unreadable"])
    warn_of_thin_classes(trained)
    if json:
        print_json({"run": str(done.path), **trained, "active": active_name})
        return
    images = counted(trained["images"], "image")
    say(f"Trained {trained['method']} on {described(made)} and {images}.")
    if estimate := trained["estimate"]:
        say(
            f"About {100 * estimate:.0f}% right by its own estimate, from labels held out; it is "
            "no measured accuracy."
        )
    print_classes(made)
    for doubt in trained["doubts"]:
        note(f"Note: {doubt}")
    say_unlike(trained["unlike"], "column unlike of predictions.csv, 1 or more")
    if count := trained["suspicious"]:
        look = verb_for(count, "looks", "look")
        note(
            f"Note: {counted(count, 'label')} {look} wrong, judged by the others. Look again: "
            f"usl label {quoted(done.path)} --check {max(20, 2 * count)}"
        )
    say_audit(trained.get("audit"), made.active)
    if made.active:
        say(f"A label for every image: {done.path / 'predictions.csv'}")
        say(f"Next: {next_steps(done.path)}")
        say(f"More labels, where they teach the most: usl next {quoted(done.path)} --budget 40")
    else:
        say(f"Kept as {made.path}; the active model stays {active_name}, and all verbs go by that.")
        say(f"Next: usl train {quoted(done.path)} --use {made.name}   (makes it the active one)")


def described(made: TrainedModel) -> str:
    """On what a model was trained, in a few words."""
    n, passed_on = made.info["labels"], made.info.get("propagated", 0)
    more = f" (and {passed_on:,} passed on from {verb_for(n, 'it', 'them')})" if passed_on else ""
    classes = counted(len(made.info["classes"]), "class")
    return f"{counted(n, 'label')}{more} of {classes}"


def print_classes(made: TrainedModel) -> None:
    """Print how many images each label was given to, where the record tells."""
    if predicted := made.info.get("predicted"):
        print_counts(predicted)


def say_audit(audit: dict[str, Any] | None, active: bool) -> None:
    """Say how a new model and the former one do on the audited images."""
    if audit is None:
        return
    verdict = "better, beyond chance" if audit["better"] else "no difference beyond chance"
    if not audit["better"] and audit["right"] < audit["right_before"]:
        verdict = "not better"
    say(
        f"On {counted(audit['judged'], 'audited image')}: {audit['right']:,} right, the former "
        f"model {audit['right_before']:,}: {verdict}."
    )


def next_steps(run: Path) -> str:
    """What to do once a run is trained."""
    name = quoted(run)
    return f"usl report {name}   (and, where answers are known: usl evaluate {name})"


def warn_of_thin_classes(trained: dict[str, Any]) -> None:
    """Name the classes without any label, which the model cannot know, and those with one."""
    if missing := trained["missing"]:
        note(
            f"Note: nobody labelled an image as {', '.join(missing)}: the model does not know "
            f"{verb_for(len(missing), 'it', 'them')}, and calls such images something else."
        )
    if (single := trained["single"]) and len(single) < len(trained["classes"]):
        rest = verb_for(len(single), "rests", "rest")
        note(f"Note: {', '.join(single)} {rest} on a single label.")
