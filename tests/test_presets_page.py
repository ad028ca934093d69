"""docs/presets.md against the code: what it calls ours is what the presets hold."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from usl.pretraining.methods import cld, moco, simclr
from usl.selection.methods import usl as usl_method
from usl.selection.methods.usl_t import presets as usl_t
from usl.training.networks import (
    comatch,
    debiaspl,
    fixmatch,
    flexmatch,
    freematch,
    mixmatch,
    simclrv2,
    simclrv2_cld,
    softmatch,
)

PAGE = Path(__file__).parent.parent / "docs" / "presets.md"
NUMBER = r"2\^\d+|\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+(?:e-?\d+)?"
LEFT = ("the same", "the release's", "the paper's")  # of which column a cell speaks, next to it


def tables():
    """Cells by the first heading and the first cell of a row; a row without others is a heading."""
    found, table, part = {}, None, ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            table = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if table is None:
            table, part = cells[0], ""
        elif set(cells[0]) != {"-"}:
            if not any(set(cell) - {"-", " "} for cell in cells[3:]):
                part = f"{cells[0]} " if cells[0] in ("`cifar`", "`imagenet`") else part
            found[table, part + cells[0]] = cells[1:]
    return found


CELLS = tables()


def numbers(cell):
    values = set()
    for text in re.findall(NUMBER, cell):
        base, _, power = text.partition("^")
        values.add(float(base.replace(",", "")) ** (int(power) if power else 1))
    return values


def ours(table, row, column=-1):
    """The numbers of a cell; with "the same" also those of the cells it may speak of."""
    cells = CELLS[table, row]
    values = numbers(cells[column])
    if any(word in cells[column] for word in LEFT):
        values |= set().union(*(numbers(cell) for cell in cells[: len(cells) + column]))
    return values


def of(module, preset):
    """A recipe's numbers by name: its own, its optimiser's, its method's with their defaults."""
    recipe = module.RECIPES[preset]
    known = {**vars(recipe), **vars(recipe.optimizer)}
    for each in reversed(inspect.getmro(module.build) if inspect.isclass(module.build) else ()):
        if "__init__" in vars(each):
            known |= {n: p.default for n, p in inspect.signature(each).parameters.items()}
    if not inspect.isclass(module.build):
        known |= {n: p.default for n, p in inspect.signature(module.build).parameters.items()}
    return {**known, **recipe.parameters}


