"""The heads of the authors' checkpoints, in files of their real form, against their sources."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torchvision.models import resnet18  # noqa: E402

from usl.cli import main  # noqa: E402
from usl.core.errors import DataError, UsageError, UslWarning  # noqa: E402
from usl.features.head_encoder import split_layer, with_layer  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.features.shared.known_checkpoints import recognise  # noqa: E402
from usl.selection.start_run import start_run  # noqa: E402

CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
ARCH_OF_CLIP = "vit_base_patch16_clip_quickgelu_224"


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def shaken(module):
    """Random weights, statistics of batch normalisation far from the identity."""
    rng = torch.Generator().manual_seed(3)
    for name, value in module.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.copy_(torch.randn(value.shape, generator=rng) * 0.1)
        elif name.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=rng) + 0.5)
    return module.eval()


@pytest.fixture
def save(tmp_path):
    def write(content, arch, name="weights.pth"):
        torch.save(content, tmp_path / name)
        return f"{arch}@{tmp_path / name}"

    return write


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    shape = (32, 32, 3)
    return [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(3)]


def check(encoder, trunk_rows, head, dim):
    """Unit rows, those of ``head`` on the trunk's, under a name, key and defaults of their own."""
    with torch.no_grad():
        expected = F.normalize(head(torch.tensor(trunk_rows)), dim=1).numpy()
    assert encoder.dim == dim == expected.shape[1]
    assert encoder.preprocessing == {"center": False, "standardize": False, "pca": None}
    return expected


# MoCo with EMAN: usl-imagenet.py, build_hidden_head(num_mlp=2, dim_mlp=2048, dim=128, normed=True)


def moco(width=512, out=16):
    torch.manual_seed(0)
    network = shaken(resnet18())
    network.fc = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))
    state = prefixed(network.state_dict(), "module.encoder_q.")
    state |= prefixed(resnet18().state_dict(), "module.encoder_k.")
    state |= {"module.queue": torch.zeros(out, 8), "module.queue_ptr": torch.zeros(1)}
    return network, {"epoch": 800, "arch": "resnet18", "state_dict": state}


def test_moco_with_eman(save):
    network, content = moco()
    name = save(content, "resnet18", "res18_moco_eman_800ep.pth.tar")
    encoder = open_encoder(f"{name}#layer=head")
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        expected = F.normalize(network(torch.tensor(x)), dim=1).numpy()
    np.testing.assert_allclose(encoder.forward(list(x)), expected, atol=1e-5)
    assert (encoder.dim, encoder.supervision) == (16, "none")
    trunk = open_encoder(name)
    assert (trunk.dim, trunk.info().layer, encoder.info().layer) == (512, "trunk", "head")
    assert trunk.key != encoder.key
    assert open_encoder(encoder.name).key == encoder.key
    assert encoder.preprocessing == {"center": False, "standardize": False, "pca": None}
    assert encoder.backbone().dim == 512


def test_moco_of_the_first_version_has_one_layer(save):
    _, content = moco()
    state = {n: v for n, v in content["state_dict"].items() if ".fc." not in n}
    one = nn.Linear(512, 12)
    state |= prefixed(one.state_dict(), "module.encoder_q.fc.")
    encoder = open_encoder(save({"state_dict": state}, "resnet18") + "#layer=head")
    x = [np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float32)]
    rows = open_encoder(encoder.name.removesuffix("#layer=head")).forward(x)
    np.testing.assert_allclose(encoder.forward(x), check(encoder, rows, one, 12), atol=1e-5)


# CLD: resnet_cifar_cld.py, ResNet18(low_dim=128, pool_len=4, normlinear=True)


