"""Files in the formats of other projects, against forward passes written out from their sources."""

from __future__ import annotations

import argparse
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from torch.nn import functional as F  # noqa: E402
from torchvision.models import resnet18  # noqa: E402

from usl.core.errors import DataError, UslWarning  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.features.shared.fit_weights import fit  # noqa: E402
from usl.features.shared.known_checkpoints import (  # noqa: E402
    CLD_CIFAR,
    Foreign,
    block_names,
    merged_splits,
    recognise,
)

COLOUR = np.array([200, 100, 50])
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
SOLO = {
    10: ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    100: ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def filled(shapes, seed):
    """Random weights by name and shape; those of batch normalisation far from the identity."""
    rng = torch.Generator().manual_seed(seed)
    values = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            values[name] = torch.tensor(7)
        elif len(shape) > 1:
            fan = shape[1:].numel()
            values[name] = torch.randn(shape, generator=rng) * (2 / fan) ** 0.5
        elif name.endswith(("running_mean", "bias")):
            values[name] = torch.randn(shape, generator=rng) * 0.1
        else:
            values[name] = torch.rand(shape, generator=rng) + 0.5
    return values


@cache
def torchvision_state(seed=0, small=False, narrow=False):
    """A torchvision ResNet-18 without its classifier; ``narrow``: 4 channels for 64."""
    with torch.device("meta"):
        network = resnet18()
        if small:
            network.conv1 = torch.nn.Conv2d(3, 64, 3, bias=False)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    if narrow:
        shapes = {
            name: torch.Size(n // 16 if n >= 64 else n for n in shape)
            for name, shape in shapes.items()
        }
    return filled({name: s for name, s in shapes.items() if not name.startswith("fc.")}, seed)


def norm(x, state, at):
    kinds = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(state[f"{at}.{kind}"] for kind in kinds))


def resnet18_features(state, x, *, stride, padding, pool, projection="downsample"):
    """He et al. (2016) with basic blocks, from torchvision's names."""
    x = F.conv2d(x, state["conv1.weight"], stride=stride, padding=padding)
    x = F.relu(norm(x, state, "bn1"))
    if pool:
        x = F.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            at = f"layer{stage}.{block}"
            step = 2 if stage > 1 and block == 0 else 1
            inside = F.conv2d(x, state[f"{at}.conv1.weight"], stride=step, padding=1)
            inside = F.relu(norm(inside, state, f"{at}.bn1"))
            inside = F.conv2d(inside, state[f"{at}.conv2.weight"], padding=1)
            inside = norm(inside, state, f"{at}.bn2")
            if f"{at}.{projection}.0.weight" in state:
                x = F.conv2d(x, state[f"{at}.{projection}.0.weight"], stride=step)
                x = norm(x, state, f"{at}.{projection}.1")
            x = F.relu(x + inside)
    return x.mean((2, 3))


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def renamed(state, *pairs):
    for old, new in pairs:
        state = {name.replace(old, new): value for name, value in state.items()}
    return state


def images(size, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(3, size, size)).astype(np.float32) for _ in range(2)]


def assert_same(found, expected):
    """Equal names and values."""
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def assert_rows(found, expected):
    expected = expected.numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def check_large(encoder, state):
    """A ResNet-18 for 224 px, at 64 px."""
    x = images(64)
    expected = resnet18_features(state, torch.tensor(np.stack(x)), stride=2, padding=3, pool=True)
    assert_rows(encoder.forward(x), expected)


def check_small(encoder, state, mean, std, *, padding=1, projection="downsample"):
    """A ResNet-18 for 32 px."""
    pictures = [
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8))
        for seed in (0, 1)
    ]
    pixels = torch.tensor(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2) / 255
    x = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    expected = resnet18_features(
        state, x, stride=1, padding=padding, pool=False, projection=projection
    )
    assert encoder.dim == 512
    assert_rows(encoder.encode(pictures), expected)


