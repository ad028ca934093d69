"""Pools: the images of a data set as an encoder sees them, and the draw of each seed.

Every seed draws its own share of the pool, the same for all methods, so that methods that draw
nothing at random vary too. The space is fitted on the draw, as a run's is. Labels lie beside the
features; only the scoring, the thinning of classes and the marked oracle look at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.benchmarking.datasets import DataSet
from usl.benchmarking.encoders import trained_encoders
from usl.benchmarking.entries import Entry
from usl.benchmarking.plan import Plan
from usl.core.errors import DataError, UsageError
from usl.core.files import atomic_write, cache_dir
from usl.core.hashing import array_digest, json_digest
from usl.core.progress import Progress, silent
from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.evaluation.compare import Data
from usl.features.embed import GIVEN, embed
from usl.features.preprocessing import Preprocessing

Rows = NDArray[np.int64]
TEST_MOST = 10_000  # images that a classifier is tested on
ENCODED = 2  # times ``most``: of a larger train subset no more images are encoded
RULES = 1  # raise it when draws change


@dataclass(frozen=True)
class Pool:
    """The labelled images of one data set in one encoder's raw space.

    Attributes
    ----------
    features : file of the raw rows, ``.npy`` [n, d]; a worker maps it.
    classes : int64 [n], class numbers; ``names`` [C].
    budgets : numbers of labels; that of the start in a plan with rounds.
    train, test : int64, rows to draw from and rows to test on. Without a test subset ``test`` is
        empty, and what a draw leaves is tested on.
    space : center, standardize, pca.
    key : hash of all that a draw depends on beside the seed.
    supervision : what the encoder was trained with.
    collection : how the data set is opened again: its source and the options of its reader.
    items : int64 [n], the rows of that collection.
    trained : folders of the plan's own encoders, trained on this data set.
    """

    dataset: str
    encoder: str
    features: Path
    classes: Rows
    names: tuple[str, ...]
    train: Rows
    test: Rows
    budgets: tuple[int, ...]
    most: int
    share: float
    imbalance: float | None
    space: dict[str, Any]
    key: str
    supervision: str
    collection: tuple[str, dict[str, Any]] = ("", {})
    items: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    trained: Mapping[str, Path] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Images in a draw, before classes are thinned."""
        return round(self.share * min(len(self.train), self.most))

    def rows(self, seed: int) -> tuple[Rows, Rows]:
        """Rows to select from, in random order, and rows to test on; the same on every machine."""
        rng = np.random.default_rng([seed, *self.dataset.encode()])
        order = rng.permutation(self.train)
        rows, test = order[: self.size], self.test if len(self.test) else order[self.size :]
        if self.imbalance is not None:
            rows = thinned(rows, self.classes[rows], self.imbalance, rng)
        if len(test) > TEST_MOST:
            test = np.sort(np.random.default_rng(0).choice(test, TEST_MOST, replace=False))
        return rows, test

    def draw(self, seed: int) -> Draw:
        """What a seed sees: the same for every method."""
        rows, test = self.rows(seed)
        raw = np.load(self.features, mmap_mode="r")
        own = raw[rows]
        space = Preprocessing.fit(own, **self.space)
        train, other = (np.asarray(space.transform(part)) for part in (own, raw[test]))
        return Draw(train, self.classes[rows], other, self.classes[test], rows, test, space)

    def pictures(self, draw: Draw) -> tuple[Collection, Collection]:
        """The images of a draw, to learn from and to test on, without their labels."""
        source, options = self.collection
        every = replace(open_collection(source, **options), labels=None)
        return every.take(self.items[draw.rows]), every.take(self.items[draw.test_rows])


@dataclass(frozen=True)
class Draw(Data):
    """A seed's images: ``rows`` int64 [n] and ``test_rows`` int64 [q] of the pool, in a space."""

    rows: Rows
    test_rows: Rows
    space: Preprocessing


def thinned(rows: Rows, classes: Rows, imbalance: float, rng: np.random.Generator) -> Rows:
    """Rows of a long-tailed draw: class sizes fall exponentially from the largest possible.

    The class of rank r of C keeps a share ``imbalance ** (-r / (C - 1))`` of what the most
    frequent one keeps; which class is how frequent is drawn.
    """
    present, sizes = np.unique(classes, return_counts=True)
    ranks = rng.permutation(len(present))
    shares = imbalance ** (-ranks / max(1, len(present) - 1))
    most = (sizes / shares).min()  # every class can give its part of so large a head
    wanted = np.maximum(1, np.round(most * shares)).astype(np.int64)
    kept = np.zeros(len(rows), dtype=bool)
    for number, count in zip(present, wanted, strict=True):
        kept[np.flatnonzero(classes == number)[:count]] = True  # the rows are in random order
    return rows[kept]


