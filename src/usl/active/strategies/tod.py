"""TOD: the rows whose predictions the newest labels have changed the most.

Huang, Wang, Xiong, Huan, Dou: Semi-Supervised Active Learning with Temporal Output Discrepancy
(ICCV 2021). How far the output of a row moves while a model learns is a lower bound of the loss
that the row has gathered, so that rows that move the most are likely to be wrong. The output is the
probabilities p, compared with those of the model of the round before::

    1/2 ||p_now - p_previous||^2
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
from usl.core.progress import Progress
from usl.numeric.arrays import Float32
from usl.numeric.lazy_table import of_rows

NAME = "TOD"
NEEDS_MODEL = True


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64],
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    previous: NDArray[np.float64] | None,
) -> Query:
    """Ask for the rows of the largest discrepancy, of equal ones the lower row first.

    In the first round nothing comes before the model. The authors' code then compares with a
    network that has not been trained, and takes the *smallest* discrepancy. So does this, with what
    an untrained model says, 1 / C of every class: it asks for the rows of which the trained one
    still says little else.
    """
    even = 1 / predictions.shape[1]
    tables = [predictions] if previous is None else [predictions, previous]
    discrepancy = of_rows(
        lambda now, before=even: ((now - before) ** 2).sum(axis=1) / 2, *tables, rows=candidates
    )
    taken = np.argsort(discrepancy if previous is None else -discrepancy, kind="stable")[:budget]
    picks = candidates[taken]
    if previous is None:
        reasons = between(*two_likeliest(predictions, picks)[:2])
    else:
        reasons = tuple(map(_changed, predictions[picks], previous[picks]))
    return Query(picks, reasons, {"discrepancy": discrepancy[taken]})


def _changed(now: NDArray[np.float64], before: NDArray[np.float64]) -> str:
    """What the newest labels have done to the probabilities of a row, [C] both."""
    likely, last = int(now.argmax()), int(before.argmax())
    if likely != last:
        return f"{{{last}}} before the newest labels, {{{likely}}} now"
    surer = "surer" if now[likely] > before[likely] else "less sure"
    return f"{surer} of {{{likely}}} than before the newest labels"
