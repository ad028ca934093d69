"""USL-T end to end: encoder and clusters trained together (the paper's own training, 2.3).

The clusters are learned on the frozen features first, unless the preset begins at random. It needs
images, and torch.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from usl.core.errors import UsageError
from usl.core.progress import Progress
from usl.numeric.arrays import Rows
from usl.numeric.table import Table, as_table
from usl.selection.methods.usl_t.heads import Learned, assign, train_heads
from usl.selection.methods.usl_t.network import Trainable, train_network
from usl.selection.methods.usl_t.step import Head, Training, linear_head
from usl.selection.methods.usl_t.together import Network


def learn_end_to_end(
    table: Table,
    neighbors: Rows,
    n_clusters: int,
    training: Training,
    trainable: Trainable | None,
    network: Network,
    *,
    preset: str,
    seed: int,
    progress: Progress,
) -> tuple[Learned, Any]:
    """As :func:`usl.selection.methods.usl_t.heads.learn`, and the trained backbone.

    Raises
    ------
    UsageError
        without anything to train, or with features that are not the backbone's.
    """
    if trainable is None:
        raise UsageError(
            "end_to_end: needs images and an encoder to train; these are features alone. Use "
            "`usl select SOURCE --method usl_t --end-to-end`, or pass trainable."
        )
    backbone = trainable.backbone()
    history: list[dict[str, Any]] = []
    done = 0
    if network.heads_first:
        check_fits(table.shape[1], backbone.dim, trainable)
        heads, history = train_heads(
            table, neighbors, n_clusters, training, seed=seed, progress=progress
        )
        done = training.steps
    else:
        heads = random_heads(backbone.dim, n_clusters, training, seed)
    points, heads, later = train_network(
        neighbors,
        heads,
        training,
        trainable,
        backbone,
        network,
        seed=seed,
        settings={
            "n_clusters": n_clusters,
            "preset": preset,
            **asdict(training),
            **network.record(),
        },
        progress=progress,
    )
    history += [
        {"head": 0, **record, "step": done + record["step"], "network": True} for record in later
    ]
    return Learned(*assign(heads, as_table(points), progress, training.votes), history), backbone


def random_heads(width: int, n_clusters: int, training: Training, seed: int) -> list[Head]:
    """Linear layers over ``width`` features of the backbone, one random draw each."""
    draws = [np.random.default_rng([seed, number]) for number in range(training.heads)]
    return [linear_head(width, n_clusters, training, rng) for rng in draws]


def check_fits(width: int, dim: int, trainable: Trainable) -> None:
    """Refuse points that are not made of the features of the network that is trained."""
    fitted = [getattr(trainable, name) for name in ("mean", "deviation")]
    widths = [len(array) for array in fitted if array is not None]
    if trainable.components is not None:
        widths.append(trainable.components.shape[1])
    if (widths or [width])[0] != dim:
        raise UsageError(
            f"end_to_end: the network that is trained has {dim} features, the selection's space is "
            f"made of {(widths or [width])[0]}: those of its head, which is not trained. Use the "
            "encoder's trunk (--layer trunk), or the preset released, whose clusters see the trunk."
        )
