"""Fisher information of a linear head, and what one more row does to a trace of its inverse.

For a row x with class probabilities p the Fisher information of a softmax head's weights is
(diag(p) - p p^T) (x) x x^T, [C d, C d]; the binary one, of the likeliest class against all others,
is p (1 - p) x x^T, [d, d]. Both are V V^T with V = S (x) x, and S [C, C] or [1, 1].
"""

from __future__ import annotations

from copy import copy
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm

from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.blocks import map_blocks, one_blas_thread
from usl.numeric.table import Table

Array = NDArray[np.float64]
SUMMED, TRACED, PRODUCT = (
    4096,
    2048,
    256,
)  # rows in a block; fixed, as products round block by block


class Kind(Protocol):
    """Which Fisher information: what it takes of probabilities, and S of it."""

    size: int  # C, or 1

    def of(self, probabilities: Array) -> Array:
        """What is needed of the probabilities [m, C]: [m, size]."""

    def middle(self, p: Array) -> Array:
        """S S^T of every row, [m, size, size]."""

    def project(self, p: Array, w: Array) -> Array:
        """S^T w of every row, [m, size, k]; ``w`` [m, size, k]."""


class Full:
    """All classes: S has the columns sqrt(p_r) (e_r - p)."""

    def __init__(self, n_classes: int) -> None:
        self.size = n_classes

    def of(self, probabilities: Array) -> Array:
        """See :meth:`Kind.of`."""
        return probabilities

    def middle(self, p: Array) -> Array:
        """See :meth:`Kind.middle`."""
        outer = -p[:, :, None] * p[:, None]
        every = np.arange(self.size)
        outer[:, every, every] += p
        return outer

    def project(self, p: Array, w: Array) -> Array:
        """See :meth:`Kind.project`."""
        mean = np.einsum("mc,mck->mk", p, w)
        return np.asarray(np.sqrt(p)[:, :, None] * (w - mean[:, None]))


class Binary:
    """The likeliest class against all others: S is sqrt(p (1 - p))."""

    size = 1

    def of(self, probabilities: Array) -> Array:
        """See :meth:`Kind.of`."""
        most = probabilities.max(axis=1, keepdims=True)
        return np.asarray(most * (1 - most))

    def middle(self, p: Array) -> Array:
        """See :meth:`Kind.middle`."""
        return p[:, :, None]

    def project(self, p: Array, w: Array) -> Array:
        """See :meth:`Kind.project`."""
        return np.asarray(np.sqrt(p)[:, :, None] * w)


def fisher_sum(
    table: Table, kind: Kind, probabilities: Array, scale: float, rows: Rows | None = None
) -> Array:
    """The sum over ``rows`` (None: all) of V V^T, [size d, size d].

    Parameters
    ----------
    probabilities : [n, C]; scale : what features are multiplied by.
    """
    size, width = kind.size, table.shape[1]
    rows = np.arange(len(table)) if rows is None else rows
    upper = list(zip(*np.triu_indices(size), strict=True))

    def block(points: Float32, own: Rows) -> NDArray[Any]:
        middle = kind.middle(kind.of(probabilities[own])).astype(np.float32)
        scaled: NDArray[Any] = points * np.float32(scale)
        return np.stack([(scaled * middle[:, a, b, None]).T @ scaled for a, b in upper])

    parts = np.zeros((len(upper), width, width))
    for part in table.map(block, rows, block=SUMMED, rows=rows):
        parts += part
    whole = np.empty((size, width, size, width))
    for (a, b), part in zip(upper, parts, strict=True):
        whole[a, :, b], whole[b, :, a] = part, part.T
    return whole.reshape(size * width, size * width)


