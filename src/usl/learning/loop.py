"""The training loop: the only one, for every method that trains a network.

It knows nothing of losses. A method is a :class:`Task`; its data are :class:`Batches`; this file
makes steps of them, on one device or several, and sees to it that they can be stopped and resumed
without a trace. Everything random in step s is a function of the seed and s, and everything else
is in the checkpoint, so that a resumed training ends with the same weights, to the bit, as one
that was never stopped (same machine, same number of threads).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from usl.core.errors import TrainingFailedError, UsageError
from usl.core.progress import Progress, silent
from usl.learning.batches import Batches, step_generator
from usl.learning.checkpoint import State, load_checkpoint, save_checkpoint
from usl.learning.log import Log
from usl.learning.loop_options import CHECKPOINT, LoopOptions
from usl.learning.optim import Optimizer

DEFAULTS = LoopOptions()

Views = dict[str, Tensor]
Names = Sequence[str] | NDArray[np.str_]
Monitor = Callable[[nn.Module], Mapping[str, float]]


class Task(nn.Module):  # type: ignore[misc]
    """Everything a method trains and remembers.

    All that lasts beyond a step (weights, teachers, queues, moving means) is a parameter or a
    registered buffer, so that the state dict is the whole state.
    """

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """Augment a raw batch, on the device, without gradients."""
        raise NotImplementedError

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (a scalar) and figures to log (detached scalars)."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Called without gradients after every step of the optimiser: move the teachers."""


