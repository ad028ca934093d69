"""Refits after a few more labels: what depends on the features alone is kept between them.

For whoever trains again and again while somebody labels::

    refit = Refit(features)
    model = refit.update(classes, weights)   # the first
    model = refit.update(classes, weights)   # after one more answer, or one taken back

A refit has no memory of the labels of former ones. It is the cold fit to the bit, without the
search and the whitening that this takes, so that the order of the answers changes nothing, a class
may appear or vanish, and a label may be taken back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from usl.core.errors import DataError
from usl.core.progress import Progress, silent
from usl.numeric.neighbor_graph import SEARCHED
from usl.numeric.stage_cache import NOTHING, Keep
from usl.training.contract import DEFAULT, FROZEN
from usl.training.models import Model


class Refit:
    """A frozen method and its items, ready to be trained on any labels.

    Parameters
    ----------
    features : float32 [n, d], unit rows.
    method : a training method on frozen features.
    keep, searched : where the neighbour search is kept, and how wide it is
        (:func:`usl.numeric.neighbor_graph.neighbor_weights`); a later process with the same
        features finds it there.
    **params : the method's own parameters.
    """

    def __init__(
        self,
        features: Any,
        method: str = DEFAULT,
        *,
        keep: Keep = NOTHING,
        searched: int = SEARCHED,
        progress: Progress = silent,
        **params: Any,
    ) -> None:
        self.features = features
        self._module = FROZEN.load(method)
        FROZEN.check(method, self._module, params)
        self._params = params
        self._ready: dict[str, Any] = {}
        if hasattr(self._module, "prepare"):
            search: dict[str, Any] = {"keep": keep, "searched": searched, "progress": progress}
            self._ready = self._module.prepare(features, **search, **params)

    def update(
        self,
        classes: ArrayLike,
        weights: ArrayLike | None = None,
        n_classes: int | None = None,
        *,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Model:
        """The model of these labels.

        Parameters
        ----------
        classes : int [n], class number of each labelled item, -1 for the others.
        weights : float [n] of the labels; 1 by default.
        n_classes : C; the largest number there is by default. A class without a label gets no item.

        Raises
        ------
        DataError
            tables of another length, numbers of no class, weights that are none, or fewer than two
            classes with a label.
        """
        n = len(self.features)
        numbers = np.asarray(classes)
        if numbers.shape != (n,) or numbers.dtype.kind not in "iu":
            raise DataError(
                f"classes: {numbers.dtype} {numbers.shape} given; a whole number for each of the "
                f"{n} items is needed, -1 without a label."
            )
        count = int(numbers.max(initial=-1)) + 1 if n_classes is None else n_classes
        if numbers.min(initial=-1) < -1 or numbers.max(initial=-1) >= count:
            bad = int(np.flatnonzero((numbers < -1) | (numbers >= count))[0])
            raise DataError(
                f"classes: item {bad} has the number {numbers[bad]}; numbers run from 0 to "
                f"{count - 1}, and -1 is no label."
            )
        heavy = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
        if heavy.shape != (n,) or not (np.isfinite(heavy) & (heavy >= 0))[numbers >= 0].all():
            raise DataError(
                f"weights: {heavy.shape} given; a finite number of at least 0 for each of the {n} "
                "items is needed."
            )
        model: Model = self._module.fit(
            self.features,
            numbers.astype(np.int64),
            heavy,
            count,
            seed=seed,
            progress=progress,
            **self._params,
            **self._ready,
        )
        return model
