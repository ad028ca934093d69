"""What a run of ``usl select`` has to do, for the time left."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from usl.core.errors import UslError, UslWarning
from usl.core.progress import Stage
from usl.features.stages import expected_width, fitting_stages, stages_of_space
from usl.numeric.blocks import thread_count
from usl.selection.contract import METHODS, SECONDS
from usl.selection.shared.seconds import stages

if TYPE_CHECKING:
    from usl.selection.prepare import Prepared


RANKED, LAST = 1e-7, 0.1  # seconds of an item and a pick at the end; at most this share of all
WRITTEN = 0.3  # seconds of putting the picks in order and writing the run
LITTLE = 0.03  # seconds of a selection by a method that does not tell them


def seconds_of(
    method: str, n: int, width: int, budget: int, params: Mapping[str, Any] | None = None
) -> float:
    """Seconds that a selection from n items may take; it matters how methods compare."""
    return LITTLE + float(sum(_told(method, n, width, budget, dict(params or {})).values()))


def _told(
    method: str, n: int, width: int, budget: int, params: dict[str, Any]
) -> Mapping[str, float]:
    """The long stages that a method tells; what is wrong with its parameters, its run will say."""
    module = METHODS.load(method)
    seconds = getattr(module, SECONDS, None)
    if seconds is None:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        try:
            METHODS.check(method, module, params)
            told: Mapping[str, float] = seconds(n, width, budget, 0, params)
        except UslError:
            return {}
    return told


def stages_of_run(
    ready: Prepared, budget: int, method: str, params: Mapping[str, Any]
) -> list[Stage]:
    """All of it, as far as that can be told before any image is read."""
    n, features = len(ready.train), ready.collection.features
    if features is None:
        before = stages_of_space(n, ready.encoder, fitted=False)
        shape = (n, expected_width(ready.encoder))
        return [*before, *selection_stages(ready, shape, budget, method, params)]
    shape = (n, int(features.shape[1]))
    return [*fitting_stages(*shape, None), *selection_stages(ready, shape, budget, method, params)]


def selection_stages(
    ready: Prepared, shape: tuple[int, ...], budget: int, method: str, params: Mapping[str, Any]
) -> list[Stage]:
    """The long stages of a selection from features [n, d], where the method tells them."""
    (n, width), groups = shape, max(1, len(ready.shares))
    each = _told(method, max(1, n // groups), width, max(1, budget // groups), dict(params))
    if not each:
        return []
    told = sum(each.values())
    last = min(LAST * told, RANKED * n * budget * 2 / thread_count())
    return [
        *stages(each, groups),
        Stage("ranking", last, labels=("repulsion",), kind="selection"),
        Stage("writing", WRITTEN),
    ]
