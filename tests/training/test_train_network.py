"""Methods that train a network on the images of a run, from labels to predictions."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from usl.cli import main  # noqa: E402
from usl.core.errors import DataError, TrainingFailedError, UsageError  # noqa: E402
from usl.evaluation.evaluate import evaluate  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.learning.recipe import recipe_of  # noqa: E402
from usl.run.folder import Run  # noqa: E402
from usl.selection.start_run import start_run  # noqa: E402
from usl.training import train_network as driver  # noqa: E402
from usl.training.contract import NETWORKS  # noqa: E402
from usl.training.models import load_model  # noqa: E402
from usl.training.shared.streams import Endless  # noqa: E402
from usl.training.train import train  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
METHODS = NETWORKS.names()
SMALL = {"size": 8, "steps": 6, "batch_size": 4, "device": "cpu", "precision": "32"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_labels_every_image(run, method):
    done = train(run, method=method, **SMALL)
    model, names = load_model(done.models()[0].path / "model.npz")
    assert names == ["green", "red"]
    with open(done.path / "predictions.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 48
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)
    human = [row for row in rows if row["source"] == "human"]
    assert all(row["label"] in row["image_id"] for row in human)
    assert len(human) == 6
    figures = evaluate(done)
    assert {"test", "train"} <= figures.keys()
    trained = open_encoder(str(done.path / "trained.safetensors"))
    pictures = [Image.open(run.path.parent / "photos" / row["image_id"]) for row in rows[6:]]
    best = model.probabilities(trained.encode(pictures)).argmax(axis=1)
    assert [names[number] for number in best] == [row["label"] for row in rows[6:]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", [1, 4])
def test_a_stopped_training_goes_on_to_the_same_weights(run, method, stop, monkeypatch):
    whole = train(run, method=method, **SMALL)
    expected = (whole.path / "trained.safetensors").read_bytes()
    model = (whole.models()[0].path / "model.npz").read_bytes()
    original = driver.Streams.__call__

    def stops(self, step, rank, ranks):
        if step > stop:
            raise KeyboardInterrupt
        return original(self, step, rank, ranks)

    with monkeypatch.context() as patch:
        patch.setattr(driver.Streams, "__call__", stops)
        with pytest.raises(KeyboardInterrupt):
            train(run, method=method, checkpoint_minutes=0, **SMALL)
    done = train(run, method=method, resume=True, **SMALL)
    assert (done.path / "trained.safetensors").read_bytes() == expected
    assert (done.models()[0].path / "model.npz").read_bytes() == model


@pytest.mark.parametrize("method", METHODS)
def test_presets_are_complete(method):
    module = NETWORKS.load(method)
    for preset in ("cpu", "cifar", "imagenet"):
        recipe = recipe_of(module, method, preset)
        assert recipe.steps > 0


@pytest.mark.parametrize("method", METHODS)
def test_presets_choose_the_networks_of_the_literature(method):
    recipes = NETWORKS.load(method).RECIPES
    assert {preset: recipe.network_for(10) for preset, recipe in recipes.items()} == {
        "cpu": "compact",
        "cifar": "resnet18" if method.startswith("simclr") else "wrn28_2",
        **{preset: "resnet50" for preset in recipes if preset.startswith("imagenet")},
    }
    # Sohn et al. 2020 and the paper, 6.12: WRN-28-8 for CIFAR-100.
    wide = recipes["cifar"].network_for(100)
    assert wide == ("resnet18" if method.startswith("simclr") else "wrn28_8")


def test_the_run_says_which_network_was_trained(run):
    def trained(**given):
        done = train(run, method="supervised", **{**SMALL, "steps": 1}, **given)
        return json.loads((done.path / "run.json").read_text())["training"]["parameters"]

    assert trained()["network"] == "compact"
    assert trained(preset="cifar")["network"] == "wrn28_2"
    assert trained(preset="cifar", network="compact")["network"] == "compact"


def test_it_starts_from_an_encoder_frozen_or_not(run):
    train(run, method="fixmatch", **SMALL)
    start = run.path / "start.safetensors"
    (run.path / "trained.safetensors").rename(start)
    frozen = train(run, method="fixmatch", model=str(start), frozen=True, **SMALL)
    assert frozen.info["training"]["encoder"]["supervision"] == "labels of this collection"
    picture = Image.new("RGB", (8, 8), "red")
    before, after = (
        open_encoder(str(path)).encode([picture])
        for path in (start, run.path / "trained.safetensors")
    )
    np.testing.assert_allclose(before, after, rtol=1e-5)
    train(run, method="fixmatch", model=str(start), **SMALL)
    moved = open_encoder(str(run.path / "trained.safetensors")).encode([picture])
    assert np.abs(moved - before).max() > 1e-4


def test_what_cannot_be_done_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="no preset 'tpu'"):
        train(run, method="fixmatch", preset="tpu", **SMALL)
    with pytest.raises(UsageError, match="no parameter 'taau'"):
        train(run, method="fixmatch", taau=0.5, **SMALL)
    with pytest.raises(DataError, match="no checkpoint to resume"):
        train(run, method="fixmatch", resume=True, **SMALL)
    with pytest.raises(TrainingFailedError, match="not finite"):
        train(run, method="fixmatch", lr=1e30, **SMALL)
    features = tmp_path / "features.npy"
    np.save(features, np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32))
    made = start_run(features, 4, tmp_path / "other", method="random")
    path = made.path / "split.csv"
    rows = path.read_text().splitlines()
    for number in range(1, 5):
        rows[number] = rows[number].replace("requested,", f"requested,{'ab'[number % 2]}", 1)
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match="features alone"):
        train(Run.open(made.path), method="fixmatch")


def test_the_command_line(run, capsys):
    command = ["train", str(run.path), "--method", "fixmatch", "--steps", "2", "--batch-size", "4"]
    assert main([*command, "--size", "8", "--tau", "0.5"]) == 0
    assert "Trained fixmatch on 6 labels" in capsys.readouterr().out
    assert main(["report", str(run.path)]) == 0


def test_a_batch_may_be_larger_than_the_set():
    stream = Endless(5, 12, seed=0, stream=0)
    drawn = np.concatenate([stream.rows(step) for step in range(5)])
    assert (np.bincount(drawn) == 12).all()  # 60 draws of 5 rows, evenly
    np.testing.assert_array_equal(Endless(5, 12, seed=0, stream=0).rows(3), stream.rows(3))
