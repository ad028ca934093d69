"""Mean and scatter of a table that is seen in parts.

Each part gives its own, about its own mean, in float64; two are joined as by Chan, Golub and
LeVeque (1979). No large numbers cancel, however far the rows lie from the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Values
from usl.numeric.pca import mean_and_constant, second_moments, variance


@dataclass(frozen=True)
class Moments:
    """What is known of ``count`` rows: their ``mean`` float64 [d], and which dimensions never vary.

    ``constant`` bool [d]; ``scatter`` float64, the sums of squares about the mean [d], or of all
    products [d, d].
    """

    count: int
    mean: Values
    constant: NDArray[np.bool_]
    scatter: Values

    @classmethod
    def of(cls, rows: NDArray[Any], *, products: bool) -> Self:
        """Those of ``rows`` [n, d], at least one."""
        mean, constant = mean_and_constant(rows)
        average = second_moments(rows, mean, None) if products else variance(rows, mean)
        return cls(len(rows), mean, constant, len(rows) * average)

    def joined(self, other: Self) -> Self:
        """Those of the rows of both."""
        count = self.count + other.count
        apart = other.mean - self.mean
        squares = apart**2 if self.scatter.ndim == 1 else np.outer(apart, apart)
        return type(self)(
            count,
            self.mean + apart * (other.count / count),
            self.constant & other.constant & (apart == 0),
            self.scatter + other.scatter + squares * (self.count * other.count / count),
        )

    @property
    def variance(self) -> Values:
        """Population variance of each dimension, float64 [d]."""
        squares = self.scatter if self.scatter.ndim == 1 else np.diagonal(self.scatter)
        return squares / self.count
