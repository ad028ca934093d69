"""How right a run was before each of its later rounds, on the images that nobody has labelled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from usl.core.errors import DataError, UslWarning
from usl.run.before import read_before
from usl.run.folder import Run


def round_figures(run: Run, answers: Mapping[str, str]) -> list[dict[str, Any]]:
    """The accuracy before each later round, by what images were called then.

    Parameters
    ----------
    answers : the true label, by id, of the train images that no person has labelled by now; the
        same for all rounds, so that they can be compared.

    Returns
    -------
    For each round with predictions: its number ``round``, the ``labels`` there were before it,
    ``n`` images and the ``accuracy`` on them (transductive). One whose record is damaged is left
    out, with a warning.
    """
    found = []
    for one in run.rounds()[1:]:
        try:
            said = read_before(one.path).machine
        except DataError as error:
            warnings.warn(str(error), UslWarning, stacklevel=3)
            continue
        both = [name for name in answers if name in said]
        if both:
            right = sum(said[name] == answers[name] for name in both)
            accuracy = right / len(both)
            labels = one.info.get("labels")
            found.append(
                {"round": one.number, "labels": labels, "n": len(both), "accuracy": accuracy}
            )
    return found
