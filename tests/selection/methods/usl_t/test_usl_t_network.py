"""USL-T end to end: the same losses, a trained encoder in the run folder, resuming, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

import usl  # noqa: E402
from usl.core.errors import DataError, TrainingFailedError, UsageError  # noqa: E402
from usl.core.files import cache_dir  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.learning.loop_options import CHECKPOINT, LoopOptions  # noqa: E402
from usl.learning.pictures import Pictures  # noqa: E402
from usl.numeric.arrays import softmax  # noqa: E402
from usl.numeric.table import as_table  # noqa: E402
from usl.selection.methods.usl_t import losses as arrays  # noqa: E402
from usl.selection.methods.usl_t import network  # noqa: E402
from usl.selection.methods.usl_t.heads import train_heads  # noqa: E402
from usl.selection.methods.usl_t.step import Training  # noqa: E402
from usl.selection.start_run import start_run  # noqa: E402


@pytest.fixture
def photos(coloured):
    return coloured(48)


def run(photos, out, encoder, **more):
    return start_run(
        photos,
        4,
        out,
        method="usl_t",
        model=encoder,
        **{"preset": "threshold", "steps": 60, "k": 5, "end_to_end": True, "epochs": 2, **more},
    )


@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_losses_are_those_of_the_frozen_heads(tau):
    rng = np.random.default_rng(1)
    logits, calm, neighbor = rng.normal(size=(3, 9, 5))
    mean = rng.dirichlet(np.ones(5))
    reference = softmax(calm.copy())
    outer, outer_gradient = arrays.global_loss(softmax(logits.copy()), reference, tau=tau)
    target = arrays.local_target(neighbor, mean, alpha=2.0, t=0.5)
    inner, inner_gradient = arrays.local_loss(softmax(logits.copy()), target)

    z = torch.tensor(logits)[None].requires_grad_()
    prediction = z.log_softmax(2)
    confidence, hard = torch.tensor(calm)[None].softmax(2).max(2)
    first = network.global_loss(prediction, hard, confidence >= tau)
    soft = network.local_target(
        torch.tensor(neighbor)[None], torch.tensor(mean)[None], alpha=2.0, t=0.5
    )
    second = network.local_loss(prediction, soft)
    assert first.item() == pytest.approx(outer, rel=1e-9)
    assert second.item() == pytest.approx(inner, rel=1e-9)
    np.testing.assert_allclose(soft[0], target, rtol=1e-9)
    (first + 5 * second).sum().backward()
    np.testing.assert_allclose(z.grad[0], outer_gradient + 5 * inner_gradient, atol=1e-9)


def test_a_run_keeps_the_trained_encoder(photos, tmp_path, encoder):
    made = run(photos, tmp_path / "run", encoder)
    picked = made.info["selection"]["parameters"]
    assert picked["end_to_end"] is True
    assert picked["epochs"] == 2
    trained = open_encoder(str(tmp_path / "run"))
    assert trained.supervision == "none"
    picture = Image.open(photos / "00.png")
    before = open_encoder(encoder).encode([picture])
    assert np.abs(trained.encode([picture]) - before).max() > 1e-3
    again = run(photos, tmp_path / "again", encoder)
    assert again.split().requested().tolist() == made.split().requested().tolist()
    assert open_encoder(str(tmp_path / "again")).key == trained.key
    assert '"network": true' in (tmp_path / "run" / "metrics.jsonl").read_text()


@pytest.mark.filterwarnings("ignore:.*clusters are empty")  # few steps on 48 pictures
def test_a_stopped_training_goes_on(photos, tmp_path, encoder, monkeypatch):
    whole = run(photos, tmp_path / "whole", encoder, epochs=4)

    class Stops(network.Pairs):
        def __call__(self, step, rank, ranks):
            if step == 2:
                raise KeyboardInterrupt
            return super().__call__(step, rank, ranks)

    patched = network.run_loop

    def keeps_every_step(*a, options, **k):
        return patched(*a, options=replace(options, checkpoint_minutes=0), **k)

    with monkeypatch.context() as patch:
        patch.setattr(network, "Pairs", Stops)
        patch.setattr(network, "run_loop", keeps_every_step)
        with pytest.raises(KeyboardInterrupt, match="The same command goes on from there"):
            run(photos, tmp_path / "run", encoder, epochs=4)
    assert len(list((cache_dir() / "training").rglob(CHECKPOINT))) == 1
    resumed = run(photos, tmp_path / "run", encoder, epochs=4)
    assert open_encoder(str(resumed.path)).key == open_encoder(str(whole.path)).key
    assert not list((cache_dir() / "training").rglob(CHECKPOINT))


def test_collapse_stops_the_training(photos, tmp_path, encoder, monkeypatch):
    monkeypatch.setattr(network, "normalized_entropy", lambda sizes: 0.1)
    with pytest.raises(TrainingFailedError, match="collapsed"):
        run(photos, tmp_path / "run", encoder)


def test_what_cannot_be_trained_is_refused(photos, tmp_path):
    with pytest.raises(UsageError, match="cannot be trained"):
        run(photos, tmp_path / "run", "pixels")
    features = tmp_path / "features.npy"
    np.save(features, np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32))
    with pytest.raises(DataError, match="needs images"):
        run(features, tmp_path / "run", "auto")
    with pytest.raises(UsageError, match="end_to_end"):
        usl.select(
            np.random.default_rng(0).normal(size=(30, 8)),
            3,
            method="usl_t",
            steps=20,
            end_to_end=True,
        )


def test_the_space_is_that_of_the_preprocessing(photos, encoder):
    from usl.data.open import open_collection
    from usl.features.space import open_space

    collection = open_collection(photos)
    space = open_space(collection, encoder, settings={"standardize": True, "pca": 6})
    fitted = space.preprocessing
    backbone = open_encoder(encoder).backbone()
    source = network.Trainable(
        lambda: backbone,
        lambda size, progress: Pictures(collection.images, size),
        mean=fitted.mean,
        deviation=fitted.deviation,
        components=fitted.components,
        options=LoopOptions(device="cpu", precision="32"),
    )
    rng = np.random.default_rng(0)
    near = rng.integers(48, size=(48, 3))
    heads, _ = train_heads(
        as_table(space.features),
        near,
        4,
        Training(scale=5.0, steps=20),
        seed=0,
        progress=lambda *a: None,
    )
    task = network.Clusters(backbone, source, heads, Training(scale=5.0))
    features = network.encode(backbone, Pictures(collection.images, 16))
    np.testing.assert_allclose(task.to_space(features), space.features, atol=2e-4)
