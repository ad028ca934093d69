"""``usl train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.shared import Flag, report_unreadable
from usl.console import bars, note, print_json, say


def train(
    run: Path,
    /,
    *,
    method: str = "label_spreading",
    seed: int = 0,
    source: str | None = None,
    model: str | None = None,
    json: Flag = False,
    **method_params: Any,
) -> None:
    """Learn from the labels of a run and label every other image of its collection.

    Parameters
    ----------
    run
        Run folder, with labels filled in.
    method
        How to learn. {methods}
    seed
        Of every random draw.
    source
        Where the images are now, if they have moved.
    model
        Another encoder than the one the selection used.
    json
        Print the result as JSON.
    """
    from usl.training.train import train as train_run

    with bars() as progress:
        done = train_run(
            run,
            method=method,
            seed=seed,
            source=source,
            model=model,
            progress=progress,
            **method_params,
        )
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
