from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from safetensors.torch import save_file  # noqa: E402

from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.features.encoders import backbone as network  # noqa: E402
from usl.features.encoders.backbone import PASS, NetworkEncoder  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.features.shared import torch_threads as cores  # noqa: E402
from usl.learning.backbone import new_backbone, save_backbone  # noqa: E402


@pytest.fixture(scope="module")
def backbone():
    made = new_backbone("compact", seed=0)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):  # running statistics of their own
        made(torch.rand(32, 3, 32, 32, generator=generator))
    return made


@pytest.fixture(scope="module")
def folder(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("pretraining")
    save_backbone(path / "encoder.safetensors", backbone, "none", method="cld")
    return path


@pytest.fixture
def encoder(folder):
    return open_encoder(str(folder))


def test_rows_are_the_backbones_features(encoder, backbone, make_picture):
    pictures = [make_picture(seed, (32, 32)) for seed in range(3)]
    batch = np.stack([np.asarray(picture) for picture in pictures])
    values = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        expected = backbone.eval()(values).numpy()
    rows = encoder.encode(pictures)
    assert rows.dtype == encoder.dtype == np.float32
    assert rows.shape == (3, encoder.dim)
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_other_sizes_are_resized(encoder):
    y, x = np.mgrid[:96, :96] / 20
    waves = [np.sin(x * (c + 1)) * np.cos(y * (2 - c)) for c in range(3)]
    picture = Image.fromarray(np.uint8(127.5 + 120 * np.stack(waves, axis=2)))
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(
        pixels, (32, 32), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 255)[0]
    assert np.abs(encoder.prepare(picture) - expected.numpy()).max() < 2
    assert encoder.prepare(picture).dtype == np.float32


def test_a_picture_of_the_right_size_is_taken_as_it_is(encoder, make_picture):
    picture, grey = make_picture(0, (32, 32)), make_picture(1, (32, 32), "L")
    assert np.array_equal(encoder.prepare(picture), np.asarray(picture).transpose(2, 0, 1))
    assert np.array_equal(encoder.prepare(grey), [np.asarray(grey)] * 3)
    assert np.array_equal(encoder.encode([grey]), encoder.encode([grey.convert("RGB")]))


def test_bits_depend_on_neither_company_nor_cores(encoder, make_picture, monkeypatch):
    pictures = [make_picture(seed, (32, 32)) for seed in range(PASS + 3)]  # more than one pass
    together = encoder.encode(pictures)
    assert np.array_equal(encoder.encode(pictures[PASS:]), together[PASS:])
    assert np.array_equal(encoder.encode(pictures[::-1])[::-1], together)
    monkeypatch.setattr(cores, "thread_count", lambda: 3)
    assert np.array_equal(encoder.encode(pictures), together)
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_the_record_is_read(encoder, folder):
    assert encoder.info().supervision == "none"
    assert (encoder.size, encoder.dim) == (32, 208)
    assert encoder.name == str(folder / "encoder.safetensors")
    assert encoder.meta == {"method": "cld"}


def test_key_is_the_file(encoder, backbone, folder, tmp_path):
    assert encoder.key.startswith("compact-32-v1-")
    shutil.copy(encoder.path, tmp_path / "copy.safetensors")
    assert open_encoder(str(tmp_path / "copy.safetensors")).key == encoder.key
    save_backbone(tmp_path / "other.safetensors", new_backbone("compact", seed=9))
    assert open_encoder(str(tmp_path / "other.safetensors")).key != encoder.key
    save_backbone(tmp_path / "timm.safetensors", new_backbone("timm:test_resnet", seed=9))
    assert ":" not in open_encoder(str(tmp_path / "timm.safetensors")).key


def test_a_name_works_from_any_folder(encoder, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    for name in ("encoder.safetensors", ".", "./encoder.safetensors"):
        opened = open_encoder(name)
        assert opened.key == encoder.key
        monkeypatch.chdir(tmp_path)
        assert open_encoder(opened.name).key == encoder.key
        monkeypatch.chdir(folder)


def test_an_at_sign_in_a_path_is_no_architecture(encoder, tmp_path):
    (tmp_path / "run@home").mkdir()
    shutil.copy(encoder.path, tmp_path / "run@home" / "encoder.safetensors")
    assert open_encoder(str(tmp_path / "run@home")).key == encoder.key


def test_the_trainable_copy(encoder, backbone):
    one, two = encoder.backbone(), encoder.backbone()
    assert one is not two
    assert one.training
    for name, value in backbone.state_dict().items():
        assert torch.equal(one.state_dict()[name], value)
    assert all(value.requires_grad for value in one.parameters())


def test_a_file_that_changes_in_use(encoder, tmp_path, make_picture):
    path = tmp_path / "encoder.safetensors"
    shutil.copy(encoder.path, path)
    opened = NetworkEncoder(path)
    save_backbone(path, new_backbone("compact", seed=5))
    with pytest.raises(DataError, match="changed while it was in use"):
        opened.encode([make_picture(0)])


def test_shipped_encoders_go_by_name(encoder, tmp_path, monkeypatch):
    shutil.copy(encoder.path, tmp_path / "cifar_cld_small.safetensors")
    monkeypatch.setattr(network, "SHIPPED", tmp_path)
    opened = open_encoder("cifar-cld-small")
    assert opened.name == "cifar-cld-small"
    assert opened.key == encoder.key
    with pytest.raises(UsageError, match="Did you mean 'cifar-cld-small'"):
        open_encoder("cifar-cld-smal")
    with pytest.raises(UsageError, match=r"Known: auto, .*cifar-cld-small"):
        open_encoder("qqqqqqqq")


def test_files_that_are_no_encoder(encoder, tmp_path):
    with pytest.raises(DataError, match=r"gone\.safetensors: no such weights file"):
        open_encoder(str(tmp_path / "gone.safetensors"))
    with pytest.raises(DataError, match=r"holds no encoder\.safetensors"):
        open_encoder(str(tmp_path))
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(2)}, bare)
    with pytest.raises(UsageError, match=r"write ARCH@.*bare\.safetensors"):
        open_encoder(str(bare))
    bare.write_bytes(encoder.path.read_bytes()[:-7])
    with pytest.raises(DataError, match=r"bare\.safetensors is damaged"):
        open_encoder(str(bare))


