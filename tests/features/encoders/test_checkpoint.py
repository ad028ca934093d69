from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from usl.core.errors import DataError, UsageError, UslWarning  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402

ARCH = "test_resnet"  # timm's own 0.5 M parameter network for tests


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return timm.create_model(ARCH, pretrained=False, num_classes=7).eval()


@pytest.fixture
def save(tmp_path):
    def write(content, name="weights.pth"):
        if name.endswith(".safetensors"):
            from safetensors.torch import save_file

            save_file(content, tmp_path / name)
        else:
            torch.save(content, tmp_path / name)
        return f"{ARCH}@{tmp_path / name}"

    return write


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def test_rows_are_the_networks_pooled_features(network, save, make_picture):
    pictures = [make_picture(0, (200, 170)), make_picture(1, (50, 60), "L")]
    encoder = open_encoder(save(network.state_dict()))
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config, is_training=False)
    inputs = torch.stack([transform(picture.convert("RGB")) for picture in pictures])
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(inputs), pre_logits=True)
    rows = encoder.encode(pictures)
    assert rows.dtype == np.float32
    assert rows.shape == (2, encoder.dim)
    np.testing.assert_allclose(rows, expected.numpy(), atol=1e-5)
    assert encoder.supervision == "unknown"


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
def test_every_ending(network, save, make_picture, name):
    encoder = open_encoder(save(network.state_dict(), name))
    reference = open_encoder(save(network.state_dict(), "reference.pth"))
    pictures = [make_picture(0, (64, 64))]
    assert np.array_equal(encoder.encode(pictures), reference.encode(pictures))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": prefixed(state, "module.")},
        lambda state: {"state_dict": prefixed(state, "module.encoder_q.")},
        lambda state: (
            prefixed(state, "backbone.") | {"projector.0.weight": torch.zeros(3, 3)}
        ),  # self-supervised heads lie beside
    ],
)
def test_what_training_scripts_save(network, save, make_picture, wrap):
    pictures = [make_picture(0, (64, 64))]
    expected = open_encoder(save(network.state_dict(), "plain.pth")).encode(pictures)
    found = open_encoder(save(wrap(network.state_dict()), "wrapped.pth")).encode(pictures)
    assert np.array_equal(found, expected)


def test_name_and_key(network, save, tmp_path, monkeypatch):
    one = save(network.state_dict(), "one.pth")
    changed = {name: value + 1 for name, value in network.state_dict().items()}
    two = save(changed, "two.pth")
    assert open_encoder(one).key == open_encoder("timm:" + one).key != open_encoder(two).key
    assert "/" not in open_encoder(one).key
    monkeypatch.chdir(tmp_path)
    # the name works from any folder
    assert open_encoder(f"{ARCH}@one.pth").name == one


def test_missing_weights_are_named(network, save):
    state = network.state_dict()
    del state["conv1.0.weight" if "conv1.0.weight" in state else next(iter(state))]
    removed = (network.state_dict().keys() - state.keys()).pop()
    with pytest.raises(DataError, match=rf"weights\.pth does not fit: 1 of .*{removed}"):
        open_encoder(save(state))


def test_another_architecture_is_named(network, save):
    with pytest.raises(DataError, match=r"weights are missing .*It holds \d+, such as"):
        open_encoder(save(network.state_dict()).replace(ARCH, "test_vit"))


def test_another_shape_is_named(network, save):
    state = network.state_dict()
    name = next(iter(state))
    state[name] = torch.zeros(1, 2, 3, 4)
    with pytest.raises(DataError, match=rf"{name} has shape \[1, 2, 3, 4\]"):
        open_encoder(save(state))


def test_weights_without_a_place_are_a_warning(network, save):
    with pytest.warns(UslWarning, match=r"1 weights have no place.*extra\.weight"):
        open_encoder(save(network.state_dict() | {"extra.weight": torch.zeros(2)}))


class Evil:
    """Makes a folder when unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("how", ["bare pickle", "inside a torch file"])
def test_a_pickle_that_runs_code_is_refused(network, save, tmp_path, how):
    trap = tmp_path / "executed"
    if how == "bare pickle":
        (tmp_path / "evil.pth").write_bytes(pickle.dumps({"state_dict": Evil(trap)}, protocol=2))
        name = f"{ARCH}@{tmp_path / 'evil.pth'}"
    else:
        name = save({"state_dict": network.state_dict(), "extra": Evil(trap)}, "evil.pth")
    with pytest.raises(DataError, match=r"evil\.pth was refused.*torch\.save\("):
        open_encoder(name)
    assert not trap.exists()


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_truncated_file(network, save, tmp_path, name):
    spec = save(network.state_dict(), name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.(pth|safetensors) (is no readable|was refused)"):
        open_encoder(spec)


def test_files_that_are_no_checkpoint(save, tmp_path):
    with pytest.raises(DataError, match=r"missing\.pth: no such checkpoint file"):
        open_encoder(f"{ARCH}@{tmp_path / 'missing.pth'}")
    with pytest.raises(DataError, match="holds no weights by name"):
        open_encoder(save([torch.zeros(3)], "list.pth"))
    with pytest.raises(UsageError, match=r"ends in \.pth, \.pt, \.safetensors"):
        open_encoder(f"{ARCH}@weights.bin")
    with pytest.raises(UsageError, match=r"unknown architecture 'resnet5O'.*Did you mean 'resnet5"):
        open_encoder("resnet5O@weights.pth")


def test_damaged_weights_never_reach_the_cache(
    network, save, make_collection, make_picture, tmp_path
):
    from usl.features.embed import embed

    broken = {
        name: torch.full_like(value, float("nan")) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    collection = make_collection([make_picture(0), make_picture(1)])
    with pytest.raises(DataError, match="NaN or infinity for train/00000"):
        embed(collection, save(broken), cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.shard"))
