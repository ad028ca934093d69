"""The long stages that methods have in common, each kept once it is done, the same for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress
from usl.numeric.arrays import Rows, Values
from usl.numeric.inverted_search import Probing
from usl.numeric.neighbor_graph import kept_nearest as kept_nearest
from usl.numeric.neighbor_search import looks_at_all
from usl.numeric.stage_cache import Keep
from usl.numeric.table import Table


def kept_partition(
    table: Table,
    count: int,
    *,
    seed: int,
    iterations: int,
    progress: Progress,
    keep: Keep,
    exact: bool | None = None,
) -> Rows:
    """A k-means partition into ``count`` clusters, int64 [n]."""

    def compute() -> dict[str, NDArray[np.int32]]:
        rng = np.random.default_rng(seed)
        found = table.kmeans(count, rng=rng, iterations=iterations, exact=exact, progress=progress)
        return {"clusters": found.clusters}

    parts = {"count": int(count), "seed": int(seed), "iterations": iterations, "exact": exact}
    return keep.arrays("partition", parts, compute)["clusters"].astype(np.int64)


def kept_mean_distance(
    table: Table,
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
