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
from usl.run.split import first_rows
from usl.selection.constraints.quotas import parse_quotas
from usl.selection.constraints.select_within import Constraints
from usl.selection.contract import METHODS
from usl.selection.dry_run import plan_run
from usl.selection.start_run import start_run


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
    groups : table with the columns image_id and group, for --quota.
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
    oracle = " It has read the answers: a yardstick, not a selection." if picked["oracle"] else ""
    say(
        f"Picked {picked['budget']:,} of {total:,} images with {picked['method']} on "
        f"{encoder['name']} features (supervision: {encoder['supervision']}).{oracle}"
    )
    if picked.get("constraints", {}).get("near_duplicates"):
        say(f"Left out as near-duplicates: {picked['constraints']['near_duplicates']:,} images.")
    if (run.path / "encoder.safetensors").is_file():
        say(f"Trained the encoder, too: --model {run.path} uses it.")
    say(f"Next: usl label {run.path} --classes NAME,NAME   (or fill in the label column of")
    rows = first_rows(picked["budget"])
    say(f"{run.path / 'split.csv'}, {rows}), then: usl train {run.path}")


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