def check_input(encoder, mean, std, side):
    """A picture in one colour is prepared with this mean, std and size."""
    plain = Image.fromarray(np.full((300, 260, 3), COLOUR, dtype=np.uint8))
    prepared = encoder.prepare(plain)
    assert prepared.shape == (3, side, side)
    expected = (COLOUR / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(prepared.mean((1, 2)), expected, atol=1e-5)


@pytest.fixture
def saved(tmp_path):
    def write(content, arch, name="weights.pth"):
        torch.save(content, tmp_path / name)
        return open_encoder(f"{arch}@{tmp_path / name}")

    return write


# MoCo and EMAN


def moco_file(query, key):
    head = {"fc.0.weight": torch.zeros(512, 512), "fc.2.bias": torch.zeros(128)}
    # the key encoder first: order must not decide
    state = prefixed(key | head, "module.encoder_k.") | prefixed(query | head, "module.encoder_q.")
    state |= {"module.queue": torch.zeros(128, 8), "module.queue_ptr": torch.zeros(1)}
    return {"epoch": 800, "arch": "resnet18", "state_dict": state, "optimizer": {"state": {}}}


def test_moco_gives_the_query_encoder(saved):
    query, key = torchvision_state(0), torchvision_state(1)
    encoder = saved(moco_file(query, key), "resnet18", "moco_v2_800ep_pretrain.pth.tar")
    check_large(encoder, query)
    check_input(encoder, *IMAGENET, 224)
    assert encoder.supervision == "none"


def test_an_encoder_behind_a_prefix_is_no_moving_average():
    query, key = torchvision_state(0, narrow=True), torchvision_state(1, narrow=True)
    byol = prefixed(key, "module.target_net.backbone.")
    byol |= prefixed(query, "module.online_net.backbone.")
    assert_same(fit(byol, recognise(byol), query, (), Path("byol.pth")), query)


# CLD


def cld_state(seed, **kind):
    state = renamed(torchvision_state(seed, small=True, **kind), (".downsample.", ".shortcut."))
    return state | {"linear.weight": torch.zeros(9, 8), "groupDis.0.weight": torch.zeros(9, 8)}


def test_cld(saved):
    content = {
        "opt": argparse.Namespace(dataset="cifar10", normlinear=True),
        "model": cld_state(2),
        "model_ema": cld_state(3, narrow=True),
        "contrast": {"memory": torch.zeros(8, 128)},
        "epoch": 200,
    }
    encoder = saved(content, "resnet18_cifar")
    check_small(encoder, cld_state(2), *CIFAR, projection="shortcut")
    assert encoder.supervision == "none"
    assert encoder.info().dim == 512
    assert encoder.name == f"resnet18_cifar@{encoder.path}"
    backbone = encoder.backbone()  # to be trained on, so a copy
    assert torch.equal(backbone.network.stem[0].weight, content["model"]["conv1.weight"])
    with torch.no_grad():
        backbone.network.stem[0].weight.zero_()
    assert encoder.backbone().network.stem[0].weight.any()


def test_cld_behind_a_prefix():
    found = recognise(prefixed(cld_state(2, narrow=True), "module."))
    assert_same(found.weights, torchvision_state(2, small=True, narrow=True))


@pytest.mark.parametrize("prefix", ["", "module.", "net."])
def test_other_cifar_resnets(prefix):
    state = torchvision_state(2, small=True, narrow=True)
    found = recognise(prefixed(state, prefix))
    assert_same(found.weights, state)
    assert found.supervision == "unknown"


def test_our_own_names_in_any_file():
    ours = block_names(torchvision_state(2, small=True, narrow=True), 2)
    file = prefixed(ours, "module.")
    assert_same(fit(file, recognise(file), ours, (), Path("ours.pth")), ours)


# SimCLRv2


def simclr_shapes(blocks, widths):
    """Names and shapes of resnet.py of the conversion, for bottleneck blocks without SK."""
    shapes = {}

    def add(conv, bn, *shape):
        shapes[f"{conv}.weight"] = torch.Size(shape)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{bn}.{kind}"] = torch.Size(shape[:1])
        shapes[f"{bn}.num_batches_tracked"] = torch.Size([])

    add("net.0.0", "net.0.1.0", 64, 3, 7, 7)
    before = 64
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
        for block in range(count):
            at = f"net.{stage}.blocks.{block}"
            if block == 0:
                projection = f"{at}.projection"
                add(f"{projection}.shortcut", f"{projection}.bn.0", 4 * width, before, 1, 1)
            add(f"{at}.net.0", f"{at}.net.1.0", width, before, 1, 1)
            add(f"{at}.net.2", f"{at}.net.3.0", width, width, 3, 3)
            add(f"{at}.net.4", f"{at}.net.5.0", 4 * width, width, 1, 1)
            before = 4 * width
    return shapes | {"fc.weight": torch.Size([10, before]), "fc.bias": torch.Size([10])}


def simclr_features(state, blocks, x):
    x = F.conv2d(x, state["net.0.0.weight"], stride=2, padding=3)
    x = F.max_pool2d(F.relu(norm(x, state, "net.0.1.0")), 3, 2, 1)
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            at = f"net.{stage}.blocks.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            inside = F.relu(norm(F.conv2d(x, state[f"{at}.net.0.weight"]), state, f"{at}.net.1.0"))
            inside = F.conv2d(inside, state[f"{at}.net.2.weight"], stride=stride, padding=1)
            inside = F.relu(norm(inside, state, f"{at}.net.3.0"))
            inside = norm(F.conv2d(inside, state[f"{at}.net.4.weight"]), state, f"{at}.net.5.0")
            if block == 0:
                x = F.conv2d(x, state[f"{at}.projection.shortcut.weight"], stride=stride)
                x = norm(x, state, f"{at}.projection.bn.0")
            x = F.relu(x + inside)
    return x.mean((2, 3))


def test_simclrv2(saved):
    blocks = (2, 2, 2, 2)  # timm's resnet26 is a shorter resnet50
    state = filled(simclr_shapes(blocks, (64, 128, 256, 512)), seed=4)
    head = {"layers.0.weight": torch.zeros(4, 4)}
    encoder = saved({"resnet": state, "head": head}, "resnet26", "r26_1x_sk0.pth")
    x = images(64)
    assert_rows(encoder.forward(x), simclr_features(state, blocks, torch.tensor(np.stack(x))))
    check_input(encoder, (0, 0, 0), (1, 1, 1), 224)


def test_the_names_of_simclrv2_r50_are_those_of_resnet50():
    shapes = simclr_shapes((3, 4, 6, 3), (64, 128, 256, 512))
    found = recognise({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})
    with torch.device("meta"):
        wanted = timm.create_model("resnet50", num_classes=0).state_dict()
    assert {n: w.shape for n, w in found.weights.items()} == {n: w.shape for n, w in wanted.items()}


def test_selective_kernels_are_refused(saved):
    state = filled(simclr_shapes((1, 1, 1, 1), (8, 8, 8, 8)), 0)
    state["net.0.2.weight"] = torch.zeros(32, 32, 3, 3)
    with pytest.raises(DataError, match=r"weights\.pth: SimCLRv2 with selective.*r50_1x_sk0"):
        saved({"resnet": state}, "resnet50")


# lightly


def in_sequence(state, start):
    numbers = [(f"layer{stage}.", f"{start + stage - 1}.") for stage in (1, 2, 3, 4)]
    whole = {name: value for name, value in state.items() if not name.startswith("layer")}
    stages = {name: value for name, value in state.items() if name.startswith("layer")}
    return renamed(whole, ("conv1.", "0."), ("bn1.", "1.")) | renamed(stages, *numbers)


@pytest.mark.parametrize("prefix", ["backbone.", "model.backbone."])
def test_lightly(prefix):
    state, copy = torchvision_state(6, narrow=True), torchvision_state(7, narrow=True)
    content = prefixed(in_sequence(copy, 4), prefix.replace("backbone", "backbone_momentum"))
    content |= prefixed(in_sequence(state, 4), prefix)
    content["projection_head.layers.0.weight"] = torch.zeros(3, 3)
    found = recognise(content)
    assert_same(found.weights, state)
    assert (found.data["mean"], found.data["std"]) == IMAGENET
    assert found.data["input_size"] == (3, 224, 224)


def test_lightlys_cifar_resnet_with_split_normalisation(saved):
    state = torchvision_state(8, small=True)
    rng = torch.Generator().manual_seed(0)
    split = {}
    for name, value in in_sequence(state, 2).items():
        is_statistic = name.endswith(("running_mean", "running_var"))
        if is_statistic:  # four parts with the mean that the single one has
            noise = 0.1 * torch.rand(4, len(value), generator=rng)
            value = (value + noise - noise.mean(0)).flatten()
        split[name.replace(".downsample.", ".shortcut.")] = value
    file = {"state_dict": prefixed(split, "backbone."), "pytorch-lightning_version": "2.0"}
    encoder = saved(file, "resnet18_cifar", "lightly.ckpt")
    check_small(encoder, state, *IMAGENET)


def test_statistics_of_one_part_stay():
    weights = {"bn1.weight": torch.ones(3), "bn1.running_mean": torch.arange(3.0)}
    assert torch.equal(merged_splits(weights)["bn1.running_mean"], torch.arange(3.0))


# solo-learn


def solo_file(state, copy, classes):
    content = prefixed(copy, "momentum_backbone.") | prefixed(state, "backbone.")
    content |= {"projector.0.weight": torch.zeros(2, 2), "classifier.weight": torch.zeros(*classes)}
    return {"state_dict": content, "epoch": 1000}


def test_solo_learn():
    state, copy = torchvision_state(9, narrow=True), torchvision_state(10, narrow=True)
    found = recognise(solo_file(state, copy, (1000, 32))["state_dict"])
    assert_same(found.weights, state)
    assert (found.data["mean"], found.data["std"]) == IMAGENET
    assert found.stem_padding is None


def test_solo_learn_on_cifar_pads_by_two(saved):
    state = torchvision_state(11, small=True)
    encoder = saved(solo_file(state, {}, (10, 512)), "resnet18_cifar", "solo.ckpt")
    check_small(encoder, state, SOLO[10][0], SOLO[10][1], padding=2)


@pytest.mark.parametrize("classes", [10, 100])
def test_solo_learns_classifier_tells_the_normalisation(classes):
    state = torchvision_state(11, small=True, narrow=True)
    found = recognise(solo_file(state, state, (classes, 32))["state_dict"])
    assert (found.data["mean"], found.data["std"]) == SOLO[classes]


def test_the_key_knows_what_was_settled(saved, monkeypatch):
    """The same file, prepared or padded differently, gives different rows."""
    from usl.features.encoders import checkpoint

    state = torchvision_state(11, small=True)
    content = {"state_dict": prefixed(state, "backbone.")}
    key = saved(content, "resnet18_cifar", "same.pth").key
    monkeypatch.setattr(
        checkpoint,
        "recognise",
        lambda weights, path: Foreign(
            "other", state, frozenset(weights), CLD_CIFAR, stem_padding=2
        ),
    )
    assert saved(content, "resnet18_cifar", "same.pth").key != key


# What does not fit


def fitted(content, wanted):
    weights = content["state_dict"]
    return fit(weights, recognise(weights), wanted, (), Path("weights.pth"))


def test_unknown_weights_are_named():
    state = torchvision_state(0, narrow=True)
    content = moco_file(state, state)
    content["state_dict"]["module.decoder.weight"] = torch.zeros(2)
    with pytest.warns(UslWarning, match=r"1 weights have no place.*module\.decoder\.weight"):
        fitted(content, state)


def test_more_blocks_than_the_network_are_named():
    state = torchvision_state(0, narrow=True)
    longer = state | {"layer4.2.conv1.weight": torch.zeros(32, 32, 3, 3)}
    with pytest.warns(UslWarning, match=r"1 weights .*layer4\.2\.conv1\.weight"):
        fitted(moco_file(longer, longer), state)


@pytest.mark.parametrize("form", [moco_file, lambda state, copy: solo_file(state, copy, (10, 32))])
def test_expected_extras_are_no_warning(form):
    state = torchvision_state(0, narrow=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(form(state, torchvision_state(1, narrow=True)), state)


def test_another_architecture_names_the_layer():
    large, small = torchvision_state(0, narrow=True), torchvision_state(0, True, narrow=True)
    deeper = large | {"layer1.0.conv3.weight": torch.zeros(1)}
    with pytest.raises(DataError, match=r"\(a MoCo checkpoint\) does not fit: 1 of .*0\.conv3"):
        fitted(moco_file(large, large), deeper)
    with pytest.raises(DataError, match=r"conv1\.weight has shape \[4, 3, 7, 7\].*Is the arch"):
        fitted(moco_file(large, large), small)
    with pytest.raises(DataError, match=r"conv1\.weight has shape .*it may be resnet18_cifar"):
        fitted(moco_file(small, small), large)
    narrower = large | {"layer3.1.bn2.weight": torch.ones(9)}
    with pytest.raises(DataError, match=r"layer3\.1\.bn2\.weight has shape \[9\].*needs \[16\]"):
        fitted(moco_file(narrower, narrower), large)


def test_plain_weights_are_no_format():
    assert recognise(torchvision_state(0, narrow=True)) is None
    assert recognise({"backbone.0.weight": torch.zeros(2, 2)}) is None