class NormedLinear(nn.Module):
    """CLD's layer, weights [in, out], by its definition."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        return (x / x.norm(dim=1, keepdim=True)) @ (self.weight / self.weight.norm(dim=0))


def cifar_state(seed=0):
    torch.manual_seed(seed)
    network = resnet18()
    network.conv1 = nn.Conv2d(3, 64, 3, bias=False)
    state = shaken(network).state_dict()
    return {n.replace(".downsample.", ".shortcut."): v for n, v in state.items() if "fc." not in n}


def test_cld(save, pictures):
    weight = torch.randn(512, 10)
    state = cifar_state() | {"linear.weight": weight, "groupDis.0.weight": torch.randn(512, 10)}
    content = {"opt": argparse.Namespace(normlinear=True), "model": prefixed(state, "module.")}
    name = save(content, "resnet18_cifar", "cifar10_ckpt_epoch_200.pth")
    encoder, trunk = open_encoder(f"{name}#layer=head"), open_encoder(name)
    expected = check(encoder, trunk.encode(pictures), NormedLinear(weight), 10)
    np.testing.assert_allclose(encoder.encode(pictures), expected, atol=1e-5)
    assert trunk.supervision == encoder.supervision == "none"


# SCAN, which USL-T begins with: ContrastiveModel in uslt_utils.py


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_scan(save, pictures, kind):
    layers = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 14))
    head = layers if kind == "mlp" else nn.Linear(512, 14)
    state = prefixed(cifar_state(), "backbone.") | prefixed(head.state_dict(), "contrastive_head.")
    name = save(state, "resnet18_cifar", "simclr_cifar-10.pth.tar")
    encoder, trunk = open_encoder(f"{name}#layer=head"), open_encoder(name)
    expected = check(encoder, trunk.encode(pictures), head, 14)
    np.testing.assert_allclose(encoder.encode(pictures), expected, atol=1e-5)
    assert trunk.supervision == "none"
    np.testing.assert_allclose(trunk.backbone().mean.flatten(), CIFAR[0], atol=1e-6)


def test_the_name_of_scans_file_tells_its_data_set():
    """normalization_kwargs_dict of nn_utils.py; nothing inside the file tells."""
    state = prefixed(cifar_state(), "backbone.")
    state |= prefixed(nn.Linear(512, 14).state_dict(), "contrastive_head.")
    hundred = (0.5071, 0.4867, 0.4408)
    for place, mean in (
        ("models/simclr_cifar-20.pth.tar", hundred),  # as SCAN calls it
        ("cifar100/checkpoint.pth", hundred),
        ("models/cifar10.pth", CIFAR[0]),
    ):
        assert recognise(state, place).data["mean"] == mean, place
    with pytest.warns(UslWarning, match="does not tell its data set"):
        assert recognise(state, "models/checkpoint.pth").data["mean"] == CIFAR[0]


def test_scan_of_large_pictures(save):
    torch.manual_seed(0)
    network = resnet18()
    network.fc = nn.Identity()
    state = prefixed(shaken(network).state_dict(), "backbone.")
    state |= prefixed(nn.Linear(512, 14).state_dict(), "contrastive_head.")
    encoder = open_encoder(save(state, "resnet18") + "#layer=head")
    assert (encoder.dim, encoder.supervision) == (14, "none")


# CLIP: openai/CLIP, clip/model.py, VisionTransformer


def clip_state(width=32, layers=2, out=12, patch=16, size=224):
    """Names and shapes of a state dict of OpenAI's, in small."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=rng) * 0.2

    state = {
        "visual.class_embedding": draw(width),
        "visual.positional_embedding": draw((size // patch) ** 2 + 1, width),
        "visual.proj": draw(width, out),
        "visual.conv1.weight": draw(width, 3, patch, patch),
    }
    for place in ("ln_pre", "ln_post"):
        state |= {f"visual.{place}.weight": draw(width) + 1, f"visual.{place}.bias": draw(width)}
    for number in range(layers):
        at = f"visual.transformer.resblocks.{number}"
        shapes = {
            "attn.in_proj_weight": (3 * width, width),
            "attn.in_proj_bias": (3 * width,),
            "attn.out_proj.weight": (width, width),
            "attn.out_proj.bias": (width,),
            "mlp.c_fc.weight": (4 * width, width),
            "mlp.c_fc.bias": (4 * width,),
            "mlp.c_proj.weight": (width, 4 * width),
            "mlp.c_proj.bias": (width,),
        }
        state |= {f"{at}.{name}": draw(*shape) for name, shape in shapes.items()}
        for norm in ("ln_1", "ln_2"):
            state |= {f"{at}.{norm}.weight": draw(width) + 1, f"{at}.{norm}.bias": draw(width)}
    text = {
        "transformer.resblocks.0.ln_1.weight": draw(8),
        "token_embedding.weight": draw(9, 8),
        "positional_embedding": draw(7, 8),
        "ln_final.weight": draw(8),
        "text_projection": draw(8, out),
        "logit_scale": draw(1)[0],
    }
    return state | text


def clip_visual(state, x, layers=2, heads=4):
    """VisionTransformer.forward, written out."""
    v = {n.removeprefix("visual."): w for n, w in state.items() if n.startswith("visual.")}
    width = len(v["class_embedding"])
    patch = v["conv1.weight"].shape[-1]
    x = F.conv2d(x, v["conv1.weight"], stride=patch).flatten(2).transpose(1, 2)
    x = torch.cat([v["class_embedding"].expand(len(x), 1, width), x], 1)
    x = x + v["positional_embedding"]

    def norm(x, at):
        return F.layer_norm(x, (width,), v[f"{at}.weight"], v[f"{at}.bias"])

    x = norm(x, "ln_pre")
    for number in range(layers):
        at = f"transformer.resblocks.{number}"
        attention = nn.MultiheadAttention(width, heads, batch_first=True)
        attention.load_state_dict({n: v[f"{at}.attn.{n}"] for n in attention.state_dict()})
        inside = norm(x, f"{at}.ln_1")
        x = x + attention(inside, inside, inside, need_weights=False)[0]
        inside = F.linear(
            norm(x, f"{at}.ln_2"), v[f"{at}.mlp.c_fc.weight"], v[f"{at}.mlp.c_fc.bias"]
        )
        inside = inside * torch.sigmoid(1.702 * inside)  # QuickGELU
        x = x + F.linear(inside, v[f"{at}.mlp.c_proj.weight"], v[f"{at}.mlp.c_proj.bias"])
    return norm(x[:, 0], "ln_post") @ v["proj"]


def test_clip(save, monkeypatch):
    """The 512-d projection of ViT-B/16, here of a narrow one with two layers."""
    created = timm.create_model

    def small(name, **how):
        return created(name, **how, embed_dim=32, depth=2, num_heads=4)

    monkeypatch.setattr(timm, "create_model", small)
    state = clip_state()
    halved = {name: value.half() for name, value in state.items()}  # as OpenAI keeps them
    encoder = open_encoder(save(halved, ARCH_OF_CLIP, "ViT-B-16.pt") + "#layer=head")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8))
    prepared = encoder.prepare(picture)
    assert prepared.shape == (3, 224, 224)
    grey = encoder.prepare(Image.new("RGB", (224, 224), (100, 100, 100)))
    np.testing.assert_allclose(
        grey.mean((1, 2)), (100 / 255 - np.array(CLIP[0])) / np.array(CLIP[1]), atol=1e-4
    )
    with torch.no_grad():
        rounded = {name: value.half().float() for name, value in state.items()}
        expected = F.normalize(clip_visual(rounded, torch.tensor(prepared[None])), dim=1).numpy()
    np.testing.assert_allclose(encoder.forward([prepared]), expected, atol=1e-4)
    assert (encoder.dim, encoder.supervision) == (12, "image-text pairs")