def test_opening_imports_no_torch(folder):
    script = (
        "import sys; from usl.features.open_encoder import open_encoder;"
        "open_encoder(sys.argv[1]).info();"
        "print([m for m in ('torch', 'timm', 'safetensors', 'PIL') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_the_cache_serves_it(encoder, make_collection, make_picture, tmp_path):
    from usl.features.embed import embed

    collection = make_collection([make_picture(0), make_picture(1, (40, 30), "L")])
    first = embed(collection, encoder, cache=tmp_path)
    again = embed(collection, encoder.name, cache=tmp_path)
    assert (first.computed, again.computed) == (2, 0)
    assert np.array_equal(first.rows, again.rows)


def test_a_timm_encoder_gives_a_trainable_copy(tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    weights = timm.create_model("test_resnet", num_classes=0).state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    encoder = open_encoder(f"test_resnet@{tmp_path / 'w.safetensors'}")
    copy = encoder.backbone()
    assert copy.training
    colour = (200, 30, 90)  # the same before and after the crop of timm's preparation
    picture = Image.new("RGB", (copy.size, copy.size), colour)
    values = (torch.tensor(colour).view(1, 3, 1, 1) / 255).expand(1, 3, copy.size, copy.size)
    with torch.inference_mode():
        rows = copy.eval()(values).numpy()
    np.testing.assert_allclose(rows, encoder.encode([picture]), atol=1e-4)
    with torch.no_grad():
        next(copy.parameters()).zero_()  # the encoder keeps its own
    assert float(next(encoder.backbone().parameters()).detach().abs().sum()) > 0
    save_backbone(tmp_path / "own.safetensors", copy, encoder.supervision)
    assert open_encoder(str(tmp_path / "own.safetensors")).dim == encoder.dim
