"""Two steps after each other on a cluster: workers prepare, an actor per GPU or core works.

Ray Data moves the pieces, and keeps no more of them in the object store than it has room for.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from usl.core.errors import UslError
from usl.core.version import __version__
from usl.engine.cluster import Cluster, check_led_by
from usl.engine.executor import reporting

MOST_BLOCKS = 4096  # that Ray Data plans; more pieces than that share a block
TOLD = UslError, OSError, MemoryError  # what a step raises and the caller gets, as it is
NO_GPU = {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}  # for those who only prepare


def stream(
    cluster: Cluster,
    items: Sequence[Any],
    prepare: Callable[[Any], Any],
    make: Callable[[], Callable[[Any], Any]],
    *,
    label: str,
) -> Iterator[Any]:
    """``make()(prepare(item))`` of each item, in the order in which they are done.

    Parameters
    ----------
    items : small values, pickled.
    prepare : runs on any core, and hands on through the object store; without GPUs in the actors.
    make : called once in each actor, of which there is one per GPU, or per core without GPUs. What
        it makes gives small values.
    label : of errors.

    A worker or host that is lost costs the pieces in its hands, which are made again. What a step
    raises of ``TOLD`` is raised here.
    """
    import ray.data

    gpus = int(cluster.ray.cluster_resources().get("GPU", 0))
    # Steps that need the same are one to Ray Data: on cores, an actor prepares and works.
    first: dict[str, Any] = {"num_cpus": 1, **({"runtime_env": NO_GPU} if gpus else {})}
    second: dict[str, Any] = {"num_cpus": 0, "num_gpus": 1} if gpus else {"num_cpus": 1}
    most = min(gpus or cluster.cores, len(items))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most)
    rows = [{"piece": pickle.dumps(item)} for item in items]
    blocks = min(len(rows), MOST_BLOCKS)
    with _quiet(ray.data), reporting(cluster, label):
        plan: Any = ray.data.from_items(rows, override_num_blocks=blocks)
        plan = plan.map(Step(prepare), **first).map(
            Actor, fn_constructor_args=(make, __version__), compute=pool, **second
        )
        for row in plan.iter_rows():
            result = pickle.loads(row["piece"])
            if isinstance(result, TOLD):
                raise result
            yield result


class Step:
    """A function of pieces, as rows of Ray Data carry them; what it raises travels as a result.

    Ray Data would put a page of its own words around it.
    """

    def __init__(self, function: Callable[[Any], Any], version: str = __version__) -> None:
        self.function, self.version = function, version

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Apply it to one row."""
        given = pickle.loads(row["piece"])
        try:
            check_led_by(self.version)
            made = given if isinstance(given, TOLD) else self.function(given)
        except TOLD as error:
            made = error
        return {"piece": pickle.dumps(made, protocol=5)}


class Actor(Step):
    """A step whose function is made once in each process."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], version: str) -> None:
        try:
            super().__init__(make(), version)
        except TOLD as error:
            super().__init__(_Raises(error), version)


class _Raises:
    """Raises an error at every call."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, given: Any) -> Any:
        raise self.error


@contextmanager
def _quiet(data: Any) -> Iterator[None]:
    """Within, Ray Data prints neither its plan nor bars of its own."""
    import logging

    context = data.DataContext.get_current()
    names = ("enable_progress_bars", "print_on_execution_start")
    before = {name: getattr(context, name, None) for name in names}
    logger = logging.getLogger("ray.data")
    level = logger.level
    for name in names:
        setattr(context, name, False)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)
