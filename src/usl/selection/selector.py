"""``usl.Selector``: selection as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from usl.selection.contract import DEFAULT
from usl.selection.select import select


class Selector(BaseEstimator):  # type: ignore[misc]
    """Pick ``budget`` rows of X to label; a shell around :func:`usl.select`.

    Parameters
    ----------
    method : name of a selection method.
    budget : number of rows to pick.
    params : the method's own parameters, as a dict.
    random_state : int, RandomState or None, as in scikit-learn.

    Attributes
    ----------
    indices_ : int64 [budget], rows of X, best first.
    selection_ : the whole :class:`usl.Selection`.
    n_features_in_ : number of columns of X.
    """

    def __init__(
        self,
        method: str = DEFAULT,
        budget: int = 5,
        params: dict[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        """Store the parameters; they are checked by :meth:`fit`."""
        self.method = method
        self.budget = budget
        self.params = params
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Select from X, float [n, d]. ``y`` is ignored: selection sees no labels."""
        table = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        self.selection_ = select(
            table, self.budget, method=self.method, seed=int(seed), **(self.params or {})
        )
        self.indices_ = self.selection_.indices
        return self

    def fit_select(self, X: ArrayLike, y: object = None) -> Any:
        """Select from X and return the picked rows of it, [budget, d], best first."""
        self.fit(X, y)
        return np.asarray(X)[self.indices_]
