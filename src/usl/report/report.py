"""``usl report``: one HTML page about a run.

The page is a single file: styles, pictures and one script are inside. Its own
Content-Security-Policy keeps it from loading anything and from running any other script, and
without script it is complete, too: the script only makes the map answer. It is made of what the run
folder holds at that moment, so it can be written after every step.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from contextlib import nullcontext
from importlib import resources
from pathlib import Path

from usl.core.errors import UsageError
from usl.core.progress import Progress, silent
from usl.data.addresses import is_address, shown
from usl.data.collection import Collection
from usl.data.sinks import beginning, check_sink, exists, write_to
from usl.report.drawing.markup import Html, tag
from usl.report.facts.facts import Facts, gather
from usl.report.facts.records import COMPARISON
from usl.report.projection import FILE as MAP
from usl.report.projection import POINTS, Projection, cached_projection
from usl.report.sections.accuracy import accuracy_section
from usl.report.sections.audit import answers_section, audit_section
from usl.report.sections.budget import budget_section
from usl.report.sections.classes import classes_section
from usl.report.sections.comparison import comparison_section
from usl.report.sections.header import header, title
from usl.report.sections.learning import learning_section
from usl.report.sections.map import highlight_rules, map_section
from usl.report.sections.outliers import extremes_section
from usl.report.sections.picks import doubtful_section, picks_section
from usl.report.sections.predicted import predicted_section
from usl.report.sections.provenance import provenance_section
from usl.report.sections.rounds import rounds_section
from usl.report.sections.suspicious import suspicious_section
from usl.report.sections.unlike import unlike_section
from usl.run.folder import Run
from usl.run.identity import writing

__all__ = ["COMPARISON", "FILE", "write_report"]

FILE = "report.html"
GENERATOR = "usl report"
SCRIPTS = ("plane.js", "card.js", "filters.js", "explorer.js")
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
)
LIMIT = 4_900_000  # bytes that the map may fill the page up to
TOO_FEW = 3  # points do not make a map below this
BEFORE_MAP = 4  # sections: the map is made last, of the bytes that all the others leave


def write_report(
    run: Run | str | os.PathLike[str],
    *,
    source: str | None = None,
    collection: Collection | None = None,
    out: str | os.PathLike[str] | None = None,
    points: int = POINTS,
    progress: Progress = silent,
) -> Path:
    """Write the report of a run, whatever its stage; the path of the page.

    The map is kept in the run folder (``map.npz``), so that a second report is quick. Images that
    are gone, changed or unreadable are placeholders on the page, and the page says so.

    Parameters
    ----------
    run : run folder.
    source : where the images are now, if they have moved.
    collection : the images, where they live in memory.
    out : file to write, also at an address; the default is report.html in the run folder.
    points : how many other images t-SNE places beside the picks, 0 to 5,000.
    progress : called as work proceeds.

    Raises
    ------
    DataError : no run, or its selection or split file cannot be read.
    UsageError : ``out`` is a folder or a file that is no report; ``points`` out of range.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    target = run.path / FILE if out is None else Path(out)
    check_target(target)
    found = collection if collection is not None else run.collection(source)
    facts = gather(run, found, progress)
    content = page(facts, project(facts, points, progress), progress)
    own = writing(run.path, run.identity) if out is None else nullcontext()
    with own, write_to(target) as handle:
        handle.write(content.encode())
    return target


def check_target(target: Path) -> None:
    """Refuse to replace anything but an earlier report."""
    if is_address(target):
        check_sink(target)
        if exists(target) and GENERATOR.encode() not in beginning(target, 1_000):
            raise UsageError(f"out: {shown(target)} exists and is no report; choose another name.")
        return
    if target.is_dir():
        raise UsageError(f"out: {target} is a folder; name a file, such as {target / FILE}.")
    if target.is_file():
        with open(target, "rb") as handle:
            if GENERATOR.encode() not in handle.read(1_000):
                raise UsageError(f"out: {target} exists and is no report; choose another name.")


def project(facts: Facts, points: int, progress: Progress) -> Projection | None:
    """The map of the train images, from the run folder if it is there."""
    picks = facts.pick_points()
    if len(facts.features) < TOO_FEW or not len(picks):
        return None
    run = facts.run
    return cached_projection(
        run.path / MAP,
        facts.features,
        picks,
        points=points,
        keeping=lambda: writing(run.path, run.identity),
        progress=progress,
    )


def contents(sections: list[Html]) -> Html:
    """Links to the sections that there are."""
    found = re.findall(r'<section id="(\w+)"', "".join(sections))
    links = [tag("a", place.capitalize(), href=f"#{place}") for place in found]
    return tag("nav", *links, aria_label="Contents")


def asset(name: str) -> str:
    """The text of a file beside the sections."""
    return (resources.files("usl.report") / "static" / name).read_text("utf-8")


def page(facts: Facts, projection: Projection | None, progress: Progress = silent) -> Html:
    """The whole document."""
    sections = [
        picks_section(facts),
        budget_section(facts, progress),
        extremes_section(facts, progress),
        classes_section(facts),
        learning_section(facts),
        audit_section(facts),
        accuracy_section(facts),
        rounds_section(facts),
        predicted_section(facts),
        comparison_section(facts),
        answers_section(facts),
        doubtful_section(facts),
        unlike_section(facts),
        suspicious_section(facts),
        provenance_section(facts),
    ]
    style = asset("report.css") + highlight_rules()
    script = "\n".join(asset(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    limit = LIMIT - sum(len(part.encode()) for part in (*sections, style, script))
    sections.insert(BEFORE_MAP, map_section(facts, projection, limit, progress))
    document = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="generator", content=GENERATOR),
            tag("meta", http_equiv="Content-Security-Policy", content=POLICY.format(digest)),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", f"{title(facts)} · usl report"),
            tag("style", Html(style)),
        ),
        tag(
            "body",
            header(facts, contents(sections)),
            tag("main", *sections),
            tag("script", Html(script), type_="module"),
        ),
        lang="en",
    )
    return Html(f"<!doctype html>\n{document}\n")
