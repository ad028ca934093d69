"""UncertainGCN: the rows of which a graph network is unsure whether they are labelled.

Caramalau, Bhattarai, Kim: Sequential Graph Convolutional Network for Active Learning (CVPR 2021).
The network of :mod:`usl.active.shared.graph_network` learns s, near 1 for labelled rows and near 0
for others; asked are the rows whose s is nearest to a small margin.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.first_batch import first_batch
from usl.active.shared.graph_network import STEPS, GraphNetwork, Linked
from usl.core.parameters import Between, Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32
from usl.numeric.stage_cache import Keep
from usl.numeric.table import as_table

NAME = "UncertainGCN"
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
    margin: Annotated[float, Between(0, 1)] = 0.1,
    k: Annotated[int, Positive] = 10,
    steps: Annotated[int, Positive] = STEPS,
) -> Query:
    """Ask for the rows of the smallest |s - margin|, of equal ones the lower row first.

    Neither classes nor predictions count. While nothing is labelled the batch is random, as the
    paper's first one. The figure ``score`` is s. The paper's equation asks for the largest
    difference, which with a margin near 0 would be rows that look labelled; this is as in the
    authors' code.

    Parameters
    ----------
    margin : score that is worth asking for; what is labelled has 1, the rest 0 (authors: 0.1).
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
    scores = network.scores()[linked.free]
    taken = np.argsort(np.abs(scores - margin), kind="stable")[:budget]
    return Query(
        linked.rows[linked.free[taken]],
        ("hard to tell from what is labelled",) * budget,
        {"score": scores[taken]},
        {"margin": margin, "k": k, "steps": steps, "linked": len(linked.rows)},
    )
