"""Networks as learners: trained on the pictures of a draw with the labels of the picks.

What comes out is what ``usl train`` leaves, an encoder and a linear model on its features, and what
is told of the pictures is what ``usl evaluate`` would see.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.tasks import KINDS
from usl.benchmarking.entries import Entry
from usl.benchmarking.pools import Draw, Pool
from usl.core.methods import find_method
from usl.core.progress import silent
from usl.data.collection import Collection
from usl.evaluation.compare import Guess, guess_by
from usl.training.contract import NETWORKS
from usl.training.stages import network_stages

Probabilities = NDArray[np.float64]
CORES = 2  # that seconds of stages are told for; a unit has one


def network_guess(
    picks: NDArray[np.int64], draw: Draw, pool: Pool, learner: Entry, seed: int, folder: Path
) -> Guess:
    """Train a network on one set of picks, labelled from the truth, and predict all pictures.

    ``folder`` holds the checkpoints, from which a training that was stopped goes on.
    """

    def predict(classes: NDArray[np.int64]) -> tuple[Probabilities, Probabilities]:
        given = options_of(learner, pool)
        return _predictions(classes, pool.pictures(draw), learner.method, given, seed, folder)

    return guess_by(picks, draw, predict)


def training_seconds(learner: Entry, n: int) -> float:
    """What a training on n pictures may take on one core; it matters how trainings compare."""
    from usl.learning.recipe import recipe_of

    given = learner.params
    module = find_method(KINDS, learner.method)[1]
    recipe = recipe_of(module, learner.method, given.get("preset", "cpu"))
    views = given.get("batch_size", recipe.batch_size) * (1 + 2 * given.get("ratio", recipe.ratio))
    stages = network_stages(learner.method, n, given.get("steps", recipe.steps), views)
    return CORES * sum(stage.seconds or 0.0 for stage in stages)


def options_of(network: Entry, pool: Pool) -> dict[str, Any]:
    """The options of a network's training, an encoder of the plan's own by its folder."""
    if network.begins is None:
        return dict(network.params)
    return {**network.params, "start": str(pool.trained[network.begins.name])}


def _predictions(
    classes: NDArray[np.int64],
    pictures: tuple[Collection, Collection],
    method: str,
    given: Mapping[str, Any],
    seed: int,
    folder: Path,
) -> tuple[Probabilities, Probabilities]:
    """Class probabilities of the train and of the test pictures, float64 [n, C] and [q, C]."""
    from usl.features.embed import embed
    from usl.learning.loop_options import CHECKPOINT
    from usl.training.train_network import Examples, Place, train_network

    train = pictures[0]
    assert train.images is not None
    examples = Examples(train.images, train.ids, classes, np.ones(len(classes)), train.source)
    names = [str(number) for number in range(int(classes.max()) + 1)]
    done = train_network(
        NETWORKS.load(method),
        method,
        examples,
        names,
        Place(folder, folder / "network.safetensors", lambda: None),
        seed=seed,
        resume=(folder / CHECKPOINT).is_file(),
        progress=silent,
        **given,
    )
    own, other = (
        embed(part, str(done.encoder), cache=False, on_corrupt="fail").rows for part in pictures
    )
    said = done.model.probabilities
    return said(np.asarray(own, np.float32)), said(np.asarray(other, np.float32))