def open_pools(
    dataset: DataSet,
    share: float,
    progress: Progress = silent,
    *,
    pretrained: Mapping[str, Entry] = MappingProxyType({}),
    on_images: Sequence[Entry] = (),
) -> list[Pool]:
    """Open a data set and encode it with each of its encoders; rows come from the cache.

    Parameters
    ----------
    pretrained : the encoders that the plan trains. Those that are used here are trained first.
    on_images : the plan's entries that train networks.

    Raises
    ------
    DataError : the source cannot be read, knows no labels, or holds no images to train on.
    UsageError : a budget larger than a draw.
    """
    collection = open_collection(dataset.source, **dataset.options)
    if collection.labels is None:
        raise DataError(
            f"{dataset.source} holds no labels, so nothing can be measured on it. "
            "Class folders, a label column or a labels array are needed."
        )
    if on_images and collection.images is None:
        raise DataError(
            f"{dataset.source} holds features alone, and {on_images[0].name} trains a network on "
            "images. Name a source of images, or leave the network out."
        )
    encoders = (GIVEN,) if collection.features is not None else dataset.encoders
    used = {*encoders, *(entry.own_encoder() for entry in on_images)}
    wanted = {name: entry for name, entry in pretrained.items() if name in used}
    trained = trained_encoders(wanted, collection, progress)
    return [
        _open_pool(dataset, collection, encoder, share, trained, progress) for encoder in encoders
    ]


def _open_pool(
    dataset: DataSet,
    collection: Collection,
    encoder: str,
    share: float,
    trained: Mapping[str, Path],
    progress: Progress,
) -> Pool:
    assert collection.labels is not None
    known = np.array([label is not None for label in collection.labels])
    used = np.flatnonzero(known & np.isin(collection.subsets, ["train", "test"]))
    used = _of_use(dataset, collection, used)
    part = collection.take(used)
    assert part.labels is not None
    name = str(trained.get(encoder, "auto" if encoder == GIVEN else encoder))
    embedding = embed(part, name, progress=progress)
    part = part.take(embedding.kept)
    assert part.labels is not None
    names, classes = np.unique(part.labels.astype(str), return_inverse=True)
    space = {**embedding.encoder.preprocessing, **dataset.space}
    rows = np.ascontiguousarray(embedding.rows[:])
    digest = array_digest(rows)
    path = cache_dir() / "benchmark" / f"{digest}.npy"
    if not path.exists():
        with atomic_write(path) as handle:
            np.save(handle, rows)
    limits = [dataset.most, share, dataset.imbalance]
    about = [RULES, dataset.name, digest, array_digest(classes), part.subsets.tolist(), limits]
    given = dataset.supervision if encoder == GIVEN else None
    pool = Pool(
        dataset=dataset.name,
        encoder=encoder if encoder in trained else embedding.encoder.name,
        features=path,
        classes=classes.astype(np.int64),
        names=tuple(names.tolist()),
        train=part.rows_in("train"),
        test=part.rows_in("test"),
        budgets=dataset.budgets,
        most=dataset.most,
        share=share,
        imbalance=dataset.imbalance,
        space=space,
        key=json_digest([*about, sorted(space.items())]),
        supervision=given or embedding.encoder.supervision,
        collection=(dataset.source, dict(dataset.options)),
        items=used[embedding.kept],
        trained=trained,
    )
    if not len(pool.test) and pool.size == len(pool.train):
        raise DataError(
            f"no test subset, and a share of {share} leaves no image to test on. "
            "Name a source with a test subset, or take a smaller share."
        )
    return pool


def _of_use(dataset: DataSet, collection: Collection, rows: Rows) -> Rows:
    """Of a subset far larger than what is drawn, a fixed part: nothing else is encoded."""
    if collection.features is not None:
        return rows
    kept = []
    for subset, most in (("train", ENCODED * dataset.most), ("test", TEST_MOST)):
        own = rows[collection.subsets[rows] == subset]
        if len(own) > most:
            own = np.random.default_rng(0).choice(own, most, replace=False)
        kept.append(own)
    return np.sort(np.concatenate(kept))


def check_pools(plan: Plan, pools: list[Pool]) -> None:
    """Refuse what no draw can serve, before anything is computed.

    Raises :class:`UsageError`: a budget, with all rounds, above the images of a draw; a start that
    leaves nothing to ask; fewer labels than classes for ``stratified``.
    """
    rounds = plan.rounds
    for pool in pools:
        size = len(pool.rows(0)[0])
        more = 0 if rounds is None else rounds.rounds * rounds.labels(len(pool.names))[1]
        for budget in pool.budgets:
            if budget + more >= size:
                key, less = ".budgets", "smaller budgets"
                if rounds is not None:
                    key, less = "", "fewer or smaller rounds"
                raise UsageError(
                    f"datasets.{pool.dataset}{key}: {budget + more} labels, but a draw holds "
                    f"{size} images. Take {less} or a larger share."
                )
            try:
                _check_stratified(plan, pool, budget)
            except UsageError as error:
                raise UsageError(f"datasets.{pool.dataset}: {error}") from error


def _check_stratified(plan: Plan, pool: Pool, budget: int) -> None:
    """Refuse fewer labels than classes where one of each is taken."""
    first = [(entry, budget) for entry in plan.methods]
    if plan.rounds is not None:
        first = [(plan.rounds.start, budget)]
    for entry, labels in first:
        if entry.asking is not None:
            try:
                labels = entry.asking.steps(budget, len(pool.names))[0]
            except UsageError as error:
                raise UsageError(f"methods.{entry.name}: {error}") from error
            entry = entry.asking.start
        if entry.method == "stratified" and labels < len(pool.names):
            raise UsageError(
                f"{labels} labels are too few for {entry.name}, which takes one of each of the "
                f"{len(pool.names)} classes. Raise the budget, or leave the method out."
            )
