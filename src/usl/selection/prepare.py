"""What a selection from a source needs before any image is read, for the run and the dry run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.data.collection import Collection
from usl.data.open import open_collection, tell
from usl.numeric.workspace import Workspace
from usl.selection.constraints.files import read_constraints
from usl.selection.constraints.resolve import Share, Wanted, resolve
from usl.selection.constraints.select_within import Constraints, check_end_to_end
from usl.selection.contract import METHODS
from usl.selection.known_labels import Known, check_budget, read_known
from usl.selection.memory_bound import bound_run

if TYPE_CHECKING:
    from usl.features.contract import Encoder


@dataclass(frozen=True, eq=False)
class Prepared:
    """A selection against which nothing speaks, as far as can be told without features.

    Attributes
    ----------
    collection : the source.
    train : int64 [n], the rows that picks come from.
    oracle : whether the method reads the labels.
    wanted : the constraints by row of ``train``.
    shares : how many picks each group gets.
    files : where constraints came from, by name.
    workspace : with what is needed beside tables kept free.
    encoder : of the run; opened already where there is a bound on memory.
    known : labels that the run starts from.
    """

    collection: Collection
    train: NDArray[np.int64]
    oracle: bool
    wanted: Wanted
    shares: list[Share]
    files: dict[str, str]
    workspace: Workspace
    encoder: str | Encoder
    known: Known


def prepare(
    source: str | os.PathLike[str] | Collection,
    budget: int,
    method: str,
    model: str,
    pca: int | None,
    memory: int | str | None,
    scratch: str | os.PathLike[str] | None,
    constraints: Constraints | None,
    params: Mapping[str, Any],
    options: Mapping[str, Any],
    labels: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    use_known: bool = False,
) -> Prepared:
    """Open the source, say how it was taken, and refuse whatever can be refused.

    Parameters are those of ``start_run``; ``options`` those of ``open_collection``.

    Raises
    ------
    UsageError
        a budget, method, parameter or bound that cannot be kept; constraints that contradict
        each other.
    DataError
        nothing to pick from, no labels for an oracle, constraints about unknown images.
    """
    module = METHODS.load(method)
    oracle = bool(getattr(module, "ORACLE", False))
    METHODS.check(method, module, {**params, "labels": None} if oracle else dict(params))
    collection = open_collection(source, **options)
    tell(collection, 2)  # in the name of whoever called start_run
    train = collection.rows_in("train")
    if not len(train):
        raise DataError(f"{collection.source}: the train subset is empty; nothing to pick from.")
    known = read_known(labels, use_known, collection)
    labeled = known.among(train)
    check_budget(budget, len(train), len(labeled))
    if oracle and collection.labels is None:
        raise DataError(
            f"{method} is an oracle and needs the label of every image, but {collection.source} "
            "holds none. Choose another method."
        )
    if (check := getattr(module, "check", None)) is not None:
        check(len(train), params)
    limits, files = read_constraints(constraints or Constraints(), collection, train)
    wanted = resolve(limits, len(train), budget, collection.ids[train], labeled)
    shares = wanted.parts(budget)
    if params.get("end_to_end"):
        check_trainable(collection, model)
        check_end_to_end(limits)
    workspace = Workspace(memory, scratch)
    count = len(labeled)
    encoder = bound_run(workspace, collection, model, method, budget, pca, dict(params), count)
    return Prepared(collection, train, oracle, wanted, shares, files, workspace, encoder, known)


def check_trainable(collection: Collection, model: str) -> None:
    """Refuse end-to-end training without images, or of an encoder that is no network."""
    if collection.images is None:
        raise DataError(f"{collection.source}: end_to_end needs images; it holds features alone.")
    from usl.features.open_encoder import open_encoder

    if not hasattr(open_encoder(model), "backbone"):
        raise UsageError(
            f"end_to_end: the encoder {model!r} cannot be trained. Use cifar-cld-small, the result "
            "of usl pretrain, or a timm model: --model NAME."
        )
