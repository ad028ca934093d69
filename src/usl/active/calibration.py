"""How often a model is right where it says so: its confidences, corrected by judged predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

EDGE = 1e-4  # no confidence is nearer to 0 or 1
SPREAD = 1.0  # standard deviation of the prior, of shift and of slope


def calibrated(
    confidence: ArrayLike, judged_confidence: ArrayLike, judged_right: ArrayLike
) -> NDArray[np.float64]:
    """The probability that each prediction is right.

    Platt's scaling (Advances in Large Margin Classifiers, 1999) of the log-odds, sigmoid(a + b x),
    fitted to the judged predictions. A normal prior around a = 0 and b = 1 keeps the model's own
    word while few are judged.

    Parameters
    ----------
    confidence : float [m], the model's probability of its prediction, 0 to 1.
    judged_confidence, judged_right : float [j] and bool [j], of predictions that people judged.
    """
    from scipy.optimize import minimize

    asked = _log_odds(confidence)
    known, right = _log_odds(judged_confidence), np.asarray(judged_right, dtype=np.float64)
    if not len(known):
        return _sigmoid(asked)

    def loss(at: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        odds = at[0] + at[1] * known
        off = _sigmoid(odds) - right
        away = (at - (0.0, 1.0)) / SPREAD**2
        value = np.logaddexp(0.0, odds).sum() - right @ odds + (away**2).sum() * SPREAD**2 / 2
        return float(value), np.array([off.sum(), off @ known]) + away

    found = minimize(loss, np.array([0.0, 1.0]), jac=True, method="L-BFGS-B")
    shift, slope = found.x
    return _sigmoid(shift + max(slope, 0.0) * asked)


def _log_odds(confidence: ArrayLike) -> NDArray[np.float64]:
    bounded = np.clip(np.asarray(confidence, dtype=np.float64), EDGE, 1 - EDGE)
    return np.log(bounded / (1 - bounded))


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-odds))
