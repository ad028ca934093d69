"""Keep to ``--memory``: what a selection and a run need beside their tables."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from usl.core.errors import UslWarning
from usl.numeric.lazy_table import bytes_in_memory
from usl.numeric.workspace import Workspace
from usl.selection.contract import METHODS, NEEDED
from usl.selection.shared.memory import BASE, Size, in_blocks

if TYPE_CHECKING:
    from usl.data.collection import Collection
    from usl.features.contract import Encoder

# Bytes of each image of a run, ids (of so many bytes) aside, and how many copies of its id: all
# along, and while the run folder is written.
KEPT, KEPT_IDS = 120, 2
WRITTEN, WRITTEN_IDS = 400, 5


def needed(method: str, n: int, d: int, budget: int, labeled: int, params: dict[str, Any]) -> int:
    """Bytes that a selection needs beside its tables.

    A method says so itself with a function ``needed`` (:mod:`usl.selection.contract`). For one
    that does not, only what the selection does around it is counted.
    """
    own = getattr(METHODS.load(method), NEEDED, None)
    if own is None:
        m = budget + labeled
        return Size(n, d, m, m, k=0).total()
    return int(own(n, d, budget, labeled, params))


def reserve(
    workspace: Workspace,
    method: str,
    table: Any,
    budget: int,
    labeled: int,
    params: dict[str, Any],
) -> None:
    """Keep free what selecting from ``table`` [n, d] needs beside tables.

    :class:`usl.core.errors.UsageError` if the bound is too small for that; a
    :class:`UslWarning` for a method that does not say what it needs.
    """
    if workspace.memory is None:
        return
    if not hasattr(METHODS.load(method), NEEDED):
        warnings.warn(
            f"memory: what {method} itself needs is not counted; the bound holds for the tables "
            "and for what is done around the method.",
            UslWarning,
            stacklevel=3,
        )
    n, d = table.shape
    given = 0 if workspace.owns(table) else bytes_in_memory(table)
    workspace.reserve(given + needed(method, n, d, budget, labeled, params))


def run_needs(
    collection: Collection,
    width: int,
    pca: int | None,
    method: str,
    budget: int,
    params: dict[str, Any],
    labeled: int = 0,
) -> tuple[int, int]:
    """Bytes that a run holds all along, and those it works with, its tables in files aside.

    ``width`` of the encoder's rows; ``pca`` dimensions they are brought to, None for all;
    ``labeled``, how many images have a label already.
    """
    n, name = len(collection.rows_in("train")), collection.ids.dtype.itemsize
    held = (KEPT + KEPT_IDS * name) * len(collection)
    if collection.features is not None:
        held += bytes_in_memory(collection.features)
    written = (WRITTEN + WRITTEN_IDS * name) * len(collection)
    fit = in_blocks(24 * width, n) + (40 * width * width if pca else 0)
    selection = needed(method, n, min(width, pca or width), budget, labeled, params)
    return held, max(BASE + fit, BASE + written, selection)


def bound_run(
    workspace: Workspace,
    collection: Collection,
    model: str,
    method: str,
    budget: int,
    pca: int | None,
    params: dict[str, Any],
    labeled: int = 0,
) -> str | Encoder:
    """Refuse a bound that a run cannot keep, before any image is read; the encoder of the run.

    Without a bound the encoder is not opened yet.
    """
    if workspace.memory is None:
        return model
    encoder: str | Encoder = model
    if collection.features is not None:
        width = int(collection.features.shape[1])
    else:
        from usl.features.open_encoder import open_encoder

        encoder = open_encoder(model)
        width = encoder.dim
        pca = encoder.preprocessing["pca"] if pca is None else pca
    held, work = run_needs(collection, width, pca, method, budget, params, labeled)
    workspace.hold(held)
    workspace.reserve(work)
    return encoder
