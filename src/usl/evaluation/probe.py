"""Probes of a representation, with labels: k nearest neighbours and linear classification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.data.collection import Collection
from usl.numeric.arrays import Float32
from usl.numeric.distances import nearest

HELD_OUT = 5  # without a test subset every fifth image is held out
MOST = 10_000  # images asked about


def knn_accuracy(
    features: Float32,
    classes: NDArray[np.int64],
    queries: Float32,
    answers: NDArray[np.int64],
    *,
    k: int = 200,
) -> float:
    """Share of queries whose k nearest neighbours by cosine vote for the right class.

    The protocol of Wu et al. (2018) without temperature: every neighbour has one vote, ties go to
    the lower class number.

    Parameters
    ----------
    features, queries : float32 [n, d] and [q, d]; normalised here.
    classes, answers : int64 [n] and [q].
    k : neighbours; at most n.
    """
    from sklearn.preprocessing import normalize

    found, _ = nearest(normalize(queries), normalize(features), min(k, len(features)))
    votes = np.zeros((len(queries), int(classes.max()) + 1), dtype=np.int64)
    np.add.at(votes, (np.arange(len(queries))[:, None], classes[found]), 1)
    return float((votes.argmax(axis=1) == answers).mean())


def linear_accuracy(
    features: Float32,
    classes: NDArray[np.int64],
    queries: Float32,
    answers: NDArray[np.int64],
    *,
    c: float = 0.01,
) -> float:
    """Accuracy of logistic regression on frozen, standardised features: the linear protocol.

    ``c`` is the inverse strength of the regularisation against the summed loss, as in scikit-learn.
    """
    from sklearn.linear_model import LogisticRegression

    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    model = LogisticRegression(C=c, max_iter=300)
    model.fit((features - mean) / deviation, classes)
    return float((model.predict((queries - mean) / deviation) == answers).mean())


def knn_probe(
    collection: Collection, train: NDArray[np.int64], pictures: Any
) -> Callable[[Callable[[Any], Any]], Mapping[str, float]]:
    """The probe of ``usl pretrain --probe``: kNN accuracy on the test subset, k = 200.

    In small collections k is a twentieth of the images. Without labelled test images every fifth
    train image is asked about, and left out of the answers. Labels are read here alone, for a
    figure to look at; training never sees them.

    Parameters
    ----------
    train, pictures : rows of the collection that training uses, and their pictures in that order
        (:class:`usl.learning.pictures.Pictures`).
    """
    from usl.learning.pictures import Pictures

    if collection.labels is None or collection.images is None:
        raise DataError(f"{collection.source}: --probe needs images with known labels.")
    known = np.array([label is not None for label in collection.labels])
    test = collection.rows_in("test")
    test = test[known[test]][:MOST]
    others = None
    if len(test):
        others = Pictures(collection.images.take(test), pictures.side, name=collection.source)
        test = test[others.rows]
    used = np.concatenate([train[known[train]], test])
    names = np.unique(collection.labels[used].astype(str))
    classes, answers = (
        np.searchsorted(names, np.where(known[rows], collection.labels[rows], "").astype(str))
        for rows in (train, test)
    )
    answering = known[train]
    asked = np.flatnonzero(answering)[::HELD_OUT][:MOST] if others is None else np.empty(0, int)
    answering[asked] = False
    if not answering.any() or not (len(asked) or len(test)):
        raise DataError(f"{collection.source}: too few known labels for --probe.")

    def probe(encode: Callable[[Any], Any]) -> dict[str, float]:
        features = encode(pictures).numpy()
        if others is None:
            queries, truth = features[asked], classes[asked]
        else:
            queries, truth = encode(others).numpy(), answers
        k = max(1, min(200, int(answering.sum()) // 20))  # in a small set 200 would be everybody
        accuracy = knn_accuracy(features[answering], classes[answering], queries, truth, k=k)
        return {"knn_accuracy": round(accuracy, 4)}

    return probe
