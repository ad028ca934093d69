"""What ``usl train`` has to do, for the time left. Seconds on two cores with nothing else to do."""

from __future__ import annotations

from types import ModuleType

from usl.core.progress import Stage
from usl.features.stages import HASH
from usl.numeric.blocks import thread_count

READ = 2e-4  # a picture, read for a network
PAIR = 1.5e-9  # two rows of 128 numbers, compared
SPREAD = 2e-6  # an item and a class, while labels spread
LABELLED = 1.5e-5  # an item that gets a label
VIEW = 3e-4  # a picture that goes through a small network, without learning from it
LEARNT = 1.9  # times as long where it learns from it, its changes counted


def frozen_stages(
    module: ModuleType, method: str, n: int, others: int, width: int, classes: int
) -> list[Stage]:
    """A method on frozen features, of n images it learns from and ``others`` to label besides."""
    pair = PAIR * max(width, 32) / 128 * 2 / thread_count()
    learning = Stage(method, SPREAD * n * classes, labels=(method, method.replace("_", "-")))
    writing = Stage("writing", LABELLED * (n + others))
    if not hasattr(module, "prepare"):  # it asks for no neighbours
        return [learning, writing]
    return [
        Stage("neighbours", pair * n * n, kind="neighbours"),
        learning,
        Stage("labels", pair * n * others, kind="neighbours"),
        writing,
    ]


def network_stages(method: str, n: int, steps: int, views: int) -> list[Stage]:
    """Training a network on n pictures with so many views a step, then encoding all of them."""
    return [
        Stage("reading", READ * n),
        Stage(method, LEARNT * VIEW * views * steps, kind="network"),
        Stage("hash", HASH * n, kind="hash"),
        Stage("images", VIEW * n, kind="network"),
    ]