USB, IMAGENET = (
    "`flexmatch`, `freematch`, `softmatch` on `cifar`",
    "`fixmatch`, `debiaspl` on `imagenet`",
)
CLD, MOCO = "`cld`", "`moco`"
NETWORKS = [
    ("`fixmatch` on `cifar`", fixmatch, "cifar", {
        "batch, ratio, steps": "batch_size ratio steps",
        "rate": "lr",
        "weight decay": "weight_decay",
        "threshold, lambda_u": "tau lam",
        "average of the weights": "ema",
    }),
    (IMAGENET, fixmatch, "imagenet", {
        "batch, ratio, steps": "batch_size ratio steps",
        "rate": "lr",
        "weight decay": "weight_decay",
        "threshold, lambda_u": "tau lam",
        "teacher": "ema",
    }),
    (IMAGENET, debiaspl, "imagenet", {
        "rate": "lr",
        "threshold, lambda_u": "tau lam",
        "DebiasPL: t, momentum": "t momentum",
        "DebiasPL: pairs of views, weight of the group loss": "pairs group",
    }),
    *((USB, module, "cifar", {
        "batch, ratio, steps": "batch_size ratio steps",
        "rate, decay": "lr weight_decay decay_of_many",
        "averages": "ema",
    }) for module in (flexmatch, freematch, softmatch)),
    (USB, flexmatch, "cifar", {"thresholds": "tau"}),
    (USB, flexmatch, "imagenet", {
        "`imagenet`: batch, ratio, steps": "batch_size ratio steps",
        "`imagenet`: rate, decay": "lr weight_decay",
    }),
    (USB, freematch, "cifar", {"fairness (FreeMatch)": "fairness"}),
    (USB, softmatch, "cifar", {"thresholds": "n_sigma"}),
    *(("`simclrv2` and `simclrv2_cld` on `cifar`", module, "cifar", {
        "SGD": "lr weight_decay momentum",
        "length": "steps batch_size",
    }) for module in (simclrv2, simclrv2_cld)),
    ("`simclrv2` on `imagenet`", simclrv2, "imagenet", {
        "batch, rate, decay": "batch_size lr weight_decay",
        "length": "steps",
        "distillation": "distill_share",
    }),
    ("`simclrv2` on `imagenet`", simclrv2, "imagenet-few", {"length": "steps"}),
    ("`comatch`", comatch, "cifar", {
        "`cifar`: batch, ratio, steps": "batch_size ratio",
        "rate, decay": "lr weight_decay",
        "threshold, lambda, T, edge, alpha": "tau lam lam_c temperature edge alpha",
        "projection": "projection slope",
        "memory, smoothing from": "smooth_from",
    }),
    ("`comatch`", comatch, "imagenet", {
        "`imagenet`: batch, ratio, steps": "batch_size ratio steps",
        "weight decay": "weight_decay",
        "threshold, lambda, T, edge": "tau lam lam_c temperature edge",
        "smoothing from": "smooth_from",
        "momentum": "ema_first ema smooth_from",
    }),
    ("`mixmatch` on `cifar`", mixmatch, "cifar", {
        "network, batch, ratio, steps": "batch_size",
        "Adam: rate, decay": "lr weight_decay",
        "average": "ema",
        "T, alpha, lambda_u, ramp": "temperature alpha lam ramp",
        "what is reported": "last_epochs",
    }),
    ("`mixmatch` on `cifar`", mixmatch, "imagenet", {"`imagenet`": "lam"}),
    ("`simclr`", simclr, "cifar", {
        "batch, epochs": "batch_size epochs",
        "LARS, rate per 256": "lr",
        "weight decay": "weight_decay",
        "temperature": "temperature",
        "head": "projection",
    }),
    ("`simclr`", simclr, "imagenet", {
        "batch, epochs": "batch_size epochs",
        "LARS, rate per 256": "lr",
        "weight decay": "weight_decay",
        "temperature": "temperature",
    }),
    (MOCO, moco, "cifar", {
        "`cifar` network, batch, epochs": "batch_size epochs",
        "`cifar` rate, decay": "lr weight_decay",
        "`cifar` queue, momentum, temperature": "queue momentum temperature",
        "`cifar` batch normalisation": "splits",
    }),
    (MOCO, moco, "imagenet", {
        "`cifar` `imagenet`": "epochs batch_size lr weight_decay queue momentum temperature",
    }),
    (CLD, cld, "cifar", {
        "`cifar` network, batch, epochs": "batch_size epochs",
        "`cifar` rate, warm-up": "lr",
        "`cifar` weight decay": "weight_decay",
        "`cifar` lambda, T_I, T_G, K, k-means":
            "lam temperature group_temperature clusters iterations",
        "`cifar` queue, momentum": "queue momentum",
    }),
    (CLD, cld, "imagenet", {
        "`imagenet` network, batch, epochs": "batch_size epochs",
        "`imagenet` rate, decay": "lr weight_decay",
        "`imagenet` lambda, T_I, T_G": "lam temperature group_temperature",
        "`imagenet` K": "clusters parts",
    }),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "module", "preset", "rows"),
    NETWORKS,
    ids=[f"{row[1].__name__.rpartition('.')[2]}-{row[2]}" for row in NETWORKS],
)
def test_what_the_page_calls_ours_is_in_the_recipes(table, module, preset, rows):
    known = of(module, preset)
    for row, names in rows.items():
        for name in names.split():
            assert float(known[name]) in ours(table, row), (row, name, known[name])


def test_the_page_has_the_settings_of_usl():
    """Columns: features, paper, release, ours `paper`, ours `released`."""
    paper, released = usl_method.PRESETS["paper"], usl_method.PRESETS["released"]
    rows = [
        ("k", "k", (0, 2)),
        ("lambda, alpha: up to 100 labels", "lam alpha", (0,)),
        ("the same, above", "lam alpha", (1,)),
        ("the same, large", "lam alpha", (2,)),
        ("momentum; large", "momentum", (0,)),
        ("regularised passes; large", "iterations", (0, 2)),
        ("horizon, large", "horizon", (2,)),
        ("k-means: start, iterations", "kmeans_iterations", (0,)),
    ]
    for row, names, columns in rows:
        for name in names.split():
            for column in columns:
                for preset, cell in ((paper, -2), (released, -1)):
                    value = float(getattr(preset[column], name))
                    assert value in ours("`usl`", row, cell), (row, name, cell, value)


def test_the_page_has_the_settings_of_usl_t():
    paper, released = usl_t.PRESETS["paper"], usl_t.PRESETS["released"]
    rows = {
        "alpha, t, lambda: small; large": "alpha t lam",
        "heads": "heads",
        "Adam: rate, decay": "lr weight_decay",
        "steps, batch": "steps batch_size",
    }
    table = next(name for name, _ in CELLS if name.startswith("`usl_t` on frozen"))
    for row, names in rows.items():
        for name in names.split():
            for columns, cell in ((paper, -2), (released, -1)):
                for each in columns:
                    value = float(getattr(each.training, name))
                    assert value in ours(table, row, cell), (row, name, cell, value)
