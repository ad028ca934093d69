"""Say which labelled images spoke for the class of an image of a trained run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from usl.cli.options import verb
from usl.cli.shared import Json
from usl.console import bars, print_json, print_table, say
from usl.training.explain import Evidence, Explanation
from usl.training.explain import explain as explain_image

SHOWN = 5  # labels of a class


@verb(explain_image)
def explain(run: Path, image_id: str, /, *, json: Json = False, **options: Any) -> None:
    """Print the labels that count most for the class, and for the one that comes next."""
    with bars() as progress:
        found = explain_image(run, image_id, **options, progress=progress)
    if json:
        print_json(asdict(found))
        return
    say(f"{image_id}: {found.label} ({100 * found.confidence:.0f}% sure)")
    for evidence in (found.found, found.other):
        print_evidence(found, evidence)


def print_evidence(found: Explanation, evidence: Evidence) -> None:
    """One class: its score, and the labels that it is made of."""
    say()
    say(f"{evidence.label}: {found.measure} {evidence.score:.2f}, from its labels:")
    shown = evidence.credits[:SHOWN]
    rows = [
        [one.image_id, *(f"{value:.2f}" for value in (one.total, one.direction, one.graph))]
        for one in shown
    ]
    rest = evidence.credits[SHOWN:]
    if rest:
        sums = (sum(getattr(one, name) for one in rest) for name in ("total", "direction", "graph"))
        rows.append([f"{len(rest)} more", *(f"{value:.2f}" for value in sums)])
    print_table(["labelled image", "adds", "by direction", "over neighbours"], rows)
