"""Make the lists of this folder: our picks of published data sets, in the authors' form.

    python usl_selections/make.py cifar10 datasets/cifar-10-batches-py
    python usl_selections/make.py fashion_mnist datasets/fashion-mnist

Each list is what ``usl select SOURCE --model cifar-cld-small --method METHOD --budget N`` picks,
with seed 0. The encoder has seen CIFAR-10's train images and no label. What is there is not made
again.
``lists.json`` has of each list its SHA-256 and how it was made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

import usl
from usl.core.files import write_json
from usl.core.hashing import array_digest
from usl.core.version import __version__
from usl.features.space import open_space
from usl.numeric.stage_cache import KeepInMemory

HERE = Path(__file__).parent
BUDGETS = {"cifar10": (10, 40, 100, 250), "cifar100": (400,), "fashion_mnist": (10, 40, 100)}
METHODS = ("usl", "usl_t", "quorum")
MODEL = "cifar-cld-small"


def main() -> None:
    """Make what is missing of one data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(BUDGETS))
    parser.add_argument("source", type=Path)
    given = parser.parse_args()
    collection = usl.open_collection(given.source)
    train = collection.take(collection.rows_in("train"))
    rows = np.asarray(open_space(train, MODEL).features[:])
    keep = KeepInMemory()
    path = HERE / "lists.json"
    lists = json.loads(path.read_text()) if path.exists() else {}
    for budget in BUDGETS[given.name]:
        for method in METHODS:
            name = f"{given.name}-{method}-{budget}.csv"
            if name in lists:
                continue
            picks = usl.select(rows, budget, method=method, seed=0, resume=keep).indices
            text = "Index,ImageID\n" + "".join(f"{i},{train.ids[i]}\n" for i in picks)
            (HERE / name).write_text(text, encoding="utf-8")
            lists[name] = {
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "method": method,
                "budget": budget,
                "seed": 0,
                "encoder": MODEL,
                "features": array_digest(rows),
                "usl": __version__,
            }
            write_json(path, lists)
            print(name, flush=True)


if __name__ == "__main__":
    main()
