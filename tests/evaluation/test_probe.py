"""Asking a representation with labels: nearest neighbours and a linear classifier."""

from __future__ import annotations

import numpy as np
import pytest

from usl.core.errors import DataError
from usl.data.collection import Collection
from usl.data.images import ArrayImages
from usl.evaluation.probe import knn_accuracy, knn_probe, linear_accuracy


def test_knn_votes_as_counted_by_hand(blobs):
    features, classes = blobs
    rng = np.random.default_rng(0)
    noisy = rng.permutation(classes)  # so that votes are close
    expected = 0
    for query, answer in zip(features[:50], noisy[:50], strict=True):
        cosine = features @ query
        votes = np.bincount(noisy[np.argsort(-cosine, kind="stable")[:7]], minlength=6)
        expected += votes.argmax() == answer
    found = knn_accuracy(3 * features, noisy, 2 * features[:50], noisy[:50], k=7)
    assert found == pytest.approx(expected / 50, abs=0.021)  # equal distances may swap
    assert knn_accuracy(features, classes, features, classes, k=20) == 1.0
    assert knn_accuracy(features, classes, features, classes, k=10_000) == pytest.approx(1 / 6)


def test_linear_accuracy_separates_what_is_separable(blobs):
    features, classes = blobs
    assert linear_accuracy(features[::2], classes[::2], features[1::2], classes[1::2]) > 0.99


@pytest.mark.parametrize("test", [0, 10])
def test_the_probe_reads_labels_of_those_it_asks_about_alone(test):
    pytest.importorskip("torch")
    from usl.learning.pictures import Pictures

    classes = np.arange(60) % 3
    pixels = np.zeros((60, 8, 8, 3), np.uint8)
    pixels[np.arange(60), :, :, classes] = 200
    labels = classes.astype(str).astype(object)
    labels[5] = None
    collection = Collection(
        ids=np.arange(60).astype(str),
        subsets=np.where(np.arange(60) < 60 - test, "train", "test"),
        images=ArrayImages(pixels),
        labels=labels,
    )
    train = collection.rows_in("train")[1:]
    pictures = Pictures(collection.images.take(train), 8)

    def encode(of):
        return of(np.arange(len(of))).float().mean((2, 3))

    assert knn_probe(collection, train, pictures)(encode)["knn_accuracy"] > 0.5

    def blind(of):
        return encode(of) * 0 + 1

    assert knn_probe(collection, train, pictures)(blind)["knn_accuracy"] < 0.5


def test_the_probe_needs_labels():
    collection = Collection(
        np.array(["a"]), np.array(["train"]), images=ArrayImages(np.zeros((1, 8, 8), np.uint8))
    )
    with pytest.raises(DataError, match="known labels"):
        knn_probe(collection, np.array([0]), None)
