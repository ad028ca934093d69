"""What several verbs share: kinds of options, the file of settings, notes on what was left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.config import Toml

from usl.console import note, print_json, print_table, say
from usl.core.errors import UsageError

ENVIRONMENT, SETTINGS = "USL_", Path("usl.toml")  # where options come from, beside flags
FLAG: dict[str, Any] = {"negative": "", "show_default": False}  # no --no-overwrite
Json = Annotated[bool, Parameter(help="Print the result as JSON.", **FLAG)]
DryRun = Annotated[bool, Parameter(help="Say what would be done, and do nothing.", **FLAG)]


class SettingsFile(Toml):
    """``usl.toml``, read when a verb asks for it; an error in it is told by file and line."""

    @property
    def config(self) -> dict[str, Any]:
        """The tables of the file; none where there is no file."""
        return read_settings(Path(self.path))


def read_settings(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, empty if it does not exist.

    :class:`UsageError` naming the file and the line where it is no TOML, or cannot be read.
    """
    import tomllib

    content = b""
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror or error}). Allow reading it, or move it out "
            "of the way."
        ) from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{path}, line {line}: not UTF-8 text. Save the file anew with the encoding UTF-8."
        ) from error
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        lines = content.decode("utf-8-sig").splitlines()
        what, _, place = str(error).partition(" (at ")
        found = re.match(r"line (\d+)", place)
        number = int(found[1]) if found else max(1, len(lines))  # else: at the end of the document
        text = lines[number - 1].strip() if number <= len(lines) else ""
        raise UsageError(
            f"{path}, line {number}: {text!r} is not valid TOML ({what.rstrip('.')}). Correct the "
            'line, or remove it. A section is written [select], text model = "pixels", a number '
            "seed = 1, each once."
        ) from error


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
