"""USL-T end to end: clusters learned on frozen features first, then encoder and clusters together.

The paper's own training (2.3). It needs images, and torch.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from usl.core.errors import UsageError
from usl.core.progress import Progress
from usl.numeric.arrays import Rows
from usl.numeric.table import Table, as_table
from usl.selection.methods.usl_t.heads import Learned, assign, train_heads
from usl.selection.methods.usl_t.network import Trainable, train_network
from usl.selection.methods.usl_t.step import Training


def learn_end_to_end(
    table: Table,
    neighbors: Rows,
    n_clusters: int,
    training: Training,
    trainable: Trainable | None,
    *,
    preset: str,
    epochs: int,
    lr: float,
    seed: int,
    progress: Progress,
) -> tuple[Learned, Any]:
    """As :func:`usl.selection.methods.usl_t.heads.learn`, and the trained backbone.

    Raises
    ------
    UsageError
        without anything to train.
    """
    if trainable is None:
        raise UsageError(
            "end_to_end: needs images and an encoder to train; these are features alone. Use "
            "`usl select SOURCE --method usl_t --end-to-end`, or pass trainable."
        )
    heads, history = train_heads(
        table, neighbors, n_clusters, training, seed=seed, progress=progress
    )
    points, heads, later, backbone = train_network(
        neighbors,
        heads,
        training,
        trainable,
        epochs=epochs,
        batch_size=training.network_batch,
        lr=lr,
        seed=seed,
        settings={"n_clusters": n_clusters, "preset": preset, **asdict(training)},
        progress=progress,
    )
    history += [
        {"head": 0, **record, "step": training.steps + record["step"], "network": True}
        for record in later
    ]
    return Learned(*assign(heads, as_table(points), progress), history), backbone
