"""The data sets of a plan: where their images are, and how many labels they may cost."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usl.benchmarking.plan_values import BUILTIN, at_least, check_keys
from usl.core.errors import UsageError

SPACE = ("center", "standardize", "pca")
SET_KEYS = {
    "source": str,
    "encoders": list,
    "budgets": list,
    "most": int,
    "imbalance": float,
    "center": bool,
    "standardize": bool,
    "pca": int,
    "options": dict,
    "supervision": str,
}


@dataclass(frozen=True)
class DataSet:
    """One data set of a plan; see :mod:`usl.benchmarking.plan` for the keys."""

    name: str
    source: str
    encoders: tuple[str, ...]
    budgets: tuple[int, ...]
    most: int
    imbalance: float | None = None
    space: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # of the source's reader
    supervision: str | None = None  # what features that are given rest on, for the tables


def data_set(name: str, own: Any, shared: Mapping[str, Any], folder: Path) -> DataSet:
    """One table of ``[datasets]``; ``shared``: what the plan says for all of them."""
    where = f"datasets.{name}"
    if not isinstance(own, dict) or "source" not in own:
        raise UsageError(f"[{where}] needs a source: a path, or builtin:fashion_mnist.")
    check_keys(own, SET_KEYS, f"{where}.")
    budgets = own.get("budgets", shared.get("budgets", []))
    if not budgets and "rounds" not in shared:
        raise UsageError(f"{where}.budgets is missing: a list of numbers of labels.")
    for budget in budgets:
        at_least(f"{where}.budgets", budget, 1)
    imbalance = own.get("imbalance")
    if imbalance is not None and imbalance < 1:
        raise UsageError(f"{where}.imbalance: {imbalance} given; use at least 1, the largest class "
                         "over the smallest.")  # fmt: skip
    return DataSet(
        name,
        _source(own["source"], folder, where),
        tuple(own.get("encoders", shared.get("encoders", ["auto"]))),
        tuple(sorted(set(budgets))),
        at_least(f"{where}.most", own.get("most", shared.get("most", 10_000)), 2),
        None if imbalance is None else float(imbalance),
        {key: own[key] for key in SPACE if key in own},
        own.get("options", {}),
        own.get("supervision"),
    )


def _source(given: str, folder: Path, where: str) -> str:
    """The source with variables filled in, relative to the plan's folder."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name not in os.environ:
            raise UsageError(
                f"{where}.source names ${name}, which is not set. Set it to the folder of your "
                f"data: export {name}=/path/to/data"
            )
        return os.environ[name]

    filled = re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, given)
    if filled.startswith(BUILTIN) or Path(filled).expanduser().is_absolute():
        return filled
    return str(folder / filled)
