"""What a query strategy receives, returns and says of itself.

A strategy is one file in ``active/strategies`` with one function::

    def query(features, budget, *, labeled, classes, predictions, candidates, seed, progress,
              <own parameters>) -> Query

It sees arrays only, as a selection method does (:mod:`usl.selection.contract`), and beside them
what is known by now. ``usl.query`` has checked them before.

- ``features``: float32 [n, d], rows of unit length (a row of zeros stays zero).
  :func:`usl.numeric.table.as_table` gives it the verbs for what takes all rows to compute.
- ``budget``: how many rows to ask for, 1 <= budget <= len(candidates).
- ``labeled``: int64 [L], sorted rows that have a label.
- ``classes``: int64 [L], the class number of each, 0 to C - 1.
- ``predictions``: float64 [n, C], class probabilities of every row by a model of these labels; None
  while fewer than two classes have a label. A strategy then asks as on a cold start. Of many rows
  and classes it is no array but a :class:`usl.numeric.lazy_table.LazyTable`: ``predictions[rows]``
  is an array, and :func:`usl.numeric.lazy_table.of_rows` goes through the rows in blocks.
  ``views`` and ``previous`` likewise.
- ``candidates``: int64 [c], sorted rows that may be asked for; never a labelled one.
- ``seed``: every random draw comes from ``np.random.default_rng(seed)``.
- ``progress``: report with ``progress(done, total, step)``.

Others are handed only to a strategy that asks for them in its signature:

- ``fit``: a :data:`Fit`, which trains the learner that made ``predictions`` on other labels.
- ``keep``: a :class:`usl.numeric.stage_cache.Keep` for what depends on the features alone, so that
  the next round need not compute it again.
- ``views``: a :data:`Views`, what the model of ``predictions`` says of random views of every row;
  None where there are no ``predictions``.
- ``previous``: float64 [n, C], the ``predictions`` before the newest labels, 0 for a class that had
  none; None where there was no model.
- ``truth``: a :class:`Truth`. Only a module that says ``ORACLE = True`` gets it, and only a plan of
  a benchmark has one to give: a yardstick, never a competitor.

Bounds of its own parameters stand in the signature, as in a selection method. A module may say
``NAME``, how people write it; ``TASK``, what a network learns that it asks through
(:mod:`usl.active.tasks`); ``NEEDS_MODEL = True`` if it is nothing without predictions (it is
then refused while there are none); ``DRAWN``, why rows of another order give other picks, as good.
It may say ``needed`` and ``seconds`` as a selection method does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.core.methods import Methods

if TYPE_CHECKING:
    from usl.training.models import Model

SHARED = (
    "labeled",
    "classes",
    "predictions",
    "candidates",
    "seed",
    "progress",
    "fit",
    "keep",
    "views",
    "previous",
    "truth",
)
STRATEGIES = Methods("usl.active.strategies", "query", SHARED, group="usl.active")
DEFAULT = "canvass"  # the strategy of whoever names none; docs/canvass.md says why
NEEDS_MODEL = "NEEDS_MODEL"
ORACLE = "ORACLE"
Fit = Callable[[NDArray[Any]], "Model"]
"""``fit(classes)``: the model of other labels, int64 [n], -1 where there is none."""
Views = Callable[[int], Iterator[Any]]
"""``views(count)``: class probabilities of so many random views of every row, float64 [n, C], one
view after another. They are the same at every call, and those of a smaller count come first."""


@dataclass(frozen=True)
class Truth:
    """What an oracle is told.

    Attributes
    ----------
    classes : int64 [n], the true class of every row. Numbers of their own: they also count classes
        that have no label yet.
    accuracy : of the learner on data that it has not seen, once rows, int64 [b], are labelled too.
    """

    classes: NDArray[Any]
    accuracy: Callable[[NDArray[Any]], float]


@dataclass(frozen=True)
class Query:
    """The rows to ask for, and why.

    Attributes
    ----------
    indices : int64 [budget], unique rows out of ``candidates``, the most wanted first.
    reasons : for each, in a few words, why it is asked: ``"between cat and dog"``, ``"far from
        every label"``. Classes by number in braces, ``"between {3} and {5}"``; whoever shows the
        reason knows their names. Empty if the strategy has one reason for all.
    figures : per name a number for each, float [budget]; they become columns of the round's table.
    parameters : the parameters in force, with all that was adapted from the data.
    """

    indices: NDArray[Any]
    reasons: tuple[str, ...] = ()
    figures: dict[str, NDArray[Any]] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


def takes(module: ModuleType, name: str) -> bool:
    """Whether a strategy asks for something that not all are handed, such as ``views``."""
    return name in inspect.signature(module.query).parameters


def refuse_oracle(method: str, module: ModuleType) -> None:
    """:class:`UsageError` for a method that reads the truth, where there are only labels."""
    if getattr(module, ORACLE, False):
        raise UsageError(
            f"method: {method!r} reads the answers of all images, which nobody has here. Take "
            f"another, such as {DEFAULT}."
        )
