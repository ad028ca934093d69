"""CoreGCN: greedy k-centre in the hidden layer of a graph network that tells labelled from others.

Caramalau, Bhattarai, Kim: Sequential Graph Convolutional Network for Active Learning (CVPR 2021).
The network is that of UncertainGCN (:mod:`usl.active.shared.graph_network`). Its hidden layer draws
labelled rows, and what is linked with them, away from the others; the row farthest from all
labelled and asked ones is asked, again and again.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.first_batch import first_batch
from usl.active.shared.graph_network import STEPS, GraphNetwork, Linked
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.numeric.arrays import TINY, Float32
from usl.numeric.stage_cache import Keep
from usl.numeric.table import as_table
from usl.selection.shared.farthest_first import farthest_first

NAME = "CoreGCN"
DRAWN = "draws the network's weights and what drops out"


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64] | None,
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    keep: Keep,
    k: Annotated[int, Positive] = 10,
    steps: Annotated[int, Positive] = STEPS,
) -> Query:
    """Ask for the candidate whose hidden layer is the farthest from all others', again and again.

    Neither classes nor predictions count. While nothing is labelled the batch is random, as the
    paper's first one. The figure ``score`` is s, near 1 for what looks labelled to the network.

    Parameters
    ----------
    k : neighbours that an image is linked with; the authors link all.
    steps : of the graph network's training (authors: 200).
    """
    if not len(labeled):
        return first_batch(candidates, budget, seed)
    linked = Linked.of(
        as_table(features),
        budget,
        labeled,
        candidates,
        k=k,
        seed=seed,
        keep=keep,
        progress=progress,
    )
    network = GraphNetwork(linked, seed=seed)
    network.train(steps=steps, progress=progress)
    hidden = network.hidden()
    # A table's rows lie in the unit ball; who is the farthest does not depend on the unit.
    hidden /= max(TINY, float(np.linalg.norm(hidden, axis=1).max()))
    reach = as_table(hidden).farthest(linked.labeled)
    places = farthest_first(reach, [], linked.free, budget, progress)
    return Query(
        linked.rows[places],
        ("far from every label in a network that knows what is labelled",) * budget,
        {"score": network.scores()[places]},
        {"k": k, "steps": steps, "linked": len(linked.rows)},
    )
