"""What every image was called before a round, and what two such states have apart.

``before.parquet`` of a round: ``image_id``; ``label``, a person's, else the likeliest class by a
model of the labels of that moment, empty where there was none; its ``confidence``; ``source``,
``human`` or ``predicted``, empty without a label. Train images alone, those that could be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.run.rounds import BEFORE
from usl.run.tables import ID, read_table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Called:
    """What images are called: by ``people``, and by a model for all others, ``machine``."""

    people: dict[str, str]
    machine: dict[str, str]


def before_table(
    ids: NDArray[np.str_],
    labels: Sequence[str | None],
    confidence: NDArray[np.float64],
    human: NDArray[np.bool_],
) -> pa.Table:
    """The table of n images: ``labels`` [n], ``confidence`` float64 [n] (NaN without), who gave."""
    import pyarrow as pa

    by = np.where(human, "human", "predicted").tolist()
    sources = [None if label is None else one for label, one in zip(labels, by, strict=True)]
    return pa.table(
        {
            ID: pa.array(ids.tolist(), pa.string()),
            "label": pa.array(labels, pa.string()).dictionary_encode(),
            "confidence": pa.array(confidence.round(4), pa.float64(), from_pandas=True),
            "source": pa.array(sources, pa.string()).dictionary_encode(),
        }
    )


def read_before(folder: Path) -> Called:
    """What images were called before the round of a folder.

    Raises :class:`usl.core.errors.DataError` naming a file that is missing or damaged.
    """
    table = read_table(
        folder / BEFORE, [ID, "label", "source"], fix="Restore it; the round itself is not lost."
    )
    return called_of(table)


def called_of(table: pa.Table) -> Called:
    """The content of a table of :func:`before_table`."""
    found = Called({}, {})
    columns = (table[name].to_pylist() for name in (ID, "label", "source"))
    for image, label, source in zip(*columns, strict=True):
        if label is not None:
            (found.people if source == "human" else found.machine)[image] = label
    return found


def changes(before: Called, now: Called) -> dict[str, Any]:
    """What has changed between two states.

    Returns
    -------
    ``labels`` that are new, ``removed`` ones, and ``relabeled``: ``image_id``, ``before``, ``now``
    of those that a person calls otherwise. Of the images that a model speaks of both times:
    ``predicted``, how many, and ``changed``, how many it calls otherwise. ``gained`` and ``lost``
    by class: images that the model has newly called so, or calls so no more.
    """
    both = [name for name in before.machine if name in now.machine]
    other = [name for name in both if before.machine[name] != now.machine[name]]
    return {
        "labels": sum(name not in before.people for name in now.people),
        "removed": sorted(name for name in before.people if name not in now.people),
        "relabeled": [
            {"image_id": name, "before": label, "now": now.people[name]}
            for name, label in before.people.items()
            if now.people.get(name, label) != label
        ],
        "predicted": len(both),
        "changed": len(other),
        "gained": dict(Counter(now.machine[name] for name in other).most_common()),
        "lost": dict(Counter(before.machine[name] for name in other).most_common()),
    }
