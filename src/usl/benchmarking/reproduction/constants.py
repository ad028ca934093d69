"""Tables 1, 9 and 14 of the paper, printed from the code's own constants."""

from __future__ import annotations

from collections.abc import Callable

from usl.selection.methods.usl import PRESETS as USL
from usl.selection.methods.usl_t.presets import PRESETS as USL_T

Printed = tuple[str, list[str], list[list[str]]]  # title, header, rows


def table1() -> Printed:
    """Key properties of the ways to come by labels; nothing is measured."""
    kinds = {  # what asks for labels: random first ones, choice, one round, unlabelled data, reuse
        "semi-supervised learning": (False, False, True, True, True),
        "active learning": (False, True, False, False, False),
        "semi-supervised active learning": (False, True, False, True, False),
        "usl, usl_t": (True, True, True, True, True),
    }
    words = [
        "uses no initial random labels",
        "actively queries for labels",
        "requires annotation only once",
        "leverages unlabelled data",
        "allows label reuse across runs",
    ]
    rows = [
        [word, *("yes" if has[place] else "no" for has in kinds.values())]
        for place, word in enumerate(words)
    ]
    return "Key properties", ["property", *kinds], rows


def table9() -> Printed:
    """The hyperparameters of ``usl_t``, preset ``paper``."""
    small, large = USL_T["paper"]
    rows: list[list[object]] = [
        ["adjustment factor alpha", small.training.alpha, large.training.alpha],
        ["temperature t", small.training.t, large.training.t],
        ["loss term weight lambda", small.training.lam, large.training.lam],
        ["neighborhood size k", small.k, large.k],
        ["momentum mu", small.training.momentum, large.training.momentum],
    ]
    return "Hyperparameters of USL-T", ["", "CIFAR-10/100", "ImageNet-100/1k"], _texts(rows)


def table14() -> Printed:
    """The hyperparameters of ``usl``, preset ``paper``."""
    few, more, large = USL["paper"]
    rows: list[list[object]] = [
        ["k in kNN", few.k, more.k, large.k],
        ["momentum", few.momentum, more.momentum, large.momentum or "none"],
        ["horizon", few.horizon or "none", more.horizon or "none", large.horizon],
        ["alpha", few.alpha, more.alpha, large.alpha],
        ["lambda", few.lam, more.lam, large.lam],
        ["iterations", few.iterations, more.iterations, large.iterations],
    ]
    header = ["", "small, up to 100 labels", "small, more", "large"]
    return "Hyperparameters of USL", header, _texts(rows)


def _texts(rows: list[list[object]]) -> list[list[str]]:
    return [[f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]


PRINTED: dict[str, Callable[[], Printed]] = {
    "table1": table1,
    "table9": table9,
    "table14": table14,
}
