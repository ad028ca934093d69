"""The record of a round: what is known before it, what has changed, and the table of its picks."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.passed_over import Passed
from usl.active.state import RunState, Said
from usl.core.errors import DataError, UslWarning
from usl.core.words import counted, verb_for
from usl.run.before import Called, changes, read_before
from usl.run.folder import Run
from usl.run.tables import ID
from usl.selection.contract import DEFAULT as COLD_START

if TYPE_CHECKING:
    import pyarrow as pa

MOST_NAMED = 3  # images that a note names


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a round is to ask for.

    Attributes
    ----------
    method : how it was picked.
    said : what a learner says before it; None where nothing can be learned yet.
    query, passed : the picks, and the audited images that were passed over.
    network : the settings of the network that was trained for it, if one was.
    files : of that network, by name, to be kept with the round.
    """

    method: str
    said: Said | None
    query: Query
    passed: Passed
    network: dict[str, Any] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def record_of(state: RunState, learned: Said | None, now: Called) -> dict[str, Any]:
    """What is known before a round, and what has changed since the one before."""
    estimate = None if learned is None else learned.estimate
    former = state.run.rounds()[-1]
    since = None
    if former.number:
        try:
            since = changes(read_before(former.path), now)
        except DataError as error:  # a help, not a need
            warnings.warn(f"What has changed since is not told. {error}", UslWarning, stacklevel=3)
    return {
        "labels": len(state.labeled),
        "classes": state.counts(),
        "open": len(state.open),
        "learner": None if learned is None else learned.learner,
        "estimate": None if estimate is None else round(estimate, 4),
        "predicted": dict(Counter(now.machine.values()).most_common()),
        "since": since,
    }


def tell_changes(run: Run, state: RunState, learned: Said | None, info: dict[str, Any]) -> None:
    """Say what a person should know of the labels before a round."""
    notes, since = [], info["since"]
    number = run.rounds()[-1].number
    if learned is None:
        has = "no image has a label" if not state.names else f"all labels are {state.names[0]!r}"
        how = "as a selection begins" if info["method"] == COLD_START else "without a model"
        notes.append(f"{has}, so nothing can be learned yet: picked {how}, by {info['method']}.")
    if learned is not None and since is not None and not since["labels"]:
        waiting = len(state.open)
        notes.append(
            f"no label is new since round {number}"
            + (f"; {waiting:,} of the images asked for are still open" if waiting else "")
            + ". The more is labelled before a round, the better it is."
        )
    if since is not None and since["relabeled"]:
        first = since["relabeled"][0]
        n = len(since["relabeled"])
        notes.append(
            f"{counted(n, 'label')} {verb_for(n, 'is', 'are')} not what "
            f"{verb_for(n, 'it was', 'they were')} before round {number} ({first['image_id']!r} "
            f"was {first['before']!r}, now {first['now']!r}). The newest count; all are kept."
        )
    if since is not None and since["removed"]:
        n, named = len(since["removed"]), since["removed"][:MOST_NAMED]
        notes.append(
            f"{counted(n, 'label')} {verb_for(n, 'was', 'were')} taken away since round {number} "
            f"({', '.join(map(repr, named))}{', ...' if n > MOST_NAMED else ''})."
        )
    for text in notes:
        warnings.warn(text[:1].upper() + text[1:], UslWarning, stacklevel=3)


def table_of(
    state: RunState, found: Query, called: list[Any], sure: NDArray[np.float64]
) -> pa.Table:
    """The picks of a round: rank, id, reason, what a model says of it, and the method's figures."""
    import pyarrow as pa

    rows = np.asarray(found.indices, dtype=np.int64)
    reasons: list[Any] = [*named_reasons(found.reasons, state.names)] or [None] * len(rows)
    columns: dict[str, Any] = {
        "rank": np.arange(1, len(rows) + 1),
        ID: pa.array(state.ids[rows].tolist(), pa.string()),
        "reason": pa.array(reasons, pa.string()),
        "predicted": pa.array([called[row] for row in rows.tolist()], pa.string()),
        "confidence": pa.array(sure[rows].round(4), pa.float64(), from_pandas=True),
    }
    figures = {name: np.asarray(values) for name, values in found.figures.items()}
    return pa.table(columns | {name: one for name, one in figures.items() if name not in columns})


def named_reasons(reasons: tuple[str, ...], names: list[str]) -> list[str]:
    """Reasons with the names of classes in place of their numbers in braces."""
    return [re.sub(r"\{(\d+)\}", lambda found: names[int(found[1])], reason) for reason in reasons]


def plain(value: Any) -> Any:
    """Parameters as JSON keeps them: numbers of numpy as plain ones, other things as text."""
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int | float | str | None) else str(value)
