"""The data behind the interactive map: one compressed block that explorer.js reads."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.report.drawing.markup import Html, plural, tag
from usl.report.drawing.sheets import make_sheets
from usl.report.facts.facts import Facts
from usl.report.facts.groups import Groups, squares
from usl.report.projection import Projection
from usl.report.sections.picks import SHOWN

DATA_ID = "map-data"
SAMPLED = 5_000  # thumbnails besides those of the picks, at most
FINE = 10  # places are given to a tenth of a unit of the drawing
SURE = 1_000  # and confidences to a tenth of a per cent
SPARE = 2_000  # bytes, for what stands around the sheets


def explorer_data(
    facts: Facts,
    projection: Projection,
    groups: Groups,
    colours: Sequence[str],
    at: NDArray[np.float64],
    limit: int,
    progress: Progress = silent,
) -> Html:
    """The data as an inert element of the page, at most ``limit`` bytes; nothing if too large.

    It is base64 of zlib of JSON: ids of any content are neither markup nor script there. Lists with
    an entry for each dot are in the order of the collection.

    Parameters
    ----------
    colours : of the groups, CSS values.
    at : float64 [q, 2], where the dots are.
    """
    order = np.argsort(facts.rows[projection.rows])
    rows = facts.rows[projection.rows][order]
    record = points_record(facts, rows, at[order])
    record |= {"by": groups.by, "colours": list(colours), "noun": facts.noun}
    record |= {"squares": squares(groups), "named": groups.named}
    said = {} if facts.people is None else facts.people.undecided
    record["said"] = {i: said[name] for i, name in enumerate(record["ids"]) if name in said}
    record["classes"] = classes_record(facts, rows, groups, record)
    place = {row: i for i, row in enumerate(rows.tolist())}
    record["picks"] = [
        [place.get(pick.row, -1), pick.rank, pick.figures.get("represents")] for pick in facts.picks
    ]
    record["blank"] = why_blank(facts, 0)
    plain = packed(record)
    if len(plain) > limit:
        return Html("")
    if facts.collection.images is not None:
        # The first picks have a picture on the page already. The others are in random order.
        needed = [pick.row for pick in facts.picks[SHOWN:] if pick.row in place]
        others = projection.rows[~np.isin(projection.rows, facts.pick_points())][:SAMPLED]
        wanted = facts.rows[others].tolist()
        left = limit - len(plain) - SPARE
        sheets = make_sheets(facts.collection.images, needed, wanted, left, progress)
        if sheets is not None:
            record["pictures"] = sheets.record(place)
            record["blank"] = why_blank(facts, len(sheets.rows))
            plain = packed(record)
    return plain


def why_blank(facts: Facts, shown: int) -> str:
    """Why a dot without a picture has none, where its image can be read."""
    if facts.collection.images is None:
        return "No picture: the run was made from features."
    if not shown:
        return "No picture: this page has no room for more."
    return f"No picture: this page has room for {plural(shown, facts.noun)}, drawn at random."


def points_record(facts: Facts, rows: NDArray[np.int64], at: NDArray[np.float64]) -> dict[str, Any]:
    """Ids, places, confidences in thousandths, picks that stand for them; -1 for none."""
    record: dict[str, Any] = {
        "ids": facts.collection.ids[rows].tolist(),
        "x": np.rint(at[:, 0] * FINE).astype(int).tolist(),
        "y": np.rint(at[:, 1] * FINE).astype(int).tolist(),
    }
    if (facts.stands >= 0).any():
        record["stands"] = facts.stands[rows].tolist()
    if facts.predictions is not None:
        sure = np.where(facts.predictions.own, facts.predictions.confidence, np.nan)[rows]
        record["sure"] = np.nan_to_num(np.rint(sure * SURE), nan=-1).astype(int).tolist()
    return record


def classes_record(
    facts: Facts, rows: NDArray[np.int64], groups: Groups, record: dict[str, Any]
) -> list[str]:
    """Put the known, the predicted and the given class of each dot into the record, by number.

    The classes that have colours come first among the names that are returned.
    """
    names = list(groups.names) if groups.by in ("truth", "told") else []
    number = {name: i for i, name in enumerate(names)}

    def numbered(labels: Sequence[str | None]) -> list[int]:
        return [-1 if name is None else number.setdefault(name, len(number)) for name in labels]

    if facts.truth is not None:
        record["truth"] = numbered(facts.truth[rows].tolist())
    if facts.predictions is not None:
        told = facts.predictions.labels[rows]
        told[~facts.predictions.own[rows]] = None
        record["told"] = numbered(told.tolist())
    labeled = facts.split.labeled()
    ids, labels = facts.split.ids[labeled].tolist(), facts.split.labels[labeled].tolist()
    given = dict(zip(ids, labels, strict=True))
    if given:
        record["given"] = numbered([given.get(name) for name in record["ids"]])
    return list(number)


def packed(record: dict[str, Any]) -> Html:
    """The record as an element that no browser runs."""
    content = json.dumps(record, separators=(",", ":")).encode()
    text = base64.b64encode(zlib.compress(content, 9)).decode()
    return tag("script", Html(text), type_="text/plain", id_=DATA_ID)
