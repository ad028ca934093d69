"""What a selection method receives, returns and says of itself.

A method is one file in ``selection/methods`` with one function::

    def pick(features, budget, *, labeled, candidates, seed, progress, <own parameters>) -> Picks

It sees arrays only: no data set, no path, no label. ``usl.select`` has checked them before.

- ``features``: float32 [n, d], rows of unit length (a row of zeros stays zero).
  :func:`usl.numeric.table.as_table` gives it the verbs for what takes all rows to compute.
- ``budget``: how many rows to pick, 1 <= budget <= len(candidates).
- ``labeled``: int64 [L], sorted rows that already have a label.
- ``candidates``: int64 [c], sorted rows that may be picked; never a labelled one.
- ``seed``: every random draw comes from ``np.random.default_rng(seed)``.
- ``progress``: report with ``progress(done, total, step)``.

Three more are handed only to a method that asks for them in its signature:

- ``keep``: a :class:`usl.numeric.stage_cache.Keep` for stages that take long, so that a stopped
  selection goes on after the last finished one.
- ``predictions``: float64 [n, C], the class probabilities of every row by the present model, or
  None on a cold start. ``labeled`` says which rows it has learned from.
- ``lengths``: float32 [n], the length of every row before it was scaled to 1, or None where that
  is not known because the rows came as unit rows.

Bounds of its own parameters stand in the signature, ``k: Annotated[int, Positive] = 20``
(:mod:`usl.core.parameters`): values out of bounds are refused before it is called.

A method that is meant for many items also says how much memory it takes, tables [n, d] aside, and
how long its long stages do, in seconds by their names (:mod:`usl.selection.shared.seconds` helps)::

    def needed(n, width, budget, labeled, parameters) -> int  # bytes; labeled: how many rows
    def seconds(n, width, budget, labeled, parameters) -> dict[str, float]

Parameters that do not go together, or not for n items, it may refuse before any image is read::

    def check(n, parameters) -> None  # raises UsageError

Further words that its module may say:

- ``DRAWN = "why"``: row numbers are drawn, so that another order of the rows has other picks, as
  good. ``DRAWN_COLD``: where nothing is labelled alone. Without them picks must be the same.
- ``NESTED = True``: picks of a smaller budget are the first of a larger one, while no budget
  exceeds a parameter ``pool`` it may have. A benchmark then picks once for all budgets.
- ``ORACLE = True``: it reads the true labels, as its parameter ``labels``: a yardstick alone.
- ``UNRANKED = True``: the order of the picks is that of the draw, not best first.
- ``NAME``: how people write it, ``"k-means"``.
- ``SYMBOLS``: for the report, the symbol of a parameter (``_`` before an index) and its meaning,
  ``{"lam": ("λ", "weight of the regulariser, Eq. 7")}``; without it, the docstring's first words.
- ``TERMS``: alike, what ``confidence``, ``density``, ``regularizer`` and ``utility`` of its picks
  are: a word, its meaning and, if a paper has one, its symbol; under ``"utility usl_t"`` where the
  parameter ``chosen`` of the result is ``usl_t``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.methods import Methods

DEFAULT = "quorum"  # the method of whoever names none; docs/choosing.md says why
NEEDED, SECONDS, NESTED = "needed", "seconds", "NESTED"
SHARED = ("labeled", "candidates", "predictions", "lengths", "seed", "progress", "keep")
METHODS = Methods("usl.selection.methods", "pick", SHARED, group="usl.selection")


@dataclass(frozen=True)
class Picks:
    """What a method chose, and what it knows about the choice.

    Attributes
    ----------
    indices : int64 [budget], unique rows out of ``candidates``.
    ranked : True when ``indices`` are best first already; else ``usl.select`` orders them.
    clusters : int [n], the partition behind the picks, or None.
    density : float [n], of every row, in the method's own unit, or None.
    utility, regularizer : float [budget], of every pick, or None.
    confidence : float [n], how surely each row belongs to its cluster, 0 to 1, or None.
    propagated : int [n], for every row the position in ``indices`` of the pick whose label it
        shall receive once that is known, or -1; None when labels are not passed on.
    history : figures recorded while a method trains, one dict per record.
    parameters : the parameters in force, with presets and clamps resolved.
    backbone : the network that a method trained (:class:`usl.learning.backbone.Backbone`), or None.
    """

    indices: NDArray[np.int64]
    ranked: bool = False
    clusters: NDArray[np.integer[Any]] | None = None
    density: NDArray[np.float64] | None = None
    utility: NDArray[np.float64] | None = None
    regularizer: NDArray[np.float64] | None = None
    confidence: NDArray[np.float64] | None = None
    propagated: NDArray[np.int64] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    backbone: Any = None
