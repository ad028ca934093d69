"""``usl.Selector``: selection as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from usl.core.errors import DataError, UsageError
from usl.core.plain_arrays import bad_columns, is_frame
from usl.data.columns import label_texts
from usl.selection.contract import DEFAULT
from usl.selection.known_methods import is_oracle
from usl.selection.select import select


class Selector(BaseEstimator):  # type: ignore[misc]
    """Pick ``budget`` rows of X to label; a shell around :func:`usl.select`.

    Parameters
    ----------
    budget : number of rows to pick.
    method : name of a selection method.
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
        budget: int = 5,
        method: str = DEFAULT,
        params: dict[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        """Store the parameters; they are checked by :meth:`fit`."""
        self.budget = budget
        self.method = method
        self.params = params
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Select from X, float [n, d].

        ``y`` is ignored, as selection sees no labels; a method that is an oracle, such as
        ``stratified``, is handed it.

        Raises
        ------
        UsageError : parameters that cannot be used, or an oracle without ``y``.
        DataError : X is no table of finite numbers.
        """
        self._check_parameters()
        if is_frame(X) and (bad := bad_columns(X)):
            raise DataError(f"X: no numbers in the columns {bad}. Leave them out.")
        table = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        params = dict(self.params or {})
        if is_oracle(self.method) and "labels" not in params:
            params["labels"] = self._answers(y, len(table))
        self.selection_ = select(table, self.budget, method=self.method, seed=int(seed), **params)
        self.indices_ = self.selection_.indices
        self._rows = len(table)
        return self

    def fit_select(self, X: ArrayLike, y: ArrayLike | None = None) -> Any:
        """Select from X and return the picked rows of it, [budget, d], best first.

        Of a table of pandas its rows with their index.
        """
        self.fit(X, y)
        rows = getattr(X, "iloc", None)
        return np.asarray(X)[self.indices_] if rows is None else rows[self.indices_]

    def fit_transform(self, X: ArrayLike, y: ArrayLike | None = None) -> Any:
        """The same as :meth:`fit_select`, under the name that scikit-learn's tools call."""
        return self.fit_select(X, y)

    def get_support(self, indices: bool = False) -> NDArray[Any]:
        """Which rows of X are picked: a mask bool [n]; or with ``indices`` their numbers, sorted.

        As scikit-learn's feature selectors have it, for rows; ``indices_`` has them best first.
        """
        check_is_fitted(self)
        mask = np.zeros(self._rows, dtype=bool)
        mask[self.indices_] = True
        return np.flatnonzero(mask) if indices else mask

    def _check_parameters(self) -> None:
        budget: Any = self.budget
        if isinstance(budget, str):
            raise UsageError(
                f"budget: {budget!r} given; it must be a whole number. The method comes second: "
                f"Selector(10, {budget!r})."
            )
        if not isinstance(self.method, str):
            raise UsageError(f"method: {self.method!r} given; it must be the name of a method.")

    def _answers(self, y: ArrayLike | None, n: int) -> NDArray[np.object_]:
        """The labels for an oracle, object [n] of ``str``."""
        if y is None:
            raise UsageError(
                f"y: {self.method} reads the label of every row, so it needs them: fit(X, y)."
            )
        answers = np.asarray(y)
        if answers.shape != (n,):
            raise DataError(f"y: shape {answers.shape} given for {n} rows.")
        return label_texts(answers.tolist())
