"""``usl evaluate``."""

from __future__ import annotations

from pathlib import Path

from usl.cli.shared import Flag
from usl.console import bars, per_cent, print_json, print_table, say


def evaluate(run: Path, /, *, source: str | None = None, json: Flag = False) -> None:
    """Measure a trained run where answers are known: class folders, a label column, test labels.

    Parameters
    ----------
    run
        Run folder, trained.
    source
        Where the images are now, if they have moved.
    json
        Print the result as JSON.
    """
    from usl.evaluation.evaluate import evaluate as evaluate_run
    from usl.run.models import EVALUATION

    with bars() as progress:
        figures = evaluate_run(run, source=source, progress=progress)
    if json:
        print_json(figures)
        return
    say(
        f"{figures['method']} on {figures['labels']} labels, {figures['encoder']} features "
        f"(supervision: {figures['supervision']})"
    )
    rows = [
        [name, f"{found['n']:,}", per_cent(found["accuracy"]), per_cent(found["macro_f1"])]
        for subset in ("test", "val", "train")
        if (found := figures.get(subset))
        for name in [f"{subset} ({found['protocol']})"]
    ]
    print_table(["subset", "images", "accuracy %", "macro-F1 %"], rows)
    if "picks" in figures:
        picks = figures["picks"]
        say(
            f"Picks: {per_cent(picks['coverage'])}% of the classes covered, balance "
            f"{picks['balance']:.3f} (1 is equal numbers of every class)"
        )
    say(f"Per class and confusion: {run / EVALUATION}")
