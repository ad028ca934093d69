"""Learn from the labels of a run and label every other image of its collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.options import Sources, verb
from usl.cli.shared import Json, report_unreadable, say_unlike
from usl.console import bars, note, print_json, say
from usl.core.methods import Methods
from usl.training.contract import FROZEN, NETWORKS
from usl.training.train import train as train_run
from usl.training.train import training_method


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
def train(run: Path, /, *, json: Json = False, **options: Any) -> None:
    """Print what was trained on how many labels."""
    with bars() as progress:
        done = train_run(run, **options, progress=progress)
    trained = done.info["training"]
    report_unreadable(trained["encoder"]["unreadable"])
    warn_of_thin_classes(trained)
    if json:
        print_json({"run": str(done.path), **trained})
        return
    passed_on = f" (and {n:,} passed on from them)" if (n := trained["propagated"]) else ""
    say(
        f"Trained {trained['method']} on {trained['labels']:,} labels{passed_on} of "
        f"{len(trained['classes'])} classes and {trained['images']:,} images."
    )
    if estimate := trained["estimate"]:
        say(
            f"About {100 * estimate:.0f}% right by its own estimate, from labels held out; it is "
            "no measured accuracy."
        )
    for doubt in trained["doubts"]:
        note(f"Note: {doubt}")
    say_unlike(trained["unlike"], "column unlike of predictions.csv, 1 or more")
    if count := trained["suspicious"]:
        note(
            f"Note: {count:,} label{'s look' if count > 1 else ' looks'} wrong, judged by the "
            f"others. Look again: usl label {done.path} --check {max(20, 2 * count)}"
        )
    say(f"A label for every image: {done.path / 'predictions.csv'}")
    say(f"Next: usl report {done.path}   (and, where answers are known: usl evaluate {done.path})")


def warn_of_thin_classes(trained: dict[str, Any]) -> None:
    """Name the classes without any label, which the model cannot know, and those with one."""
    if missing := trained["missing"]:
        note(
            f"Note: nobody labelled an image as {', '.join(missing)}: the model does not know "
            f"{'them' if len(missing) > 1 else 'it'}, and calls such images something else."
        )
    if (single := trained["single"]) and len(single) < len(trained["classes"]):
        note(f"Note: {', '.join(single)} rest{'' if len(single) > 1 else 's'} on a single label.")
