"""Ask for the images to label next, after what is labelled by now.

usl label then goes on with them. The run's models stay as they are until the next usl train.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from usl.active.next_round import NextRound, next_round, undo_round
from usl.active.tasks import STRATEGY_KINDS, asker_of
from usl.active.until import until as advice_until
from usl.cli.options import Sources, verb
from usl.cli.shared import FLAG, DryRun, Json
from usl.cli.until import print_until
from usl.console import bars, note, print_json, print_table, say
from usl.core.errors import UsageError
from usl.core.words import counted, quoted, verb_for

MOST_SHOWN = 5  # images that are named with their reasons


def task_options(method: str, task: str) -> Sources:
    """What a network that a method asks through has as options."""
    asker = asker_of(method, task)
    title = f"Parameters of {method}" if asker.by_itself else f"Parameters of the task {asker.task}"
    from usl.learning.loop_options import LoopOptions
    from usl.training.train_network import train_network

    return {"Training a network": [train_network, LoopOptions], title: [asker.module.build]}


@verb(next_round, choice="method", kinds=STRATEGY_KINDS, beside={"task": task_options})
def next(
    run: Path,
    /,
    *,
    budget: int | None = None,
    undo: Annotated[bool, Parameter(**FLAG)] = False,
    until: float | None = None,
    json: Json = False,
    dry_run: DryRun = False,
    **options: Any,
) -> None:
    """Print what is asked for and why, and what the last round changed.

    Parameters
    ----------
    undo : take the last round back, while none of its images is answered.
    until : say instead whether this share of all labels is right, such as 0.95, by audit, and what
        is the cheapest next step if not.
    """
    if until is not None:
        if budget is not None or undo or options or dry_run:
            raise UsageError("until: it asks for nothing by itself; leave all other options out.")
        print_until(advice_until(run, until), as_json=json)
        return
    if undo:
        if budget is not None or options or dry_run:
            raise UsageError("undo: it takes the last round back; leave all other options out.")
        _undo(run, json=json)
        return
    if budget is None:
        raise UsageError(
            "budget: say how many images more you are willing to label, as in: usl next "
            f"{quoted(run)} --budget 40"
        )
    with bars() as progress:
        asked = next_round(run, budget, dry_run=dry_run, progress=progress, **options)
    if json:
        images = [{"image_id": name} for name in asked.ids]
        for image, reason in zip(images, asked.reasons, strict=False):
            image["reason"] = reason
        print_json({"run": str(run), "round": asked.number, **asked.info, "images": images})
        return
    say_asked(asked)


def _undo(run: Path, *, json: bool) -> None:
    taken = undo_round(run)
    images = taken.info["budget"]
    if json:
        print_json({"run": str(run), "undone": taken.number, "images": images})
        return
    say(f"Round {taken.number} is taken back; its {counted(images, 'image')} are not asked for.")


def say_asked(asked: NextRound) -> None:
    """Say what is asked for, and on what grounds."""
    info, run = asked.info, quoted(asked.run.path)
    if asked.number is None:
        say("Nothing is done; this is the plan.")
    grounds = (
        f"after {counted(info['labels'], 'label')} of {counted(len(info['classes']), 'class')}"
    )
    grounds = grounds if info["labels"] else "without a label"
    doing = "Would ask" if asked.number is None else f"Round {asked.number}: asks"
    how = f"likely {info['class']}" if "class" in info else f"by {info['method']}"
    if network := info.get("network"):
        how += f", through a network ({network['method']}, {counted(network['steps'], 'step')})"
    say(f"{doing} for {counted(len(asked.ids), 'image')} more, {how}, {grounds}.")
    if estimate := info["estimate"]:
        say(
            f"About {100 * estimate:.0f}% right so far by the learner's own estimate; it is no "
            "measured accuracy."
        )
    if (since := info["since"]) and since["predicted"]:
        say(
            f"Since the round before: {counted(since['labels'], 'new label')}; "
            f"{since['changed']:,} of {counted(since['predicted'], 'prediction')} changed."
        )
    shown = list(zip(asked.ids, asked.reasons, strict=False))[:MOST_SHOWN]
    if shown:
        print_table(["image", "why"], [[name, reason] for name, reason in shown])
        if left := len(asked.ids) - len(shown):
            say(f"  and {left:,} more")
    if waiting := info["open"]:
        are = verb_for(waiting, "is", "are")
        note(f"Note: {counted(waiting, 'image')} of before {are} still open; they come first.")
    if asked.number is not None:
        say(f"Next: usl label {run}   (take it back: usl next {run} --undo)")
