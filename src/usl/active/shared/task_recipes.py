"""Settings that several tasks of strategies have in common."""

from __future__ import annotations

from dataclasses import replace

from usl.learning.optim import Optimizer
from usl.learning.recipe import Recipe
from usl.training.networks.fixmatch import RECIPES as FIXMATCH

CPU = replace(FIXMATCH["cpu"], batch_size=32, ratio=0)
# LLAL's section 4.1 and code, which TOD's took over: 200 epochs, batches of 128, rate 0.1, times
# 0.1 after 160; all weights decay. 7,500 labels, as in the tables that quote them, are 59 batches.
PUBLISHED = Recipe(
    Optimizer(
        "sgd", lr=0.1, weight_decay=5e-4, decay_all=True, schedule="steps", milestones=(160 / 200,)
    ),
    batch_size=128,
    steps=200 * 59,
    network="resnet18",
)


def with_others(recipe: Recipe) -> Recipe:
    """The same with a stream of unlabelled images alone, as large as that of the labelled ones."""
    return replace(recipe, ratio=1, labeled_in_unlabeled=False)