class Traces:
    """How tr(M^-1 F) changes as rows add their V V^T to M, or take it back.

    With A = M^-1, B = A F A and one row's V, Woodbury's identity gives the fall of the trace when
    it adds V V^T: tr(V^T B V (I + V^T A V)^-1); and its rise when it takes it back, with the minus
    sign. What each row needs, V^T A V and V^T B V, is [size, size], and follows the picks.

    Parameters
    ----------
    points : float32 [m, d], scaled rows; p : what ``kind`` needs of their probabilities.
    weight : of every row's V V^T.
    m, f : M and F, [size d, size d].
    """

    def __init__(
        self, kind: Kind, points: NDArray[Any], p: Array, weight: float, m: Array, f: Array
    ) -> None:
        self.kind, self.points, self.p, self.weight = kind, points, p, weight
        with one_blas_thread():  # which rounds by the number of its threads
            a = np.linalg.inv(m)
        self.a = np.asfortranarray((a + a.T) / 2)
        b = _product(self.a, _product(f, self.a))
        self.b = np.asfortranarray((b + b.T) / 2)
        self._look()

    def only(self, places: Rows) -> Traces:
        """The same for some of the rows alone, in double precision.

        V^T A V of a row that has been added is near the identity where ``lam`` is small, and what
        it lacks, which decides who is taken back, would be lost in single precision.
        """
        some = copy(self)
        some.points, some.p = self.points[places].astype(np.float64), self.p[places]
        some._look()
        return some

    def falls(self) -> Values:
        """By how much the trace falls when a row is added, [m]."""

        def block(start: int, stop: int) -> Values:
            own = self.own_a[start:stop] + np.eye(self.kind.size)
            solved = np.linalg.solve(own, self.own_b[start:stop])
            return np.asarray(np.trace(solved, axis1=1, axis2=2))

        return np.concatenate(list(map_blocks(block, len(self.points), TRACED)))

    def rises(self) -> Values:
        """By how much the trace rises when a row is taken back, [m]."""
        with one_blas_thread():
            solved = np.linalg.solve(np.eye(self.kind.size) - self.own_a, self.own_b)
        return np.asarray(np.trace(solved, axis1=1, axis2=2))

    def change(self, place: int, *, back: bool = False) -> None:
        """Let the row at ``place`` add its V V^T, or take it back."""
        size, width = self.kind.size, self.points.shape[1]
        v = self._v(place)
        with one_blas_thread():
            w, z = self.a @ v, self.b @ v
            grown = v.T @ w + (-1 if back else 1) * np.eye(size)
            k, g = np.linalg.inv(grown), v.T @ z
            wk = w @ k
            c = z - wk @ g / 2  # then B changes by - W K c^T - c K W^T
            dgemm(-1, wk, w, beta=1, c=self.a, trans_b=True, overwrite_c=True)
            left, right = np.hstack([wk, c]), np.hstack([c, wk])
            dgemm(-1, left, right, beta=1, c=self.b, trans_b=True, overwrite_c=True)
        both: NDArray[Any] = np.concatenate([w, z], axis=1).reshape(size, width, 2 * size)
        both = both.transpose(1, 0, 2).reshape(width, -1).astype(self.points.dtype)

        def block(start: int, stop: int) -> None:
            raw = (self.points[start:stop] @ both).reshape(-1, size, 2 * size)
            seen = self._projected(self.p[start:stop], raw)
            a, b = seen[:, :, :size], seen[:, :, size:]
            ak = a @ k
            self.own_a[start:stop] -= ak @ a.transpose(0, 2, 1)
            change = ak @ (b - ak @ g / 2).transpose(0, 2, 1)
            self.own_b[start:stop] -= change + change.transpose(0, 2, 1)

        for _ in map_blocks(block, len(self.points), TRACED):
            pass

    def _projected(self, p: Array, seen: NDArray[Any]) -> Array:
        """V^T of what the rows have seen, with their weight."""
        return np.asarray(self.kind.project(p, seen.astype(np.float64)) * np.sqrt(self.weight))

    def _v(self, place: int) -> Array:
        """V of a row with its weight, [size d, size]."""
        size = self.kind.size
        s = self._projected(self.p[place : place + 1], np.eye(size)[None])[0].T
        point = self.points[place].astype(np.float64)
        return np.asarray((s[:, None, :] * point[None, :, None]).reshape(-1, size))

    def _look(self) -> None:
        """Compute V^T A V and V^T B V of every row anew, in the precision of the points."""
        size = self.kind.size
        self.own_a = np.empty((len(self.points), size, size))
        self.own_b = np.empty((len(self.points), size, size))
        for matrix, own in ((self.a, self.own_a), (self.b, self.own_b)):
            self._fill(own, matrix.astype(self.points.dtype, order="C"))

    def _fill(self, own: Array, matrix: NDArray[Any]) -> None:
        """V^T ``matrix`` V of every row, into ``own``."""
        size, width = self.kind.size, self.points.shape[1]
        parts = matrix.reshape(size, width, size, width)

        def block(start: int, stop: int) -> None:
            points = self.points[start:stop]
            seen = np.empty((len(points), size, size))
            for c in range(size):
                right = parts[c, :, c:].reshape(width, -1)
                products = (points @ right).reshape(len(points), size - c, width)
                seen[:, c, c:] = np.einsum("mkj,mj->mk", products, points)
                seen[:, c:, c] = seen[:, c, c:]
            p = self.p[start:stop]
            half = self._projected(p, seen)
            own[start:stop] = self._projected(p, half.transpose(0, 2, 1))

        for _ in map_blocks(block, len(self.points), TRACED):
            pass


def _product(left: Array, right: Array) -> Array:
    """``left @ right`` on all cores, the same on any number of them."""
    parts = map_blocks(lambda start, stop: left[start:stop] @ right, len(left), PRODUCT)
    return np.concatenate(list(parts))
