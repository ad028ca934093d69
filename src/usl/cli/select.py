"""Pick the images whose labels would teach the most about all the others.

Only images of the subset train are looked at. A source without subsets is all train.
"""

from __future__ import annotations

import glob
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from usl.cli.options import verb
from usl.cli.shared import DryRun, Json, print_plan, report_unreadable
from usl.console import bars, note, print_json, say
from usl.core.errors import UsageError
from usl.core.words import counted, quoted
from usl.run.split import first_rows
from usl.selection.constraints.quotas import parse_quotas
from usl.selection.constraints.select_within import Constraints
from usl.selection.contract import METHODS
from usl.selection.dry_run import plan_run
from usl.selection.start_run import start_run

MOST_NAMES = 12  # classes that are named


@verb(start_run, choice="method", kinds=[METHODS], groups={"Constraints": [Constraints]})
def select(
    source: str,
    /,
    *,
    collapse_duplicates: Annotated[bool | float, Parameter(show_default=False)] = False,
    quotas: Annotated[list[str] | None, Parameter(name="--quota")] = None,
    json: Json = False,
    dry_run: DryRun = False,
    **options: Any,
) -> None:
    """Print what was picked, and what to do next.

    Parameters
    ----------
    exclude : images never to pick: a file with one id per line, or a table with a column
        image_id.
    include : images to request in any case, as part of the budget: such a file.
    collapse_duplicates : of images nearer to each other than this, leave out all but one; alone:
        0.1.
    groups : table with the columns image_id and group, for --quota; shards may have a column group
        instead.
    quotas : number of picks of a group, NAME=COUNT, once for each; or equal, or proportional.
    """
    limits = {one.name: options.pop(one.name, None) for one in fields(Constraints)}
    limits |= {
        "collapse_duplicates": collapse_duplicates or None,
        "quotas": parse_quotas(quotas or ()),
    }
    limits = {name: value for name, value in limits.items() if value is not None}
    constraints = Constraints(**limits) if limits else None
    if dry_run:
        if options.get("engine") == "ray":
            raise UsageError(
                "--dry-run: of this machine alone. What a selection on Ray reads, writes and holds "
                "is in docs/scale.md."
            )
        ran, planned = (signature(function).parameters.keys() for function in (start_run, plan_run))
        options = {name: value for name, value in options.items() if name not in ran - planned}
        print_plan(plan_run(source, **options, constraints=constraints), as_json=json)
        return
    kept_before = _kept(options["out"])
    with bars() as progress:
        run = start_run(source, **options, constraints=constraints, progress=progress)
    for kept in sorted(_kept(options["out"]) - kept_before):
        note(f"Note: the former run has a person's changes in it and is kept as {kept}.")
    encoder, picked = run.info["encoder"], run.info["selection"]
    report_unreadable([*run.info["source"]["unreadable"], *encoder["unreadable"]])
    advise_better_encoder(encoder["name"])
    if json:
        print_json({"run": str(run.path), **run.info})
        return
    total = run.info["source"]["subsets"]["train"] - len(encoder["unreadable"])
    total = run.info.get("shards", {}).get("rows", total)
    oracle = " It has read the answers: a yardstick, not a selection." if picked["oracle"] else ""
    say(
        f"Picked {picked['budget']:,} of {counted(total, 'image')} with {picked['method']} on "
        f"{encoder['name']} features (supervision: {encoder['supervision']}).{oracle}"
    )
    if picked.get("constraints", {}).get("near_duplicates"):
        left = counted(picked["constraints"]["near_duplicates"], "image")
        say(f"Left out as near-duplicates: {left}.")
    if (run.path / "encoder.safetensors").is_file():
        say(f"Trained the encoder, too: --model {quoted(run.path)} uses it.")
    name, names = quoted(run.path), "NAME,NAME"
    if known := picked.get("known"):
        classes = known["classes"]
        labels, of = counted(known["labels"], "label"), counted(len(classes), "class")
        say(f"Started from {labels} of {of}: {listed_counts(classes)}.")
        names = quoted(",".join(classes)) if len(classes) <= MOST_NAMES else names
    say(f"Next: usl label {name} --classes {names}   (or fill in the label column of")
    rows = first_rows(picked["budget"])
    say(f"{run.path / 'split.csv'}, {rows}), then: usl train {name}")


def listed_counts(classes: dict[str, int]) -> str:
    """Classes with their numbers of labels, the first few."""
    shown = [f"{name} {count:,}" for name, count in list(classes.items())[:MOST_NAMES]]
    left = len(classes) - len(shown)
    return ", ".join(shown) + (f" and {counted(left, 'class')} more" if left else "")


def _kept(out: Path) -> set[Path]:
    """Former runs that were kept beside ``out``."""
    return set(out.parent.glob(f"{glob.escape(out.name)}.labeled-*"))


def advise_better_encoder(name: str) -> None:
    """Say plainly when features are only pixels because nothing better is installed."""
    if name != "pixels":
        return
    from usl.features.open_encoder import BETTER_ENCODER_ADVICE, best_installed

    if best_installed() == "pixels":
        note(f"Note: {BETTER_ENCODER_ADVICE}, then the same command again.")
