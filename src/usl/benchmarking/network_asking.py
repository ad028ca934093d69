"""A strategy that asks through a network, which is trained on the pictures anew in every round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from usl.benchmarking.asking import Respondent, Rows, in_columns, round_seed
from usl.benchmarking.entries import Asking, Entry
from usl.benchmarking.network_learners import options_of
from usl.benchmarking.pools import Draw, Pool
from usl.core.progress import silent
from usl.selection.select import select


def network_picks(
    entry: Entry,
    how: Asking,
    sizes: Sequence[int],
    answers: Respondent,
    draw: Draw,
    pool: Pool,
    folder: Path,
) -> tuple[Rows, float]:
    """As :meth:`usl.benchmarking.asking.Respondent.picks`, of a network on the draw's pictures.

    A round with labels of one class alone is drawn at random. ``folder`` holds the checkpoints of
    each round, from which a training that was stopped goes on.
    """
    from usl.active.network import query_network
    from usl.learning.loop_options import CHECKPOINT
    from usl.training.train_network import Examples, Place

    images, truth = pool.pictures(draw)[0], draw.train_truth
    labeled, seconds = answers.start(how.start, sizes[0])
    previous = None
    for number, batch in enumerate(sizes[1:], 1):
        found, numbers = np.unique(truth[labeled], return_inverse=True)
        seed, began = round_seed(answers.seed, number), time.process_time()
        if len(found) < 2:
            new = select(draw.train, batch, method="random", labeled=labeled, seed=seed).indices
        else:
            classes = np.full(len(truth), -1)
            classes[labeled] = numbers
            place = folder / f"round-{number}"
            asked = query_network(
                Examples(images.images, images.ids, classes, np.ones(len(truth)), images.source),
                batch,
                class_names=[str(name) for name in range(len(found))],
                place=Place(place, place / "network.safetensors", lambda: None),
                method=entry.method,
                task=how.model.method,
                previous=None if previous is None else in_columns(*previous, found),
                seed=seed,
                params=entry.params,
                resume=(place / CHECKPOINT).is_file(),
                progress=silent,
                **options_of(how.model, pool),
            )
            new, previous = asked.query.indices, (asked.predictions, found)
        labeled = np.concatenate([labeled, new])
        seconds += time.process_time() - began
    return labeled, seconds
