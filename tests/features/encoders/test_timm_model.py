from __future__ import annotations

import json
import socket
import time

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.features.contract import SUPERVISION  # noqa: E402
from usl.features.encoders.timm_model import TimmEncoder, state_digest, supervision  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402

NAME = "test_vit.r160_in1k"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No name resolves, and the hub's cache is empty; returns that cache's folder."""
    from huggingface_hub import constants

    def refuse(*args, **kwargs):
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", [NAME, "timm:test_vit", "hf-hub:timm/test_vit.r160_in1k"])
def test_without_a_network_the_error_says_so_at_once(offline, name):
    from huggingface_hub import constants

    began = time.monotonic()
    with pytest.raises(DataError, match=r"cannot be fetched.*With a network.*efficientnet_lite1"):
        open_encoder(name)
    assert time.monotonic() - began < 10  # the hub's client alone tries for 50 s
    assert constants.HF_HUB_OFFLINE is False


def test_weights_in_the_hubs_cache_need_no_network(offline, make_picture):
    from safetensors.torch import save_file

    network = timm.create_model("test_vit", pretrained=False)
    folder = offline / "models--timm--test_vit.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(network.state_dict(), folder / "snapshots" / ("0" * 40) / "model.safetensors")
    encoder = open_encoder(NAME)
    rows = encoder.encode([make_picture(0, (100, 80)), make_picture(1, (20, 30), "L")])
    assert rows.shape == (2, encoder.dim)
    assert encoder.supervision == "ImageNet labels"
    assert encoder.key.startswith(f"{NAME}-v1-")
    assert encoder.name == NAME
    again = open_encoder("timm:test_vit")
    assert (again.name, again.supervision) == ("test_vit", "ImageNet labels")


@pytest.fixture
def folder(tmp_path):
    """A random small ViT with a preparation of its own, in the hub's format."""
    from safetensors.torch import save_file

    network = timm.create_model("test_vit", num_classes=5)
    config = {
        "architecture": "test_vit",
        "num_classes": 5,
        "num_features": network.num_features,
        "pretrained_cfg": {
            "tag": "lvd142m",
            "input_size": [3, 160, 160],
            "fixed_input_size": True,
            "interpolation": "bilinear",
            "crop_pct": 0.5,
            "mean": [0.1, 0.2, 0.3],
            "std": [0.5, 0.25, 0.125],
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
    place = tmp_path / "my vit@home.pth"  # neither an ending nor an @ misleads
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), place / "model.safetensors")
    return place, network.eval()


def test_a_folder_in_the_hubs_format(offline, folder, make_picture, monkeypatch):
    place, network = folder
    encoder = open_encoder(f"local-dir:{place}")
    picture = make_picture(0, (400, 320))
    # by its config: the shorter side to 160 / 0.5, then the middle 160 pixels
    middle = picture.resize((400, 320), Image.Resampling.BILINEAR).crop((120, 80, 280, 240))
    pixels = np.asarray(middle, dtype=np.float32).transpose(2, 0, 1) / 255
    mean, std = np.array([[[0.1]], [[0.2]], [[0.3]]]), np.array([[[0.5]], [[0.25]], [[0.125]]])
    prepared = encoder.prepare(picture)
    np.testing.assert_allclose(prepared, (pixels - mean) / std, atol=1e-4)
    with torch.inference_mode():
        features = network.forward_features(torch.from_numpy(prepared[None]))
        expected = network.forward_head(features, pre_logits=True).numpy()
    np.testing.assert_allclose(encoder.forward([prepared]), expected, atol=1e-5)
    assert encoder.supervision == "none"  # its tag is DINOv2's
    assert encoder.key.startswith("my_vit_home.pth-v1-")
    assert encoder.name == f"local-dir:{place}"
    monkeypatch.chdir(place.parent)
    assert open_encoder(f"local-dir:{place.name}").name == encoder.name


@pytest.mark.parametrize("damage", ["no folder", "no config", "no weights", "other weights"])
def test_a_folder_that_cannot_be_loaded(offline, folder, damage):
    from safetensors.torch import save_file

    place, _ = folder
    if damage == "no folder":
        place = place / "gone"
    elif damage == "no config":
        (place / "config.json").unlink()
    elif damage == "no weights":
        (place / "model.safetensors").unlink()
    else:
        save_file({"a": torch.zeros(2)}, place / "model.safetensors")
    with pytest.raises(
        DataError, match=r"no model could be loaded.*needs config\.json and model\."
    ):
        open_encoder(f"local-dir:{place}")


