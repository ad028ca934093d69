"""Fitted on the train subset, applied to everything: centre, scale, project, unit length.

The fit is stored in the run folder, so that later images land in the same space.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import atomic_write
from usl.core.hashing import array_digest, json_digest
from usl.core.npz import read_npz
from usl.core.progress import Progress, silent
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.lazy_table import LazyTable, lazy_or_array
from usl.numeric.moments import Moments
from usl.numeric.pca import (
    Float64,
    affine,
    check_finite,
    check_rows,
    mean_and_constant,
    principal_directions,
    principal_directions_of_few,
    second_moments,
    variance,
)
from usl.numeric.workspace import Workspace

FORMAT = 1  # of the .npz file
ARRAYS = ("mean", "deviation", "components")
ZERO_LENGTH = 1e-10  # relative; float64 rounding leaves below 1e-13, float32 data differ by 1e-7


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """x -> (x - mean) / deviation, projected on the components, divided by its length.

    The unit length is always last: neighbours and clusters live on the unit sphere (the paper,
    section 3.1). A row that is zero by then (one equal to the mean, say) has no direction and
    stays zero.

    Attributes
    ----------
    width : d, dimensions of the raw rows.
    mean : float64 [d] to subtract, or None.
    deviation : float64 [d] to divide by, or None; 1 where a dimension never varied.
    components : float64 [p, d], orthonormal principal directions, or None.
    unit : scale to unit length; False for the features under a trained network's own classifier,
        whose length means something.
    """

    width: int
    mean: Float64 | None = None
    deviation: Float64 | None = None
    components: Float64 | None = None
    unit: bool = True

    def __post_init__(self) -> None:
        """Check that the arrays agree."""
        for name, shape in (("mean", (self.width,)), ("deviation", (self.width,))):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise DataError(f"preprocessing: {name} is {list(array.shape)}, not {list(shape)}.")
        parts = self.components
        if parts is not None and (parts.ndim != 2 or parts.shape[1] != self.width):
            raise DataError(
                f"preprocessing: components are {list(parts.shape)}, not [p, {self.width}]."
            )

    @property
    def dimensions(self) -> int:
        """Dimensions p of the transformed rows."""
        return self.width if self.components is None else len(self.components)

    @property
    def digest(self) -> str:
        """Content hash: equal digests transform alike."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        found = {name: a if a is None else array_digest(a) for name, a in arrays.items()}
        found |= {} if self.unit else {"unit": "no"}
        return json_digest({"format": FORMAT, "width": self.width, **found})

    @classmethod
    def fit(
        cls, rows: ArrayLike | LazyTable, *, center: bool, standardize: bool, pca: int | None = None
    ) -> Preprocessing:
        """Fit on ``rows`` [n, d] of the train subset: uint8, any float, a memmap or lazy table too.

        Parameters
        ----------
        center : subtract the mean.
        standardize : divide by the population standard deviation; a dimension that never varies is
            left as it is.
        pca : project on this many leading eigenvectors of the covariance (of the uncentred
            second moments if not ``center``), or None. Clamped, with a warning, to n and d.
            Directions without any variance are left out.

        Raises
        ------
        DataError
            no row, no table, or a row with NaN or infinity (named).
        UsageError
            ``pca`` below 1.
        """
        table = lazy_or_array(rows)
        check_rows(table)
        n, width = table.shape
        if n == 0:
            raise DataError("preprocessing: no row to fit on; is the train subset empty?")
        if pca is not None:
            pca = clamped(pca, n, width)
        mean, constant = mean_and_constant(table)  # also finds NaN, whatever is asked for
        offset = mean if center else None
        deviation = _deviation(variance(table, mean), constant) if standardize else None
        components = None
        if pca is not None:
            if n < width:
                points = affine(np.asarray(table, dtype=np.float64), offset, deviation)
                components = principal_directions_of_few(points, pca)
            else:
                components = principal_directions(second_moments(table, offset, deviation), pca)
        return cls(width, offset, deviation, components)

    @classmethod
    def of_moments(
        cls, known: Moments, *, center: bool, standardize: bool, pca: int | None = None
    ) -> Preprocessing:
        """As :meth:`fit`, from the moments of the rows: of all products, where ``pca`` is given.

        ``pca`` : at most d.
        """
        offset = known.mean if center else None
        deviation = _deviation(known.variance, known.constant) if standardize else None
        components = None
        if pca is not None:
            moments = known.scatter / known.count
            if not center:
                moments = moments + np.outer(known.mean, known.mean)
            if deviation is not None:
                moments = moments / deviation / deviation[:, None]
            components = principal_directions(moments, pca)
        return cls(len(known.mean), offset, deviation, components)

    def transform(
        self,
        rows: ArrayLike | LazyTable,
        workspace: Workspace | None = None,
        *,
        progress: Progress = silent,
    ) -> NDArray[np.float32]:
        """Bring ``rows`` [n, d] into the fitted space: float32 [n, p], of unit length or zero.

        Works in float64 over fixed blocks, and rounds once. The result is a table of the
        workspace, if one is given.

        Raises
        ------
        DataError
            another width than fitted, or a row with NaN or infinity (named).
        """
        table = lazy_or_array(rows)
        check_rows(table, self.width)
        shape = (len(table), self.dimensions)
        result = (workspace or Workspace()).empty(shape, np.float32)

        def one_block(start: int, stop: int) -> None:
            result[start:stop] = self._transform(table[start:stop], start)

        size = rows_per_block(3 * 8 * self.width)
        for _ in map_blocks(one_block, len(table), size, progress=progress, label="features"):
            pass
        return result

    def lengths(
        self, rows: ArrayLike | LazyTable, *, progress: Progress = silent
    ) -> NDArray[np.float32]:
        """The length of every row in the fitted space before :meth:`transform` makes it 1: [n].

        Raises
        ------
        DataError
            as :meth:`transform`.
        """
        table = lazy_or_array(rows)
        check_rows(table, self.width)

        def one_block(start: int, stop: int) -> Float64:
            points, noise = self._points(table[start:stop], start)
            lengths = np.linalg.norm(points, axis=1)
            return np.where(lengths <= ZERO_LENGTH * noise, 0.0, lengths)

        size = rows_per_block(3 * 8 * self.width)
        blocks = map_blocks(one_block, len(table), size, progress=progress, label="lengths")
        return np.concatenate(list(blocks)).astype(np.float32)

    def _transform(self, rows: NDArray[Any], start: int) -> Float64:
        points, noise = self._points(rows, start)
        if not self.unit:
            return points
        lengths = np.linalg.norm(points, axis=1)
        nothing = lengths <= ZERO_LENGTH * noise
        return np.where(nothing[:, None], 0.0, points / np.where(nothing, 1.0, lengths)[:, None])

    def _points(self, rows: NDArray[Any], start: int) -> tuple[Float64, Float64]:
        """Rows in the fitted space [b, p], and what their lengths are measured against [b]."""
        block = np.asarray(rows, dtype=np.float64)
        check_finite(block, start)
        points = affine(block, self.mean, self.deviation)
        # what rounding alone may leave of a row that equals the mean, up to ZERO_LENGTH
        noise = np.linalg.norm(points, axis=1)
        if self.mean is not None:
            noise = noise + np.linalg.norm(affine(self.mean, None, self.deviation))
        if self.components is not None:
            points = points @ self.components.T
        return points, noise

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path`` (.npz, no pickle), whole or not at all; equal fits, equal bytes."""
        arrays = {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}
        if not self.unit:
            arrays["unit"] = np.array(False)
        with atomic_write(path) as handle:
            np.savez(handle, format=np.int64(FORMAT), width=np.int64(self.width), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Preprocessing:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            naming ``path``: missing, no such file format, or of a later format.
        """
        try:
            arrays = read_npz(path)
            version, width = int(arrays["format"]), int(arrays["width"])
        except FileNotFoundError as error:
            raise DataError(f"{path} does not exist; it is written when a run starts.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:  # a DataError is a ValueError
            raise DataError(
                f"{path} holds no fitted preprocessing ({error}). Restore the file, or start the "
                "run again."
            ) from error
        if version != FORMAT:
            raise DataError(f"{path} has format {version}; this version of usl reads {FORMAT}.")
        mean, deviation, components = (arrays.get(name) for name in ARRAYS)
        for name in ARRAYS:
            array = arrays.get(name, np.zeros(0))
            if array.dtype.kind != "f" or not np.isfinite(array).all():
                raise DataError(
                    f"{path} holds no fitted preprocessing ({name} is not of finite numbers). "
                    "Restore the file, or start the run again."
                )
        try:
            return cls(width, mean, deviation, components, bool(arrays.get("unit", True)))
        except DataError as error:
            raise DataError(f"{path}: {error} Restore the file.") from error


def _deviation(variance: Float64, constant: NDArray[np.bool_]) -> Float64:
    """What to divide by, float64 [d]."""
    deviation = np.sqrt(variance)
    deviation[constant | (deviation == 0)] = 1.0
    return np.asarray(deviation)


def clamped(pca: int, n: int, width: int) -> int:
    """``pca`` within min(n, d), which is said; :class:`UsageError` below 1."""
    if pca < 1:
        raise UsageError(f"pca: {pca} given; use a number of dimensions of at least 1, or none.")
    if pca > min(n, width):
        warnings.warn(
            f"pca: {pca} dimensions asked for, but {n} rows of {width} dimensions have no more "
            f"than {min(n, width)}; using {min(n, width)}.",
            UslWarning,
            stacklevel=3,
        )
    return min(pca, n, width)
