"""Measure a trained run where answers are known: class folders, a label column, test labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.options import verb
from usl.cli.shared import Json
from usl.console import bars, note, per_cent, print_json, print_table, say
from usl.core.words import counted
from usl.evaluation.evaluate import evaluate as evaluate_run
from usl.run.models import EVALUATION


@verb(evaluate_run)
def evaluate(run: Path, /, *, json: Json = False, **options: Any) -> None:
    """Print accuracy and macro-F1 of each subset, and what an audit says."""
    with bars() as progress:
        figures = evaluate_run(run, **options, progress=progress)
    if json:
        print_json(figures)
        return
    say(
        f"{figures['method']} on {counted(figures['labels'], 'label')}, {figures['encoder']} "
        f"features (supervision: {figures['supervision']})"
    )
    rows = [
        [name, f"{found['n']:,}", per_cent(found["accuracy"]), per_cent(found["macro_f1"])]
        for subset in ("test", "val", "train")
        if (found := figures.get(subset))
        for name in [f"{subset} ({found['protocol']})"]
    ]
    if rows:
        print_table(["subset", "images", "accuracy %", "macro-F1 %"], rows)
    if "audit" in figures:
        say(f"Audit: {figures['audit']['text']}")
    if "picks" in figures:
        picks = figures["picks"]
        say(
            f"Picks: {per_cent(picks['coverage'])}% of the classes covered, balance "
            f"{picks['balance']:.3f} (1 is equal numbers of every class)"
        )
    for doubt in figures["doubts"]:
        note(f"Note: {doubt}")
    say(f"Per class and confusion: {run / EVALUATION}")
