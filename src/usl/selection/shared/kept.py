"""The long stages that methods have in common, each kept once it is done, the same for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.inverted_search import Probing
from usl.numeric.neighbor_graph import kept_nearest as kept_nearest
from usl.numeric.neighbor_search import looks_at_all
from usl.numeric.stage_cache import Keep
from usl.numeric.table import Table
from usl.numeric.torch_permutation import first_of_randperm


def kept_partition(
    table: Table,
    count: int,
    *,
    seed: int,
    iterations: int,
    progress: Progress,
    keep: Keep,
    exact: bool | None = None,
    torch_start: bool = False,
) -> Rows:
    """A k-means partition into ``count`` clusters, int64 [n].

    ``torch_start`` : from the rows that torch would draw from the seed, equal ones too.
    """

    def compute() -> dict[str, NDArray[np.int32]]:
        rng = np.random.default_rng(seed)
        how: dict[str, Any] = {"iterations": iterations, "exact": exact, "progress": progress}
        if torch_start:
            how["start"] = table.take(first_of_randperm(len(table), count, seed))
        return {"clusters": table.kmeans(count, rng=rng, **how).clusters}

    parts: dict[str, Any] = {"count": int(count), "seed": int(seed)}
    parts |= {"iterations": iterations, "exact": exact}
    if torch_start:
        parts["torch_start"] = True
    return keep.arrays("partition", parts, compute)["clusters"].astype(np.int64)


def kept_mean_distance(
    table: Table | _Both,
    k: int,
    *,
    keep: Keep,
    rows: Rows | None = None,
    exact: bool | None = None,
    clusters: Rows | None = None,
    squared: bool = False,
    count_self: bool = False,
    progress: Progress,
) -> tuple[Values, Probing | None]:
    """:meth:`usl.numeric.table.Table.mean_distance`.

    ``rows`` : which of the table that ``keep`` knows ``table`` holds; None for all.
    """
    convention = {"squared": squared, "count_self": count_self}

    def compute() -> dict[str, Values]:
        mean, probing = table.mean_distance(
            k, exact=exact, clusters=clusters, progress=progress, **convention
        )
        how = [] if probing is None else [probing.probes, probing.recall]
        return {"mean": mean, "probing": np.array(how, dtype=np.float64)}

    everything = looks_at_all(len(table), k, exact)  # then any partition will do
    parts = {"k": k, **convention, "lists": None if everything else clusters, "all": everything}
    found = keep.arrays("density", {**parts, "rows": rows}, compute)
    how = found["probing"].tolist()
    return found["mean"], Probing(int(how[0]), how[1]) if how else None


def kept_neighborhood(
    table: Table,
    k: int,
    wide: int,
    *,
    squared: bool = False,
    keep: Keep,
    rows: Rows | None = None,
    progress: Progress,
) -> tuple[Rows, Float32, Values]:
    """:func:`kept_nearest` of ``k`` and :func:`kept_mean_distance` of ``wide``, in one search.

    The stages are theirs, so that what one of them has found is not sought again.
    """
    how: dict[str, Any] = {"keep": keep, "rows": rows, "progress": progress}
    both = _Both(table, wide, squared)
    near, distances = kept_nearest(both, k, **how)
    mean, _ = kept_mean_distance(both, wide, squared=squared, **how)
    return near, distances, mean


@dataclass
class _Both:
    """A table whose search of neighbours finds mean distances, too, before they are asked for."""

    table: Table
    wide: int
    squared: bool
    mean: tuple[Values, Probing | None] | None = None

    def __len__(self) -> int:
        return len(self.table)

    def nearest(self, k: int, *, progress: Progress) -> tuple[Rows, Float32]:
        how: dict[str, Any] = {"squared": self.squared, "progress": progress}
        near, self.mean = self.table.neighborhood(k, self.wide, **how)
        return near

    def mean_distance(self, k: int, **how: Any) -> tuple[Values, Probing | None]:
        return self.table.mean_distance(k, **how) if self.mean is None else self.mean
