from __future__ import annotations

import socket
import time

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.features.encoder import SUPERVISION  # noqa: E402
from usl.features.open import open_encoder  # noqa: E402
from usl.features.timm_model import TimmEncoder, state_digest, supervision  # noqa: E402

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
        ("vit_base_patch16_224.mae", "none"),
        ("vit_huge_patch14_gap_224.in1k_ijepa", "none"),
        ("convnextv2_tiny.fcmae", "none"),
        ("vit_base_patch16_clip_224.openai", "image-text pairs"),
        ("resnet50_clip_gap.cc12m", "image-text pairs"),
        ("vit_so400m_patch14_siglip_224.webli", "image-text pairs"),
        ("eva02_base_patch14_224.mim_in22k", "unknown"),
        ("samvit_base_patch16.sa1b", "unknown"),
    ],
)
def test_supervision_is_read_from_the_name(name, expected):
    assert supervision(name) == expected
    assert expected in SUPERVISION
