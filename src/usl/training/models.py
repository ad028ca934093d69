"""Trained models: arrays and what they mean, stored as ``.npz`` without pickle."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.files import atomic_write
from usl.core.npz import read_npz
from usl.labeling.answers.called_now import classes_now, names_now
from usl.numeric.arrays import Float32, softmax
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import smallest
from usl.numeric.neighbor_graph import similarity
from usl.numeric.tiled_search import nearest_in_tiles
from usl.run.models import MODEL, STAMP, TrainedModel, trained_model
from usl.training.shared.few_classes import FewClasses
from usl.training.shared.whitening import mapped

Probabilities = NDArray[np.float64]
EVERY = slice(None)


class Model(Protocol):
    """A trained classifier over the run's feature space."""

    def probabilities(self, features: Float32) -> Probabilities:
        """Class probabilities of new items, float64 [q, C]; rows sum to 1."""

    def fitted(self) -> Probabilities | None:
        """Probabilities of the n training items where the method gives them itself, else None."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored."""


class ArrayModel:
    """A model whose fields are arrays and numbers; training items are predicted like any others."""

    def fitted(self) -> Probabilities | None:
        """None: :meth:`Model.probabilities` is for them too."""
        return None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored: the fields."""
        return {name: np.asarray(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class LinearModel(ArrayModel):
    """Softmax of a linear map: ``weight`` [C, d], ``bias`` [C]."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def probabilities(self, features: Float32) -> Probabilities:
        """Softmax probabilities, float64 [q, C]."""
        return softmax(features @ self.weight.T + self.bias)