def test_a_clip_model_of_timm_has_its_projection(tmp_path, monkeypatch):
    import json

    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=9)
    config = {
        "architecture": "test_vit",
        "num_classes": 9,
        "pretrained_cfg": {
            "tag": "openai",
            "input_size": [3, 160, 160],
            "fixed_input_size": True,
            "num_classes": 9,
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    encoder = open_encoder(f"local-dir:{tmp_path}#layer=head")
    x = np.random.default_rng(0).normal(size=(2, 3, 160, 160)).astype(np.float32)
    with torch.inference_mode():
        expected = F.normalize(network.eval()(torch.tensor(x)), dim=1).numpy()
    np.testing.assert_allclose(encoder.forward(list(x)), expected, atol=1e-4)
    config["pretrained_cfg"]["tag"] = "in1k"  # class scores are no space
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="no head is known"):
        open_encoder(f"local-dir:{tmp_path}#layer=head")


# What is refused, and what a run says


def test_an_encoder_without_a_head():
    with pytest.raises(UsageError, match=r"'pixels': --layer head: no head is known.*Leave"):
        open_encoder("pixels#layer=head")
    assert open_encoder("pixels#layer=trunk").key == open_encoder("pixels").key
    with pytest.raises(UsageError, match="the layer 'neck' is unknown; use trunk or head"):
        open_encoder("pixels#layer=neck")


def test_a_head_for_another_trunk(save):
    _, content = moco()
    content["state_dict"] = {
        name: value[:, :100] if name.endswith("encoder_q.fc.0.weight") else value
        for name, value in content["state_dict"].items()
    }
    with pytest.raises(DataError, match="its head takes 100 numbers, its trunk has 512"):
        open_encoder(save(content, "resnet18") + "#layer=head")


def test_names_with_a_layer():
    assert with_layer("resnet50@a.pth", "head") == "resnet50@a.pth#layer=head"
    assert with_layer("a.pth#layer=head", "head") == "a.pth#layer=head"
    assert with_layer("a.pth#layer=trunk", "trunk") == "a.pth"
    assert with_layer("a.pth", None) == "a.pth"
    assert split_layer("x@https://a/b.pth#sha256=00#layer=head") == (
        "x@https://a/b.pth#sha256=00",
        "head",
    )
    with pytest.raises(UsageError, match=r"layer: trunk given, but .* names head"):
        with_layer("a.pth#layer=head", "trunk")
    with pytest.raises(UsageError, match=r"layer: 'haed' given; use trunk or head\..*head"):
        with_layer("a.pth", "haed")


@pytest.mark.parametrize("layer", ["head", None])
def test_a_run_says_which_layer(save, tmp_path, pictures, layer):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    weight = torch.randn(512, 10)
    state = cifar_state() | {"linear.weight": weight, "groupDis.0.weight": torch.randn(512, 10)}
    name = save({"model": state}, "resnet18_cifar")
    run = start_run(folder, 3, tmp_path / "run", model=name, layer=layer, method="kmeans")
    told = run.info["encoder"]
    assert told["layer"] == (layer or "trunk")
    assert told["dimensions"] == (10 if layer else 512)
    reopened = open_encoder(told["name"])
    rows = reopened.encode([Image.open(folder / "00.png")])
    if layer:
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_layer_on_the_command_line(save, tmp_path, pictures, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number}.png")
    state = cifar_state() | {
        "linear.weight": torch.randn(512, 10),
        "groupDis.0.weight": torch.randn(512, 10),
    }
    name = save({"model": state}, "resnet18_cifar")
    for command in (
        ["embed", str(folder), "--out", str(tmp_path / "rows.npz")],
        ["embed", str(folder), "--dry-run"],
        ["select", str(folder), "--budget", "2", "--out", str(tmp_path / "run"), "--dry-run"],
    ):
        assert not main([*command, "--model", name, "--layer", "head", "--json"])
        printed = capsys.readouterr().out
        assert "#layer=head" in printed or '"width": 10' in printed
    with np.load(tmp_path / "rows.npz") as kept:
        rows = next(kept[part] for part in kept.files if kept[part].ndim == 2)
    assert rows.shape == (3, 10)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
