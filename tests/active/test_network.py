"""A network trained on the pictures, and what is asked through it."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from usl.active.network import most_wanted, query_network  # noqa: E402
from usl.active.outputs import Outputs  # noqa: E402
from usl.active.tasks import TASKS, asker_of  # noqa: E402
from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.core.progress import silent  # noqa: E402
from usl.data.images import ArrayImages  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.training import train_network as driver  # noqa: E402
from usl.training.train_network import Examples, Place  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {
    "preset": "cpu",
    "size": 8,
    "steps": 3,
    "batch_size": 4,
    "device": "cpu",
    "precision": "32",
}
NAMES = ["red", "green"]
LABELED = np.array([3, 10, 21, 40])


@pytest.fixture(scope="module")
def examples():
    """60 pictures of two colours, four with a label."""
    rng = np.random.default_rng(0)
    colours = np.array([[210, 40, 40], [40, 210, 40]])
    own = np.arange(60) % 2
    pixels = colours[own][:, None, None] + rng.normal(0, 30, (60, 8, 8, 3))
    classes = np.full(60, -1)
    classes[LABELED] = own[LABELED]
    return Examples(
        ArrayImages(pixels.clip(0, 255).astype(np.uint8)),
        np.array([f"{number:02d}" for number in range(60)]),
        classes,
        np.ones(60),
        "colours",
    )


def ask(examples, folder, **options):
    folder.mkdir(exist_ok=True)
    place = Place(folder / "training", folder / "trained.safetensors", lambda: None)
    return query_network(
        examples, 5, class_names=NAMES, place=place, **{"method": "margin", **SMALL, **options}
    )


def test_it_asks_by_what_the_written_network_says(examples, tmp_path):
    made = ask(examples, tmp_path, task="fixmatch", method="margin")
    trained = open_encoder(str(made.trained.encoder))
    pictures = [examples.images.read(row) for row in range(60)]
    features = trained.encode(pictures)
    p = made.trained.model.probabilities(features)
    np.testing.assert_allclose(made.predictions, p, atol=1e-5)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(made.features, unit, atol=1e-5)
    margins = np.abs(p[:, 0] - p[:, 1])
    margins[LABELED] = np.inf
    assert set(made.query.indices.tolist()) == set(np.argsort(margins)[:5].tolist())
    assert made.trained.parameters["method"] == made.task == "fixmatch"


@pytest.mark.parametrize(
    ("method", "task"),
    [("coreset", "supervised"), ("mma", "mixmatch"), ("cbssal", "mixmatch"), ("tod", "tod")],
)
def test_a_strategy_has_the_task_that_it_was_published_with(method, task):
    asker = asker_of(method)
    assert (asker.task, asker.by_itself) == (task, False)


def test_core_set_of_a_semi_supervised_network_is_core_set_on_its_features():
    asker = asker_of("coreset_ssl")
    assert (asker.method, asker.task) == ("coreset", "mixmatch")


def test_a_task_ranks_by_itself_only_for_its_own_strategy():
    assert asker_of("llal").by_itself
    assert not asker_of("margin", "llal").by_itself


def test_the_largest_that_a_task_wants_come_first(examples, tmp_path):
    made = ask(examples, tmp_path, method="mcdal", candidates=np.arange(0, 60, 2))
    distances = made.query.figures["distance"]
    assert np.all(np.diff(distances) <= 0)
    assert np.all(made.query.indices % 2 == 0)
    wanted = np.array([0.2, 0.9, 0.5, 0.9, 0.1])
    task = SimpleNamespace(FIGURE="so", REASON="because")
    first = most_wanted(wanted, 3, np.array([0, 1, 3, 4]), task)
    assert first.indices.tolist() == [1, 3, 0]
    assert (first.reasons, first.figures["so"].tolist()) == (("because",) * 3, [0.9, 0.9, 0.2])


def test_views_are_weak_ones_and_the_same_at_every_call(examples, tmp_path):
    seen = []

    def look(task, pictures):
        outputs = Outputs(task, pictures, "cpu", 0, silent)
        seen.extend([outputs.seen()[1], list(outputs.views(3)), list(outputs.views(2))])

    place = Place(tmp_path / "training", tmp_path / "trained.safetensors", lambda: None)
    module = TASKS.load("tod")
    options = {**SMALL, "progress": silent, "kind": TASKS, "look": look}
    driver.train_network(module, "tod", examples, NAMES, place, **options)
    plain, three, two = seen
    for one, same in zip(three, two, strict=False):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(three[0], three[1])
    assert three[0].shape == plain.shape
    np.testing.assert_allclose(three[0].sum(axis=1), 1)


@pytest.mark.parametrize("method", ["vaal", "mma"])
def test_a_stopped_training_goes_on_to_the_same_query(examples, tmp_path, method, monkeypatch):
    whole = ask(examples, tmp_path / "whole", method=method)
    original = driver.Streams.__call__

    def stops(self, step, rank, ranks):
        if step > 1:
            raise KeyboardInterrupt
        return original(self, step, rank, ranks)

    with monkeypatch.context() as patch:
        patch.setattr(driver.Streams, "__call__", stops)
        with pytest.raises(KeyboardInterrupt):
            ask(examples, tmp_path / "parts", method=method, checkpoint_minutes=0)
    done = ask(examples, tmp_path / "parts", method=method, resume=True)
    assert done.trained.encoder.read_bytes() == whole.trained.encoder.read_bytes()
    np.testing.assert_array_equal(done.query.indices, whole.query.indices)
    np.testing.assert_array_equal(done.predictions, whole.predictions)


def test_the_network_before_is_what_tod_compares_with(examples, tmp_path):
    before = np.tile([0.25, 0.75], (60, 1))
    made = ask(examples, tmp_path, method="tod", previous=before)
    discrepancy = ((made.predictions - before) ** 2).sum(axis=1) / 2
    discrepancy[LABELED] = -1
    first = np.argsort(-discrepancy, kind="stable")[:5]
    np.testing.assert_array_equal(made.query.indices, first)


def test_a_picture_that_cannot_be_read_is_never_asked_for(examples, tmp_path):
    class Torn(ArrayImages):
        def read(self, row):
            if self.rows[row] == 7:
                raise DataError("torn")
            return super().read(row)

    torn = dataclasses.replace(examples, images=Torn(examples.images.array))
    made = ask(torn, tmp_path, candidates=[5, 6, 7, 8, 9, 11], task="supervised")
    assert sorted(made.query.indices.tolist()) == [5, 6, 8, 9, 11]
    assert made.predictions[7].tolist() == [0.5, 0.5]
    assert not made.features[7].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "stratified"}, "'stratified' reads the answers of all images"),
        ({"task": "fixmach"}, "Unknown task 'fixmach'. Did you mean 'fixmatch'"),
        ({"task": "logistic"}, "Unknown task 'logistic'"),
        ({"candidates": LABELED}, "budget: 5 given, but there are 0 rows"),
        ({"params": {"looks": 3}}, "no parameter 'looks'"),
        ({"method": "vaal", "params": {"looks": 3}}, "looks: 'vaal' has no such parameter"),
        ({"method": "llal", "moved": 2.0}, "moved"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    examples, tmp_path, options, message, monkeypatch
):
    monkeypatch.setattr("usl.training.train_network.open_pictures", None)
    with pytest.raises(UsageError, match=re.escape(message)):
        ask(examples, tmp_path, **options)


def test_two_classes_are_needed(examples, tmp_path):
    alone = dataclasses.replace(examples, classes=np.where(examples.classes == 1, 1, -1))
    with pytest.raises(UsageError, match="two classes at least"):
        ask(alone, tmp_path)


def test_predictions_of_before_have_the_same_classes(examples, tmp_path):
    with pytest.raises(DataError, match="previous: 3 classes, but there are 2"):
        ask(examples, tmp_path, previous=np.full((60, 3), 1 / 3))
