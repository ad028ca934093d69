"""What several verbs share: kinds of options, and notes on what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from usl.console import note, print_json, print_table, say

PLAIN = Parameter(negative="", show_default=False)  # --overwrite has no --no-overwrite
Flag = Annotated[bool, PLAIN]
Corrupt = Literal["skip", "fail"]


def print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    """Show what a dry run found."""
    if as_json:
        print_json(plan)
        return
    say("Nothing is done; this is the plan.")
    print_table(["what", ""], [[name.replace("_", " "), f"{plan[name]}"] for name in plan])


def report_unreadable(skipped: Sequence[Sequence[str]]) -> None:
    """Name the images that could not be read, the first few in full."""
    if not skipped:
        return
    note(f"{len(skipped)} image{'s' if len(skipped) > 1 else ''} could not be read and left out:")
    for image_id, reason in list(skipped)[:5]:
        note(f"  {image_id}: {reason}")
    if len(skipped) > 5:
        note(f"  and {len(skipped) - 5} more (all are in run.json)")


def note_some(entries: Sequence[str], what: str) -> None:
    """Say how many there are and name the first five."""
    if not entries:
        return
    note(f"{len(entries):,} {what}:")
    for entry in entries[:5]:
        note(f"  {entry}")
    if len(entries) > 5:
        note(f"  and {len(entries) - 5:,} more")