def small_encoder():
    torch.manual_seed(0)
    return TimmEncoder(
        "small", "small", timm.create_model("test_vit", num_classes=0), "0" * 32, "none"
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_has_a_key_of_its_own(make_picture, monkeypatch, precision):
    monkeypatch.setattr("usl.features.shared.precision.has_instructions", lambda *_: True)
    encoder = small_encoder()
    other = encoder.in_precision(precision)
    assert other.key == encoder.key + {"bf16": "-bf16", "fp16": "-f16"}[precision]
    assert (encoder.precision, other.precision) == ("fp32", precision)
    assert other.in_precision("fp32").key == encoder.key
    pictures = [make_picture(0, (100, 80)), make_picture(1, (80, 90))]
    half, single = other.encode(pictures), encoder.encode(pictures)
    assert half.dtype == single.dtype == np.float32
    assert not np.array_equal(half, single)
    np.testing.assert_allclose(half, single, atol=4e-2 * np.abs(single).max())


def test_rows_beyond_float16_are_computed_again():
    class Loud(torch.nn.Module):
        """A network whose features are the sums of a picture, times 10."""

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3 * 224 * 224, 2, bias=False)
            torch.nn.init.constant_(self.layer.weight, 10)

        def forward(self, x):
            return self.layer(x.flatten(1))

    encoder = TimmEncoder("loud", "loud", Loud(), "0" * 32, "none")
    encoder.precision = "fp16"
    quiet, loud = np.zeros((3, 224, 224), np.float32), np.ones((3, 224, 224), np.float32)
    quiet[0, 0, :3] = 1 / 3
    rows = encoder.forward([loud, quiet])
    np.testing.assert_allclose(rows[0], 1505280, rtol=1e-5)
    # the other row stays in float16
    assert rows[1, 0] == np.float16(rows[1, 0])


def test_data_overrides_the_config():
    network = timm.create_model("test_resnet", num_classes=0)
    plain = TimmEncoder("a", "a", network, "0" * 32, "none")
    data = {"input_size": (3, 64, 64), "mean": (0, 0, 0), "std": (1, 1, 1)}
    changed = TimmEncoder("a", "a", network, "0" * 32, "none", data)
    assert plain.key != changed.key
    white = Image.new("RGB", (80, 80), "white")
    assert changed.prepare(white).shape == (3, 64, 64)
    np.testing.assert_allclose(changed.prepare(white), 1)


def test_unknown_names_and_tags():
    with pytest.raises(UsageError, match=r"no weights tagged 'r16_in1k'.*Did you mean 'r160_in1k'"):
        open_encoder("test_vit.r16_in1k")
    with pytest.raises(UsageError, match="Did you mean 'vit_small_patch14_dinov2'"):
        open_encoder("timm:vit_small_patch14_dinov")
    trained = {name.partition(".")[0] for name in timm.list_pretrained()}
    without = next(name for name in timm.list_models() if name not in trained)
    with pytest.raises(UsageError, match=f"no pretrained weights for {without}.*{without}@PATH"):
        open_encoder(without)


def test_a_network_without_one_row_per_image_is_refused():
    network = timm.create_model("test_resnet", pretrained=False, num_classes=0, global_pool="")
    with pytest.raises(UsageError, match="'maps' gives no single row"):
        TimmEncoder("maps", "maps", network, "0" * 32, "unknown")


def test_digest_sees_names_and_values():
    state = {"a": torch.zeros(3), "n": torch.tensor(4), "h": torch.zeros(2, dtype=torch.bfloat16)}
    same = {name: state[name].clone() for name in reversed(state)}
    assert state_digest(state) == state_digest(same)
    for other in (
        {**state, "a": torch.ones(3)},
        {**state, "a": torch.zeros(1, 3)},
        {("b" if name == "a" else name): value for name, value in state.items()},
    ):
        assert state_digest(other) != state_digest(state)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50.a1_in1k", "ImageNet labels"),
        ("vit_base_patch16_224.augreg_in21k", "ImageNet labels"),
        ("vit_base_patch32_clip_448.laion2b_ft_in12k_in1k", "ImageNet labels"),
        ("convnextv2_tiny.fcmae_ft_in22k_in1k", "ImageNet labels"),
        ("vit_small_patch14_dinov2.lvd142m", "none"),
        ("vit_base_patch16_dinov3.lvd1689m", "none"),
        ("vit_small_patch14_reg4_dinov2.lvd142m", "none"),
        ("vit_7b_patch16_dinov3.sat493m", "none"),
        ("convnext_tiny.dinov3_lvd1689m", "none"),
        ("vit_small_patch16_224.dino", "none"),
        ("vit_base_patch16_224.mae", "none"),
        ("vit_huge_patch14_gap_224.in1k_ijepa", "none"),
        ("convnextv2_tiny.fcmae", "none"),
        ("vit_base_patch16_clip_224.openai", "image-text pairs"),
        ("vit_base_patch16_clip_quickgelu_224.metaclip_400m", "image-text pairs"),
        ("resnet50_clip.openai", "image-text pairs"),
        ("convnext_base.clip_laion2b", "image-text pairs"),
        ("resnet50_clip_gap.cc12m", "image-text pairs"),
        ("vit_so400m_patch14_siglip_224.webli", "image-text pairs"),
        ("eva02_base_patch14_224.mim_in22k", "unknown"),
        ("samvit_base_patch16.sa1b", "unknown"),
    ],
)
def test_supervision_is_read_from_the_name(name, expected):
    assert supervision(name) == expected
    assert expected in SUPERVISION
