"""Memory and seconds of learning USL-T's clusters."""

from __future__ import annotations

from usl.numeric.blocks import thread_count
from usl.selection.methods.usl_t.calibration import CALIBRATION_ROWS
from usl.selection.methods.usl_t.step import PARTS, Training
from usl.selection.shared.memory import Size, in_blocks
from usl.selection.shared.seconds import nearest_seconds

# 1,500 steps of USL-T: at any rate; of a cluster and dimension; the losses are as many dimensions.
TRAINING, TRAINING_PAIR, TRAINING_WIDTH = 0.9, 7.5e-5, 150


def learning_bytes(n: int, d: int, clusters: int, k: int, training: Training | None = None) -> int:
    """USL-T's clusters of n items with k neighbours: its scale, its batches, its assignment."""
    training = training or Training()
    sample, batch, heads = min(n, CALIBRATION_ROWS), training.batch_size, training.heads
    scale = 0
    if training.scale is None:
        scale = 4 * sample * (d + 4) + 3 * 4 * min(n, 4096) * clusters
        scale += Size(sample, d, clusters, clusters, k).partition(clusters)
    steps = (7 + 3 * heads) * 4 * clusters * d + batch * (2 * 4 * d + 12 * 4 * clusters)
    assignment = heads * in_blocks(16 * clusters + 4 * d, n) + 3 * heads * 4 * clusters * d
    return 8 * k * n + 16 * n + max(scale, steps, assignment)


def training_seconds(n: int, d: int, clusters: int, training: Training | None = None) -> float:
    """USL-T's clusters of n items of width d: the training of its heads, and the assignment."""
    training = training or Training()
    batch = training.batch_size / Training().batch_size
    step = TRAINING + TRAINING_PAIR * batch * clusters * (d + TRAINING_WIDTH)
    alone: float = (PARTS / min(PARTS, thread_count())) ** 0.4  # parts wait for each other
    steps = step * training.steps / Training().steps * alone
    return training.heads * (steps + nearest_seconds(n, clusters, d + TRAINING_WIDTH))
