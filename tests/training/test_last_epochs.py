"""The averages of the last epochs: kept, evaluated one by one, and their mean told."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from usl.core.errors import UsageError  # noqa: E402
from usl.evaluation.evaluate import evaluate  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.run.model_changes import activate_model  # noqa: E402
from usl.run.models import trained_model  # noqa: E402
from usl.training import last_epochs  # noqa: E402
from usl.training import train_network as driver  # noqa: E402
from usl.training.last_epochs import epochs_to_keep, kept_epochs  # noqa: E402
from usl.training.models import load_model  # noqa: E402
from usl.training.networks import mixmatch  # noqa: E402
from usl.training.train import train  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"size": 8, "batch_size": 4, "device": "cpu", "precision": "32", "method": "mixmatch"}
SMALL |= {"preset": "cpu"}  # random weights of the smallest network


@pytest.fixture
def short_epochs(monkeypatch):
    """Epochs of 2 steps."""
    for module in (last_epochs, driver):
        monkeypatch.setattr(module, "EPOCH", 2)


def test_the_mean_is_that_of_the_last_epochs(run, short_epochs):
    done = train(run, **SMALL, steps=9, last_epochs=3)
    folder = trained_model(done.path).path / "epochs"
    assert sorted(file.name for file in folder.glob("*.npz")) == [
        "000002.npz",
        "000003.npz",
        "000004.npz",
    ]
    found = evaluate(done)["last_epochs"]
    assert found["epochs"] == [2, 3, 4]
    photos = sorted((run.path.parent / "photos" / "test").rglob("*.png"))
    expected = []
    for epoch in (2, 3, 4):
        model, names = load_model(folder / f"{epoch:06d}.npz")
        rows = open_encoder(str(folder / f"{epoch:06d}.safetensors")).encode(
            [Image.open(photo) for photo in photos]
        )
        best = model.probabilities(rows).argmax(axis=1)
        expected.append(
            np.mean([names[b] == p.parent.name for b, p in zip(best, photos, strict=True)])
        )
    assert found["test"]["accuracies"] == pytest.approx(expected)
    assert found["test"]["mean"] == pytest.approx(np.mean(expected))
    assert found["test"]["median"] == pytest.approx(np.median(expected))
    told = json.loads((done.path / "run.json").read_text())["training"]["parameters"]
    assert told["last_epochs"] == 3
    kept = activate_model(train(done, method="nearest_mean", use=True), "mixmatch")
    assert trained_model(kept.path).path.name == "mixmatch"
    assert evaluate(kept)["last_epochs"] == found


def test_the_last_of_them_is_the_final_average(run, short_epochs):
    done = train(run, **SMALL, steps=4, last_epochs=1)
    kept = open_encoder(str(trained_model(done.path).path / "epochs" / "000002.safetensors"))
    final = open_encoder(str(done.path / "trained.safetensors"))
    picture = [Image.new("RGB", (8, 8), (200, 30, 90))]
    np.testing.assert_array_equal(kept.encode(picture), final.encode(picture))


def test_another_training_does_not_inherit_them(run, short_epochs):
    train(run, **SMALL, steps=4, last_epochs=2)
    done = train(run, **SMALL, steps=4, use=True)
    assert "last_epochs" not in evaluate(done)
    again = train(run, **SMALL, steps=6, last_epochs=1, use=True)
    assert evaluate(again)["last_epochs"]["epochs"] == [3]
    folder = trained_model(again.path).path / "epochs"
    assert [file.name for file in folder.glob("*.npz")] == ["000003.npz"]


def test_how_many_there_are():
    assert epochs_to_keep(None, 20, 2**20) == 20
    assert epochs_to_keep(None, 20, 5000) == 4
    assert epochs_to_keep(None, 20, 900) == 0
    assert epochs_to_keep(0, 20, 2**20) == 0
    with pytest.raises(UsageError, match=r"last_epochs: 5 given, but 4,096 steps are 4 epochs"):
        epochs_to_keep(5, 20, 4096)


def test_the_papers_settings_keep_twenty():
    """6.12: 1,024 epochs of 1,024 steps, averaged over the last 20 epochs."""
    for preset in ("cifar", "imagenet"):
        assert mixmatch.RECIPES[preset].last_epochs == 20
        assert mixmatch.RECIPES[preset].steps == 1024 * last_epochs.EPOCH
    assert mixmatch.RECIPES["cpu"].last_epochs == 0


def test_files_that_are_gone_are_none(tmp_path):
    assert kept_epochs(tmp_path, {"steps": 4096, "last_epochs": 2}) == []
    assert kept_epochs(tmp_path, {}) == []