def run_loop(
    task: Task,
    batches: Batches,
    *,
    steps: int,
    optimizer: Optimizer,
    seed: int,
    settings: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    options: LoopOptions = DEFAULTS,
    log_every: int = 50,
    monitor: Monitor | None = None,
    monitor_every: int | None = None,
    ids: Names | None = None,
    label: str = "training",
    go_on: str = "Go on with the same command and --resume.",
    check: Callable[[], None] = lambda: None,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Train ``task`` for ``steps`` steps, or on from its checkpoint; the records, one dict each.

    Parameters
    ----------
    task : is changed in place, and left in evaluation mode on the CPU.
    batches : the raw batches; loaded one step ahead, in a thread.
    seed : of everything random.
    settings : what defines this training; stored, and compared when it is resumed.
    folder : for ``checkpoint.safetensors`` and ``metrics.jsonl``; None keeps nothing.
    options : device, precision, accumulation, checkpoints; see :class:`LoopOptions`.
    log_every : steps per record; ``loss`` and the task's figures are means over them.
    monitor : called with the task in evaluation mode every ``monitor_every`` steps and at the end;
        its figures join the record.
    ids : names of the rows, for messages.
    go_on : how a training is gone on with, for the message of a stopped one that has a checkpoint.
    check : called before anything is written into ``folder``; raises where that must not be.

    Raises
    ------
    TrainingFailedError
        a loss that is not finite: names the step and the images; the last checkpoint is kept.
    KeyboardInterrupt
        on Ctrl-C or SIGTERM, after the step in progress and a checkpoint.
    """
    accumulate, clip = options.accumulate, options.clip
    if steps < 1 or accumulate < 1:
        raise UsageError(f"steps: {steps} and accumulate: {accumulate} given; use at least 1.")
    fabric = options.hardware.fabric()
    settings = {
        **(settings or {}),
        "steps": steps,
        "seed": seed,
        "optimizer": repr(optimizer),
        "accumulate": accumulate,
        "clip": clip,
        "precision": str(fabric._precision.precision),
        "processes": fabric.world_size,
    }
    if options.sync_bn:
        synchronise(task, fabric)
        settings["sync_bn"] = True
    task.train()
    wrapped, stepper = fabric.setup(task, optimizer.build(task))
    begun = State(0, 0.0, settings)
    if options.resume and folder is not None:
        begun = load_checkpoint(folder / CHECKPOINT, task, stepper.optimizer, settings)
    check()
    log = Log(folder if fabric.is_global_zero else None, begun, options.tensorboard)
    started = time.monotonic() - begun.seconds
    saved = time.monotonic()

    def save(done: int) -> None:
        if folder is not None and fabric.is_global_zero:
            check()
            state = State(done, time.monotonic() - started, settings)
            save_checkpoint(folder / CHECKPOINT, task, stepper.optimizer, state)

    with ExitStack() as stack:
        stack.enter_context(told_how_to_go_on(go_on, folder))
        stop = stack.enter_context(interruptible())
        ahead = stack.enter_context(prefetch(batches, begun.step, steps, fabric))
        stack.callback(log.close)
        progress(begun.step, steps, label)  # what is done already took no time
        for step in range(begun.step, steps):
            clock = [time.perf_counter()]
            batch = next(ahead)
            clock.append(time.perf_counter())
            generator = step_generator(seed, step, fabric.global_rank, fabric.device)
            for group in stepper.param_groups:
                group["lr"] = optimizer.rate(step, steps)
            loss, figures = one_step(
                fabric, task, wrapped, stepper, batch, generator, accumulate, clip, clock
            )
            if not torch.isfinite(loss):
                raise TrainingFailedError(not_finite(step, batch, ids, folder), log.records)
            with torch.no_grad():
                task.after_step()
            done = step + 1
            log.add(loss, figures)
            clock.append(time.perf_counter())
            log.time(clock)
            last = done == steps or stop.is_set()
            if monitor is not None and (last or (monitor_every and done % monitor_every == 0)):
                log.watch(look(task, monitor))
            if last or done % log_every == 0:
                check()
                log.write(done, optimizer.rate(step, steps), time.monotonic() - started)
            progress(done, steps, label)
            if last or time.monotonic() - saved > 60 * options.checkpoint_minutes:
                save(done)
                saved = time.monotonic()
            if stop.is_set() and done < steps:
                kept = f"; a checkpoint is in {folder}" if folder is not None else ""
                raise KeyboardInterrupt(f"Stopped at step {done:,} of {steps:,}{kept}.")
    task.eval().to("cpu")
    return log.records


def synchronise(task: nn.Module, fabric: Any) -> None:
    """Make batch normalisation count over all processes; in place, weights stay.

    Raises
    ------
    UsageError
        on anything but GPUs, for which torch has no such layer.
    """
    if fabric.device.type != "cuda":
        raise UsageError(
            f"sync_bn: needs GPUs, this training runs on {fabric.device.type}. Leave it out; every "
            "process then has batch statistics of its own."
        )
    nn.SyncBatchNorm.convert_sync_batchnorm(task)


def one_step(
    fabric: Any,
    task: Task,
    wrapped: Any,
    stepper: Any,
    batch: Mapping[str, Any],
    generator: torch.Generator,
    accumulate: int,
    clip: float | None,
    clock: list[float],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Augment, forward, backward, step; the mean loss and figures of the micro-batches."""
    losses: list[Tensor] = []
    found: list[dict[str, Tensor]] = []
    stepper.zero_grad(set_to_none=True)
    with torch.no_grad():
        parts = [task.views(part, generator) for part in divide(batch, accumulate)]
    clock.append(time.perf_counter())
    for number, views in enumerate(parts):
        with fabric.no_backward_sync(wrapped, enabled=number + 1 < accumulate):
            loss, figures = wrapped(views)
            if not torch.isfinite(loss):
                return loss.detach(), figures
            fabric.backward(loss / accumulate)
        losses.append(loss.detach())
        found.append(figures)
    if clip is not None:
        fabric.clip_gradients(wrapped, stepper, max_norm=clip)
    stepper.step()
    clock.append(time.perf_counter())
    mean = {name: torch.stack([f[name].float() for f in found]).mean() for name in found[0]}
    return torch.stack(losses).mean(), mean


def divide(batch: Mapping[str, Any], parts: int) -> Iterator[Mapping[str, Any]]:
    """A batch in equal parts, one after the other."""
    if parts == 1:
        yield batch
        return
    for number in range(parts):
        yield {
            name: value[number * len(value) // parts : (number + 1) * len(value) // parts]
            for name, value in batch.items()
        }


def look(task: Task, monitor: Monitor) -> Mapping[str, float]:
    """The monitor's figures, with the task in evaluation mode meanwhile."""
    task.eval()
    with torch.no_grad():
        figures = monitor(task)
    task.train()
    return figures


def not_finite(step: int, batch: Mapping[str, Any], ids: Names | None, folder: Path | None) -> str:
    """The message for a loss that is NaN or infinite."""
    rows = [int(row) for row in batch["rows"][:3]] if "rows" in batch else []
    names = ", ".join(ids[row] if ids is not None else f"row {row}" for row in rows)
    kept = ""
    if folder is not None and (folder / CHECKPOINT).exists():
        kept = f" The last good checkpoint is kept: {folder / CHECKPOINT}."
    return (
        f"The loss is not finite at step {step + 1}, on the batch that begins with {names}. "
        f"Lower the learning rate (lr), or use precision 32.{kept}"
    )


@contextmanager
def prefetch(batches: Batches, first: int, steps: int, fabric: Any) -> Iterator[Iterator[Any]]:
    """Batches on the device, each loaded while the step before it runs."""

    def load(step: int) -> Mapping[str, Any]:
        return batches(step, fabric.global_rank, fabric.world_size)

    def in_order() -> Iterator[Any]:
        coming: Future[Any] = pool.submit(load, first)
        for step in range(first, steps):
            batch = coming.result()
            if step + 1 < steps:
                coming = pool.submit(load, step + 1)
            yield fabric.to_device(dict(batch))

    with ThreadPoolExecutor(1) as pool:
        yield in_order()


@contextmanager
def told_how_to_go_on(how: str, folder: Path | None) -> Iterator[None]:
    """On Ctrl-C, add to the message how a training with a checkpoint in ``folder`` goes on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if folder is None or not (folder / CHECKPOINT).is_file():
            raise
        raise KeyboardInterrupt(f"{stopped or 'Stopped.'} {how}") from None


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that a step is never torn; a second one raises."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return

    def handle(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
