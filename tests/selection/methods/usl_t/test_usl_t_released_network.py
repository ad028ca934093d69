"""USL-T end to end as released: one step against the source's losses, and what is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import usl  # noqa: E402
from usl.core.errors import UsageError  # noqa: E402
from usl.learning.augment import Scan  # noqa: E402
from usl.learning.backbone import new_backbone  # noqa: E402
from usl.selection.methods.usl_t import network  # noqa: E402
from usl.selection.methods.usl_t.end_to_end import random_heads  # noqa: E402
from usl.selection.methods.usl_t.network_losses import class_weights, global_loss  # noqa: E402
from usl.selection.methods.usl_t.presets import PRESETS  # noqa: E402
from usl.selection.methods.usl_t.together import RELEASED, together  # noqa: E402
from usl.selection.start_run import start_run  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:usl_t. .* clusters are empty")
STORED = np.load(Path(__file__).parent / "released_losses.npz")  # the release's own losses, run


@pytest.fixture
def photos(coloured):
    return coloured(32)


def run(photos, out, encoder, **more):
    return start_run(photos, 4, out, method="usl_t", model=encoder, k=5, preset="released", **more)


@pytest.mark.parametrize("tau", [0.0, 0.95])
@pytest.mark.parametrize("sureness", ["unsure", "mixed", "sure"])
@pytest.mark.parametrize(("config", "by"), [("cifar10", "sure"), ("cifar100", "batch")])
def test_class_weights_of_a_network_are_the_releases(sureness, tau, config, by):
    logits = torch.tensor(STORED[f"global_{sureness}_logits"])[None].requires_grad_()
    confidence, hard = logits.detach().softmax(2).max(2)
    counted = class_weights(hard, confidence >= tau, logits.shape[2], by)
    value = global_loss(logits.log_softmax(2), hard, counted)
    value.sum().backward()
    name = f"global_{sureness}_tau{tau}_{config}"
    assert value.item() == pytest.approx(float(STORED[f"{name}_value"]), abs=1e-5)
    np.testing.assert_allclose(logits.grad[0], STORED[f"{name}_gradient"], atol=1e-5)


def reference_step(backbone, linears, views, near_mean, tau=0.36):
    """usl-t-cifar-pretrain.py, ours_train, for one batch: loss with gradients in ``linears``."""
    outputs = {}
    for name in ("plain", "strong", "neighbor"):  # three passes, each in training mode
        with torch.set_grad_enabled(name == "strong"):
            pooled = backbone(views[name])
            outputs[name] = [linear(pooled) for linear in linears]
    total = 0.0
    for head in range(len(linears)):
        plain, strong, neighbor = (outputs[name][head] for name in outputs)
        highest, target = plain.softmax(1).max(1)
        mask = highest > tau
        counts = torch.bincount(target[mask], minlength=plain.shape[1])
        weight = (mask.sum() / counts.clamp(min=1))[target] * mask
        outer = (F.cross_entropy(strong, target, reduction="none") * weight).sum() / weight.sum()
        adjusted = (neighbor - 5.0 * near_mean[head].log()).softmax(1) ** 4  # T = .25
        adjusted = adjusted / adjusted.sum(1, keepdim=True)
        inner = F.kl_div(strong.log_softmax(1), adjusted, reduction="batchmean")
        total = total + outer + 5.0 * inner
    return total


def test_a_step_is_the_releases(one_thread):
    torch.manual_seed(0)
    ours, theirs = (new_backbone("compact", size=16, seed=0).train() for _ in range(2))
    training = PRESETS["released"][0].training
    training = network.replace(training, tau=0.36)
    heads = random_heads(ours.dim, 5, training, seed=3)
    source = network.Trainable(lambda: ours, lambda size, progress: None)
    task = network.Clusters(ours, source, heads, training, RELEASED).train()
    views = {name: torch.rand(12, 3, 16, 16) for name in ("plain", "strong", "neighbor")}
    loss, figures = task(views)
    loss.backward()

    linears = []
    for head in heads:
        linear = nn.Linear(theirs.dim, 5)
        linear.weight.data, linear.bias.data = map(torch.tensor, (head.weight, head.bias))
        linears.append(linear)
    expected = reference_step(theirs, linears, views, torch.full((3, 5), 0.2))
    expected.backward()
    assert 0 < figures["above_tau"] < 1, figures["confidence"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for number, linear in enumerate(linears):
        for mine, other in ((task.weight, linear.weight), (task.bias, linear.bias)):
            torch.testing.assert_close(mine.grad[number], other.grad, atol=1e-5, rtol=1e-4)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-4, rtol=1e-3)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


def test_heads_begin_as_torch_begins_a_linear_layer():
    heads = random_heads(64, 50, PRESETS["released"][0].training, seed=0)
    assert len(heads) == 3
    assert not np.array_equal(heads[0].weight, heads[1].weight)
    for head in heads:
        assert head.scale == 1
        assert np.abs(head.weight).max() <= 1 / 8
        assert head.weight.std() == pytest.approx(1 / 8 / 3**0.5, rel=0.05)
        assert np.abs(head.bias).max() <= 1 / 8


def test_the_release_trains_as_released_and_the_run_says_so(photos, tmp_path, encoder, monkeypatch):
    asked = {}
    patched = network.run_loop

    def watched(task, pairs, **how):
        asked.update(how, views=task.strong, width=task.weight.shape)
        return patched(task, pairs, **how)

    monkeypatch.setattr(network, "run_loop", watched)
    made = run(photos, tmp_path / "run", encoder, end_to_end=True, epochs=3)
    optimizer = asked["optimizer"]
    assert (optimizer.name, optimizer.lr, optimizer.schedule) == ("adam", 1e-4, "constant")
    assert optimizer.weight_decay == 1e-4
    assert isinstance(asked["views"], Scan)
    backbone = new_backbone("compact", size=16, seed=0)
    assert asked["width"] == (3, 4, backbone.dim)  # three heads on the backbone's own features
    told = made.info["selection"]["parameters"]
    expected = {
        "preset": "released",
        "end_to_end": True,
        "epochs": 3,
        "network_lr": 1e-4,
        "network_schedule": "constant",
        "network_batch": 32,  # there are no more images
        "network_views": "scan",
        "heads_first": False,
        "heads_see": "features of the backbone",
        "reweight": "sure",
        "heads": 3,
    }
    assert {name: told.get(name) for name in expected} == expected
    for never_done in ("steps", "batch_size", "lr"):
        assert never_done not in told
    history = [json.loads(line) for line in (made.path / "metrics.jsonl").open()]
    assert all(record["network"] for record in history)
    assert history[-1]["step"] == 3


def test_without_end_to_end_nothing_of_it_is_recorded(blobs):
    told = usl.select(blobs[0], 6, method="usl_t", steps=20).parameters
    assert not [name for name in told if "network" in name or name in ("end_to_end", "epochs")]


def test_the_releases_defaults_are_its_own():
    made = together("released", 50_000, {"end_to_end": True})
    assert (made.epochs, made.lr, made.batch_size, made.schedule) == (200, 1e-4, 1024, "constant")
    ours = together("paper", 50_000, {"end_to_end": True})
    assert (ours.epochs, ours.lr, ours.batch_size, ours.schedule) == (10, 1e-3, 256, "cosine")
    assert ours.heads_first
    assert together("released", 50_000, {}) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 50, "end_to_end": True}, "steps: belongs to the training on frozen features"),
        ({"lr": 0.1, "end_to_end": True}, "lr: belongs to the training on frozen features"),
        ({"epochs": 5}, "epochs: belongs to end_to_end, which is off"),
        ({"network_lr": 0.1}, "network_lr: belongs to end_to_end"),
    ],
)
def test_what_would_not_be_done_is_refused_before_any_image_is_read(
    photos, tmp_path, encoder, given, message, monkeypatch
):
    monkeypatch.setattr("usl.selection.start_run.open_space", None)
    with pytest.raises(UsageError, match=message):
        run(photos, tmp_path / "run", encoder, **given)
    if not given.get("end_to_end"):
        features = np.random.default_rng(0).normal(size=(30, 8))
        with pytest.raises(UsageError, match=message):
            usl.select(features, 3, method="usl_t", **given)


def test_the_release_does_not_train_a_backbone_of_many_images():
    with pytest.raises(UsageError, match="freezes the backbone"):
        together("released", 100_001, {"end_to_end": True})


def test_the_local_loss_of_a_network_can_be_off_early(photos, tmp_path, encoder):
    """With no local loss from the first step on, its weight is without effect."""
    some = {"end_to_end": True, "epochs": 2, "local": 0.0, "tau": 0.0}
    one = run(photos, tmp_path / "one", encoder, **some)
    other = run(photos, tmp_path / "other", encoder, lam=0.0, **some)
    acting = run(photos, tmp_path / "acting", encoder, **{**some, "local": 1.0})
    files = [(made.path / "encoder.safetensors").read_bytes() for made in (one, other, acting)]
    assert files[0] == files[1] != files[2]


def test_points_of_another_network_are_refused():
    from usl.selection.methods.usl_t.end_to_end import check_fits

    source = network.Trainable(lambda: None, lambda size, progress: None)
    check_fits(64, 64, source)
    with pytest.raises(UsageError, match=r"has 512 features, .* made of 128.*--layer trunk"):
        check_fits(128, 512, source)
    fitted = network.Trainable(lambda: None, lambda s, p: None, components=np.zeros((7, 64)))
    check_fits(7, 64, fitted)
