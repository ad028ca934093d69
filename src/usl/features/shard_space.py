"""Shards of features in the space that one machine selects in: fitted on all rows, once.

``space`` in the store of the table holds the fit. Tasks read it there, with every shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from usl.core.hashing import json_digest
from usl.data.embedded_features import is_record
from usl.engine.shard_moments import moments_of
from usl.engine.shard_table import ShardTable
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.features.embed import given_encoder
from usl.features.preprocessing import ARRAYS, Preprocessing, clamped
from usl.features.space import fit_settings
from usl.numeric.arrays import Float32

SPACE = "space"


@dataclass(frozen=True)
class FittedShards(Shards):
    """The rows of ``whole`` as points of a fitted space; nothing is copied.

    ``kept`` : the store that holds the fit.
    """

    whole: Shards
    kept: Store

    @classmethod
    def of(cls, whole: Shards, kept: Store, space: Preprocessing) -> Self:
        """``space`` is the fit that ``kept`` holds."""
        return cls(whole.store, space.dimensions, whole.parts, whole.encoder, whole, kept)

    @property
    def digest(self) -> str:
        """A hash of the record of the whole, and of the space."""
        return json_digest([self.whole.digest, read_space(self.kept, self.whole.width).digest])

    def read(self, number: int) -> Float32:
        """The points of a shard, of unit length: float32 [rows, width]. See :meth:`Shards.read`."""
        return read_space(self.kept, self.whole.width).transform(self.whole.read(number))

    def lengths(self, number: int) -> Float32:
        """The lengths of the points before they were scaled. See :meth:`Shards.lengths`."""
        return read_space(self.kept, self.whole.width).lengths(self.whole.read(number))


def in_space(table: ShardTable, settings: Mapping[str, Any]) -> tuple[ShardTable, Preprocessing]:
    """The same rows as points of the space of their encoder, and what brings rows there.

    As :func:`usl.features.space.open_space`: fitted on all rows, with the encoder's defaults
    changed by ``settings`` (center, standardize, pca). Rows that only need unit length are not
    looked at, and stay as they are stored.

    Raises :class:`UsageError` for a ``pca`` below 1.
    """
    shards, store = table.shards, table.store
    made_by = shards.encoder if is_record(shards.encoder, shards.width) else None
    chosen = fit_settings(given_encoder(made_by, shards.width), settings)
    if chosen["pca"] is not None:
        chosen["pca"] = clamped(chosen["pca"], len(shards), shards.width)
    if not any(chosen.values()):
        return table, Preprocessing(shards.width)
    if not store.has(SPACE):
        known = moments_of(table, products=chosen["pca"] is not None)
        fitted = Preprocessing.of_moments(known, **chosen)
        arrays = {name: getattr(fitted, name) for name in ARRAYS}
        store.save(SPACE, **{name: array for name, array in arrays.items() if array is not None})
    space = read_space(store, shards.width)
    return replace(table, shards=FittedShards.of(shards, store, space)), space


def read_space(store: Store, width: int) -> Preprocessing:
    """The fit that a store holds, for rows of ``width``."""
    known: dict[str, Any] = store.load(SPACE)
    return Preprocessing(width, **known)
