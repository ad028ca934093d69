"""Every training of a ``full`` preset takes two steps, on small pictures and the small network."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from usl.active.tasks import KINDS  # noqa: E402
from usl.benchmarking.reproduction.constants import PRINTED  # noqa: E402
from usl.benchmarking.reproduction.recipe import read_recipe, recipe_names  # noqa: E402
from usl.core.methods import find_method  # noqa: E402
from usl.core.progress import silent  # noqa: E402
from usl.data.open import open_collection  # noqa: E402
from usl.learning.recipe import recipe_of  # noqa: E402
from usl.pretraining.contract import METHODS  # noqa: E402
from usl.pretraining.pretrain import pretrain  # noqa: E402
from usl.training.train_network import Examples, Place, train_network  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
PLACES = ("start", "steps")  # what a row says of its encoder, and how long it takes
TINY = {"size": 8, "batch_size": 4, "device": "cpu", "precision": "32"}


def full_plans(folder):
    """The plans of all recipes that have the preset."""
    for name in recipe_names():
        if name not in PRINTED and "full" in (recipe := read_recipe(name)).presets:
            yield recipe.plan("full", folder)


def told(entry):
    """What tells a training from others, fit for a set."""
    own = {key: value for key, value in entry.params.items() if key not in PLACES}
    return entry.method, tuple(sorted(own.items()))


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    return list(full_plans(tmp_path_factory.mktemp("none")))


def pictures(folder, count):
    """A collection of so many pictures of noise, 8 px."""
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    truth = np.arange(count)[:, None] % 2
    np.savez(folder / f"{count}.npz", train_images=images, train_labels=truth)
    return open_collection(folder / f"{count}.npz")


def test_every_network_of_a_full_row_takes_two_steps(plans, tmp_path):
    asked = [entry.asking.model for plan in plans for entry in plan.methods if entry.asking]
    learners = [entry for plan in plans for entry in plan.learners]
    networks = sorted({told(entry) for entry in [*asked, *learners] if entry.network})
    assert {"supervised", "fixmatch", "mixmatch", "comatch", "simclrv2_cld"} <= dict(
        networks
    ).keys()
    classes = np.where(np.arange(16) < 8, np.arange(16) % 2, -1)
    train = pictures(tmp_path, 16)
    examples = Examples(train.images, train.ids, classes, np.ones(16), train.source)
    for number, (method, params) in enumerate(networks):
        kind, module = find_method(KINDS, method)
        ratio = min(1, recipe_of(module, method, dict(params)["preset"]).ratio)
        place = Place(tmp_path / f"{number}", tmp_path / f"{number}.safetensors", lambda: None)
        given = {**TINY, **dict(params), "network": "compact", "ratio": ratio, "kind": kind}
        done = train_network(
            module, method, examples, ["a", "b"], place,
            steps=2, look=lambda task, _: task, progress=silent, **given,
        )  # fmt: skip
        assert int(done.seen.steps) == 2, (method, params)
        assert np.isfinite(done.history[-1]["loss"]), (method, params)


def test_every_encoder_of_a_full_row_takes_two_steps(plans, tmp_path):
    encoders = sorted({told(entry) for plan in plans for entry in plan.pretrained})
    assert {method for method, _ in encoders} == {"cld", "simclr"}
    for method, params in encoders:
        recipe = recipe_of(METHODS.load(method), method, dict(params)["preset"])
        train = pictures(tmp_path, 2 * recipe.batch_size)
        given = {**TINY, **dict(params), "batch_size": None, "network": "compact"}
        done = pretrain(train, tmp_path / method, method=method, epochs=1, **given)
        *_, last = (done.path / "metrics.jsonl").read_text("utf-8").splitlines()
        assert np.isfinite(json.loads(last)["loss"]), method
        assert json.loads(last)["step"] == 2, method