@dataclass(frozen=True)
class NeighborModel(ArrayModel):
    """A transductive result extended to new items by their neighbours.

    ``train`` float32 [n, d] holds the items it was trained on, ``scores`` [n, C] their
    probabilities. A new item gets the mean over its ``k`` nearest items, weighted by
    max(cosine, 0) ** ``power``. ``unlike`` float32 [n] and ``usual`` [2] say how little items are
    like any class (:mod:`usl.training.unlike`), empty where that is not known.
    """

    train: Float32
    scores: NDArray[np.floating[Any]]
    k: int = 10
    power: float = 4.0
    unlike: Float32 = field(default_factory=lambda: np.empty(0, np.float32), kw_only=True)
    usual: Float32 = field(default_factory=lambda: np.empty(0, np.float32), kw_only=True)

    def __post_init__(self) -> None:
        """Take scores as they are stored, too."""
        object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float64))

    def probabilities(self, features: Float32) -> Probabilities:
        """Similarity-weighted mean over the k nearest training items, float64 [q, C]."""
        return self.linked(features, *self.links(features))

    def linked(
        self, features: Float32, found: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> Probabilities:
        """Probabilities of items whose :meth:`links` are known, float64 [q, C]."""
        return self.vote(found, weights)

    def links(self, features: Float32) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k nearest training items of each item and their weights, [q, k].

        They are the same for every model of these items, ``k`` and ``power``.
        """
        found, distances = nearest_in_tiles(features, self.train, min(self.k, len(self.train)))
        return found, self._shares(distances)

    def links_among(
        self, features: Float32, known: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """As :meth:`links`, looked for among these training items alone, int64 [q, m]."""
        others = self.train[known]
        lengths = np.einsum("qmd,qmd->qm", others, others)
        squared = lengths + np.einsum("qd,qd->q", features, features)[:, None]
        squared -= 2 * np.einsum("qmd,qd->qm", others, features)
        distances = np.sqrt(np.maximum(squared, 0))
        best = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        found = np.take_along_axis(known, best, axis=1)
        return found, self._shares(np.take_along_axis(distances, best, axis=1))

    def _shares(self, distances: Float32) -> NDArray[np.float64]:
        """The weights of neighbours at these distances, rows of sum 1."""
        weights = similarity(distances, self.power)
        weights[weights.sum(axis=1) == 0] = 1.0
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def vote(self, found: NDArray[np.int64], weights: NDArray[np.float64]) -> Probabilities:
        """Probabilities of the items with these :meth:`links`, float64 [q, C]."""
        return np.asarray(np.einsum("qk,qkc->qc", weights, self.scores[found]))

    def belonging(self, number: int) -> NDArray[np.floating[Any]]:
        """The share of a class in every training item, before any temperature, [n]."""
        return self.scores[:, number]

    def fitted(self, rows: slice = EVERY) -> Probabilities:
        """The transductive probabilities, float64 [n, C], or those of some rows."""
        return self.scores[rows].astype(np.float64, copy=False)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored: the fields, scores in half the space."""
        return super().arrays() | {"scores": self.scores.astype(np.float32)}


@dataclass(frozen=True)
class MixtureModel(NeighborModel):
    """A mixture with a graph term: p = softmax(z . weight + bias + graph * mean of neighbours).

    ``scores`` are the training items' probabilities, which neighbours hand on: of all classes, or
    where ``numbers`` int [n, K] are given, of these, [n, K]. ``weight`` [C, e] and ``bias`` [C] are
    of the classes. z is x, or unit((x - ``center``) ``projection``) where they
    are given. What is told is p^(1 / ``temperature``), scaled to sum 1. ``estimate`` is the
    method's own guess at its accuracy, 0 without one.
    """

    weight: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    bias: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    graph: float = 1.0
    temperature: float = 1.0
    center: Float32 = field(default_factory=lambda: np.empty(0, np.float32))
    projection: Float32 = field(default_factory=lambda: np.empty((0, 0), np.float32))
    estimate: float = 0.0
    numbers: NDArray[np.integer[Any]] | None = None

    def __post_init__(self) -> None:
        """Take scores as they are stored, too; of a few classes each they stay as they are."""
        if self.numbers is None:
            super().__post_init__()

    def linked(
        self, features: Float32, found: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> Probabilities:
        """Probabilities of items whose :meth:`links` are known, float64 [q, C].

        As for the training items, only those of the K likeliest classes are above 0.
        """
        if self.numbers is not None:
            return self.few_linked(features, found, weights)[:]
        return softmax(self._logits(features, found, weights) / self.temperature)

    def few_linked(
        self, features: Float32, found: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> FewClasses:
        """As :meth:`linked` where ``numbers`` are given, of the K likeliest classes alone."""
        assert self.numbers is not None
        logits = self._logits(features, found, weights)
        numbers = smallest(-logits.astype(np.float32), self.numbers.shape[1])
        chances = softmax(np.take_along_axis(logits, numbers, axis=1) / self.temperature)
        return FewClasses(numbers.astype(self.numbers.dtype), chances, logits.shape[1])

    def _logits(
        self, features: Float32, found: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if len(self.center):
            features = mapped(features, self.center, self.projection)
        return np.asarray(
            features @ self.weight.T + self.bias + self.graph * self.vote(found, weights)
        )

    def vote(self, found: NDArray[np.int64], weights: NDArray[np.float64]) -> Probabilities:
        """Probabilities of the items with these :meth:`links`, float64 [q, C]."""
        if self.numbers is None:
            return super().vote(found, weights)
        q, count = len(found), len(self.bias)
        scores = self.scores[found].reshape(q, -1)
        votes = np.repeat(weights, self.numbers.shape[1], axis=1) * scores
        places = self.numbers[found].reshape(q, -1) + count * np.arange(q)[:, None]
        voted = np.bincount(places.ravel(), votes.ravel(), q * count)
        return np.asarray(voted.reshape(q, count), dtype=np.float64)

    def fitted(self, rows: slice = EVERY) -> Probabilities:
        """The transductive probabilities, float64 [n, C], or those of some rows."""
        told = self.told(rows)
        if self.numbers is None:
            return told
        return FewClasses(self.numbers[rows], told, len(self.bias))[:]

    def belonging(self, number: int) -> NDArray[np.floating[Any]]:
        """See :meth:`NeighborModel.belonging`."""
        if self.numbers is None:
            return super().belonging(number)
        return np.asarray(np.where(self.numbers == number, self.scores, 0.0).sum(axis=1))

    def told(self, rows: slice = EVERY) -> Probabilities:
        """As :meth:`fitted`, of the ``numbers`` alone where they are given, float64 [n, K]."""
        told = self.scores[rows].astype(np.float64) ** (1.0 / self.temperature)
        return np.asarray(told / told.sum(axis=1, keepdims=True))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored: the fields, without those not given."""
        found = {name: one for name, one in vars(self).items() if one is not None}
        arrays = {name: np.asarray(one) for name, one in found.items()}
        return arrays | {"scores": self.scores.astype(np.float32)}


@dataclass(frozen=True)
class SupportModel(ArrayModel):
    """A vote of labelled items: p = softmax(z S^T / temperature + log w) Y.

    ``projection`` [d, e] maps an item to z, after which it gets unit length; ``supports`` [m, e]
    are the labelled items S, mapped the same way; ``log_weights`` [m] is log w and ``votes``
    [m, C] is Y, rows of sum 1.
    """

    projection: Float32
    supports: Float32
    log_weights: Float32
    votes: Float32
    temperature: float

    def probabilities(self, features: Float32) -> Probabilities:
        """Class probabilities, float64 [q, C]."""

        def block(start: int, stop: int) -> Probabilities:
            mapped = features[start:stop] @ self.projection
            mapped /= np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
            logits = mapped @ self.supports.T / np.float32(self.temperature) + self.log_weights
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            found = (shares @ self.votes).astype(np.float64)
            return np.asarray(found / found.sum(axis=1, keepdims=True))

        rows = rows_per_block(12 * len(self.supports))
        parts = list(map_blocks(block, len(features), rows))
        return np.concatenate(parts) if parts else np.empty((0, self.votes.shape[1]))


MODELS: dict[str, Any] = {
    "linear": LinearModel,
    "mixture": MixtureModel,
    "neighbor": NeighborModel,
    "support": SupportModel,
}


def save_model(
    path: str | os.PathLike[str], model: Model, class_names: list[str], stamp: str | None = None
) -> None:
    """Write a model as ``.npz`` (arrays only, no pickle), whole or not at all."""
    with atomic_write(path) as handle:
        arrays: dict[str, Any] = {
            "kind": np.array(kind_of(model)),
            "class_names": np.array(class_names),
            **({} if stamp is None else {STAMP: np.array(stamp)}),
            **model.arrays(),
        }
        np.savez(handle, **arrays)


def kind_of(model: Model) -> str:
    """The name of a model's kind."""
    return next(name for name, made in MODELS.items() if isinstance(model, made))


def open_model(folder: Path) -> tuple[TrainedModel, Model, list[str]]:
    """The active model of a run folder: its record, the classifier and its classes' present names.

    Raises :class:`DataError` where there is none, or it is damaged, or of another training than
    its record.
    """
    trained = trained_model(folder)
    path = trained.path / MODEL
    try:
        model, class_names, stamp = _read(path)
    except DataError:
        if trained_model(folder).path == trained.path:
            raise
        return open_model(folder)  # it was trained anew meanwhile
    trained.check_stamp(path, stamp)
    if class_names != trained.info.get("classes", class_names):
        trained.check_stamp(path, "of other classes")
    return trained, model, classes_now(class_names, names_now(folder))


def _check(model: Any, class_names: list[str]) -> None:
    """ValueError for arrays that are no numbers, or that do not belong together."""
    given = {name: value for name, value in vars(model).items() if value is not None}
    for name, value in given.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"{name} is not of finite numbers")
    shapes = {name: np.shape(value) for name, value in given.items()}
    count = len(class_names)
    if "numbers" in shapes and _are_classes(model.numbers, count):  # scores are of these alone
        same = shapes["scores"] == shapes["numbers"]
        shapes["scores"] = (shapes["scores"][0], count if same else -1)
    if isinstance(model, LinearModel):
        sound = len(shapes["weight"]) == 2 and shapes["bias"] == (count,) == shapes["weight"][:1]
    elif isinstance(model, NeighborModel):
        sound = len(shapes["train"]) == 2 and shapes["scores"] == (shapes["train"][0], count)
        sound = sound and shapes["k"] == shapes["power"] == () and model.k >= 1
        known = len(model.scores) if shapes["usual"] == (2,) else 0
        sound = sound and shapes["unlike"] == (known,)
        if isinstance(model, MixtureModel):
            sound = sound and _is_mixture(shapes, count) and model.temperature > 0
    else:
        (d, e), m = shapes["projection"], shapes["log_weights"][0]
        sound = shapes["supports"] == (m, e) and shapes["votes"] == (m, count) and d > 0
        sound = sound and shapes["temperature"] == () and model.temperature > 0
    if not sound or not count:
        raise ValueError("its arrays do not belong together")


def _are_classes(numbers: NDArray[Any], count: int) -> bool:
    """Whether a table holds numbers of classes."""
    return (
        numbers.dtype.kind in "iu"
        and numbers.size > 0
        and 0 <= numbers.min() <= numbers.max() < count
    )


def _is_mixture(shapes: dict[str, tuple[int, ...]], count: int) -> bool:
    """Whether the arrays of a mixture's classes, and of its own space, fit its items."""
    width, numbers = shapes["train"][1], ("graph", "temperature", "estimate")
    inner = width
    if shapes["center"] != (0,):
        inner = shapes["projection"][-1]
        if shapes["center"] != (width,) or shapes["projection"] != (width, inner):
            return False
    classes = shapes["weight"] == (count, inner) and shapes["bias"] == (count,)
    return classes and all(shapes[name] == () for name in numbers)


def load_model(path: str | os.PathLike[str]) -> tuple[Model, list[str]]:
    """Read a model and its class names. Raises :class:`DataError` naming a broken file."""
    return _read(path)[:2]


def _read(path: str | os.PathLike[str]) -> tuple[Model, list[str], str | None]:
    """A model, its class names and its stamp, None where it has none."""
    try:
        arrays = read_npz(path)
        kind = MODELS[str(arrays.pop("kind"))]
        class_names = [str(name) for name in arrays.pop("class_names")]
        stamp = str(arrays.pop(STAMP)) if STAMP in arrays else None
        fields = {name: one if one.ndim else one.item() for name, one in arrays.items()}
        model = kind(**fields)
        _check(model, class_names)
        return model, class_names, stamp
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: train the run first (usl train RUN).") from None
    except (LookupError, TypeError, ValueError, OSError) as error:  # a DataError is a ValueError
        raise DataError(f"{path} is not a model of this program ({error}).") from error
