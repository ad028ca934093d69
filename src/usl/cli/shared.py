"""What several verbs share: kinds of options, plans, notes on what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from usl.console import note, print_json, print_table, say
from usl.core.errors import UsageError
from usl.core.words import counted, verb_for
from usl.data.addresses import shown

FLAG: dict[str, Any] = {"negative": "", "show_default": False}  # no --no-overwrite
Json = Annotated[bool, Parameter(help="Print the result as JSON.", **FLAG)]
DryRun = Annotated[bool, Parameter(help="Say what would be done, and do nothing.", **FLAG)]

MOST_CLASSES = 40  # lines of a table of classes


def print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    """Show what a dry run found."""
    if as_json:
        print_json(plan)
        return
    say("Nothing is done; this is the plan.")
    left = plan.get("constraints", {})
    figures = {name: value for name, value in plan.items() if name != "constraints"} | left
    shown = [name for name in figures if name not in ("groups", "needs_features")]
    print_table(["what", ""], [[name.replace("_", " "), f"{figures[name]}"] for name in shown])
    if groups := left.get("groups"):
        columns = list(next(iter(groups.values())))
        say()
        print_table(
            ["group", *columns],
            [[name, *(f"{row[column]:,}" for column in columns)] for name, row in groups.items()],
        )
    if waiting := left.get("needs_features"):
        options = " and ".join(f"--{name.replace('_', '-')}" for name in waiting)
        say(f"Not checked, since it needs the features: {options}. Fewer candidates may be left.")


def in_shards(out: Path | None, engine: str) -> bool:
    """Whether ``--out`` names a place for shards: a folder or an address without an ending.

    Raises :class:`UsageError` for ``--engine ray`` with a file, or without a place.
    """
    if out is not None and not out.suffix:
        return True
    if engine == "ray":
        given = "no place" if out is None else f"the file {shown(out)}"
        raise UsageError(
            f"--out: {given} given; --engine ray writes shards. Name a folder or an address, as "
            "in --out shards/."
        )
    return False


def report_unreadable(skipped: Sequence[Sequence[str]], listed: str = "run.json") -> None:
    """Name the images that could not be read, the first few in full; all are ``listed``."""
    if not skipped:
        return
    verb = "was" if len(skipped) == 1 else "were"
    note(f"{counted(len(skipped), 'image')} could not be read and {verb} left out:")
    for image_id, reason in list(skipped)[:5]:
        note(f"  {image_id}: {reason}")
    if len(skipped) > 5:
        note(f"  and {len(skipped) - 5} more (all are in {listed})")


def say_unlike(count: int | None, where: str) -> None:
    """Say how many images are like no class; nothing where none is, or nobody knows."""
    if count:
        are = verb_for(count, "is", "are")
        note(f"Note: {counted(count, 'image')} {are} like no class that has a label ({where}).")


def print_counts(counts: Mapping[str, int]) -> None:
    """Print how many images each label has, those of most images first."""
    shown = sorted(counts.items(), key=lambda pair: -pair[1])
    print_table(["label", "images"], [[name, f"{count:,}"] for name, count in shown[:MOST_CLASSES]])
    if left := shown[MOST_CLASSES:]:
        images = counted(sum(count for _, count in left), "image")
        say(f"  and {counted(len(left), 'more class', 'more classes')}, {images}")


def note_some(entries: Sequence[str], one: str, many: str) -> None:
    """Say how many there are, ``1 entry is`` or ``2 entries are``, and name the first five."""
    if not entries:
        return
    note(f"{len(entries):,} {one if len(entries) == 1 else many}:")
    for entry in entries[:5]:
        note(f"  {entry}")
    if len(entries) > 5:
        note(f"  and {len(entries) - 5:,} more")
