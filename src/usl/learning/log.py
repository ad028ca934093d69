"""The record of a training: ``metrics.jsonl``, and TensorBoard events if wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from usl.core.files import write_json_lines
from usl.learning.checkpoint import State

METRICS, EVENTS = "metrics.jsonl", "tensorboard"


class Log:
    """Figures of a training: means between records, in memory and in ``metrics.jsonl``."""

    def __init__(self, folder: Path | None, begun: State, tensorboard: bool) -> None:
        self.path = None if folder is None else folder / METRICS
        self.records: list[dict[str, Any]] = []
        if self.path is not None:
            if begun.step:  # what came after the checkpoint is going to happen again
                self.records = [r for r in read_records(self.path) if r["step"] <= begun.step]
            write_json_lines(self.path, self.records)
        self._sums: dict[str, Any] = {}
        self._times = [0.0] * 4
        self._count = 0
        self._watched: Mapping[str, float] = {}
        self._events: Any = None
        if folder is not None and tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / EVENTS), purge_step=begun.step + 1)

    def add(self, loss: Tensor, figures: Mapping[str, Tensor]) -> None:
        """Take in one step; nothing is copied off the device yet."""
        for name, value in {"loss": loss, **figures}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def time(self, clock: Sequence[float]) -> None:
        """Take in the marks of one step: begin, loaded, augmented, stepped, kept."""
        for part, (early, late) in enumerate(pairwise(clock)):
            self._times[part] += late - early

    def watch(self, figures: Mapping[str, float]) -> None:
        """Figures of the monitor, for the next record."""
        self._watched = {**self._watched, **figures}

    def write(self, step: int, lr: float, seconds: float) -> None:
        """One record of the steps since the last."""
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        total = max(1e-9, sum(self._times))
        waiting, augmenting, _, keeping = self._times
        self.records.append(
            {
                "step": step,
                **{name: round(value, 6) for name, value in means.items()},
                "lr": lr,
                "seconds": round(seconds, 2),
                "wait_share": round(waiting / total, 4),
                "augment_share": round(augmenting / total, 4),
                "keep_share": round(keeping / total, 4),
                **self._watched,
            }
        )
        for name, value in self.records[-1].items():
            if self._events is not None and name != "step":
                self._events.add_scalar(name, value, step)
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as handle:
                handle.write(json.dumps(self.records[-1]) + "\n")
        self._sums, self._times, self._count, self._watched = {}, [0.0] * 4, 0, {}

    def close(self) -> None:
        """Close what is open."""
        if self._events is not None:
            self._events.close()


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a ``metrics.jsonl``; a line that is torn or damaged ends them."""
    records: list[dict[str, Any]] = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # what is no UTF-8 is a ValueError, too
            break
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            break
        records.append(record)
    return records
