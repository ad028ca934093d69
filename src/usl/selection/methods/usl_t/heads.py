"""Train the clusters of USL-T on frozen features: L = L_global + lambda L_local (Eq. 15).

A head is C cluster weights over the features. Features are fixed, so heads do not influence each
other; several are several opinions about the same items.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import TrainingFailedError
from usl.core.progress import Progress
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.blocks import one_blas_thread, rows_per_block, thread_count
from usl.numeric.stage_cache import Keep
from usl.selection.methods.usl_t.lengths import Points
from usl.selection.methods.usl_t.step import (
    PARTS,
    Head,
    Training,
    Votes,
    new_head,
    one_step,
    restart_tail,
)

REPORT_EVERY = 100  # steps
EARLY = 300  # steps, before which uneven clusters mean nothing yet


@dataclass(frozen=True)
class Learned:
    """Clusters int64 [n] and confidences float64 [n], as :func:`assign`, and what was recorded."""

    clusters: Rows
    confidence: Values
    history: list[dict[str, Any]]


def learn(
    table: Points,
    neighbors: Rows,
    n_clusters: int,
    training: Training,
    *,
    seed: int,
    keep: Keep,
    progress: Progress,
    rows: Rows | None = None,
    lengths: Float32 | None = None,
) -> Learned:
    """Train heads and assign all items: a stage to keep. Arguments as of :func:`train_heads`.

    ``rows`` : which of the table that ``keep`` knows ``table`` holds; None for all. ``lengths`` :
    what ``table`` has stretched them by, if it has.
    """

    def compute() -> dict[str, NDArray[Any]]:
        heads, history = train_heads(
            table, neighbors, n_clusters, training, seed=seed, progress=progress
        )
        clusters, confidence = assign(heads, table, progress, training.votes)
        return {
            "clusters": clusters,
            "confidence": confidence,
            "history": np.array(json.dumps(history)),
        }

    parts: dict[str, Any] = {"neighbors": neighbors, "count": n_clusters, "seed": seed}
    parts |= {} if lengths is None else {"lengths": lengths}
    made = keep.arrays("learned", {**parts, **asdict(training), "rows": rows}, compute)
    return Learned(made["clusters"], made["confidence"], json.loads(str(made["history"])))


def train_heads(
    table: Points,
    neighbors: Rows,
    n_clusters: int,
    training: Training,
    *,
    seed: int,
    progress: Progress,
) -> tuple[list[Head], list[dict[str, Any]]]:
    """Train ``training.heads`` heads; the heads and the recorded figures, one dict per record.

    Parameters
    ----------
    table : float32 [n, d], unit rows; neighbors : int64 [n, k], rows of each row's neighbours.
    training : with its ``scale`` resolved.

    Raises
    ------
    TrainingFailedError : a loss that is not finite, or a head whose clusters collapse.
    """
    history: list[dict[str, Any]] = []
    heads = []
    total = training.heads * training.steps
    late = replace(training, lam=0.0)  # the local loss has started the clusters (paper 6.9)
    early = round(training.local * training.steps)
    threads = ThreadPoolExecutor(PARTS - 1) if thread_count() > 1 else nullcontext()
    with one_blas_thread(), threads as pool:
        for number in range(training.heads):
            rng = np.random.default_rng([seed, number])
            head = new_head(table, n_clusters, training, rng)
            for step in range(1, training.steps + 1):
                items = rng.integers(len(table), size=training.batch_size)
                near = neighbors[items, rng.integers(neighbors.shape[1], size=len(items))]
                settings = training if step <= early else late
                told = step % REPORT_EVERY == 0 or step == training.steps
                figures = one_step(head, table, items, near, settings, pool, told=told)
                restart_tail(head, training, rng, step)
                check_finite(head, number, step, history)
                if told:
                    history.append({"head": number, "step": step, **figures})
                    check_alive(table, head, step, history)
                    progress(number * training.steps + step, total, "usl_t")
            heads.append(head)
    return heads, history


def check_finite(head: Head, number: int, step: int, history: list[dict[str, Any]]) -> None:
    """Stop at the first loss that is NaN or infinite: its gradient has gone into the weights."""
    if not np.isfinite(head.weight).all():
        raise TrainingFailedError(
            f"usl_t: the loss of head {number} is not finite at step {step}. Lower lr or scale.",
            history,
        )


def check_alive(table: Points, head: Head, step: int, history: list[dict[str, Any]]) -> None:
    """Stop when nearly everything has gone into few clusters, though it could be spread out."""
    if step < EARLY or history[-1]["entropy"] >= 0.5 or len(head.sizes) == 1:
        return  # all items in the one cluster there is are no collapse
    distinct = len(np.unique(table.take(), axis=0))  # slow, but only ever asked in trouble
    attainable = np.log(distinct) / np.log(max(2, len(head.sizes)))
    if history[-1]["entropy"] < 0.5 * min(1.0, attainable):
        raise TrainingFailedError(
            f"usl_t: head {history[-1]['head']} has collapsed at step {step}: the entropy of its "
            f"cluster sizes is {history[-1]['entropy']:.2f} of the maximum. Raise alpha (it "
            "spreads clusters), lower lam or scale, or use the method usl.",
            history,
        )


def assign(
    heads: list[Head], table: Points, progress: Progress, votes_of: Votes = "mean"
) -> tuple[Rows, Values]:
    """Cluster of every item by the first head, int64 [n]; confidence by the mean of all, [n].

    With ``votes_of="first"`` the confidence is the first head's, too.
    """
    asked = heads if votes_of == "mean" else heads[:1]

    def votes(points: Float32) -> tuple[Rows, Values]:
        found = [head.probabilities(points) for head in asked]
        confidence = np.stack([probabilities.max(axis=1) for probabilities in found])
        return found[0].argmax(axis=1), np.asarray(confidence.mean(axis=0, dtype=np.float64))

    block = rows_per_block(12 * len(heads[0].weight))
    parts = list(table.map(votes, block=block, progress=progress, label="assignment"))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
