from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save, save_file  # noqa: E402

from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.learning.backbone import load_backbone, new_backbone, save_backbone  # noqa: E402
from usl.learning.backbone_file import find_record, read_record  # noqa: E402


@pytest.fixture(scope="module")
def backbone():
    return new_backbone("compact", seed=0)


@pytest.fixture
def file(backbone, tmp_path):
    save_backbone(tmp_path / "encoder.safetensors", backbone, "none", method="cld", epochs=3)
    return tmp_path / "encoder.safetensors"


def rewrite(file, **changes):
    """The same weights with another record."""
    told = json.loads(header(file)["__metadata__"]["usl"]) | changes
    file.write_bytes(save(load_file(file), metadata={"usl": json.dumps(told)}))


def header(file):
    content = file.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def same(one, two):
    one, two = one.state_dict(), two.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_the_seed_decides_the_weights():
    before = torch.get_rng_state()
    one = new_backbone("compact", seed=1)
    torch.rand(3)
    assert same(one, new_backbone("compact", seed=1))
    assert not same(one, new_backbone("compact", seed=2))
    torch.set_rng_state(before)
    new_backbone("compact", seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_pictures_are_normalised_and_grey_fills_three_channels(backbone):
    backbone.eval()
    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    channels = [(pictures[:, c] - mean[c]) / std[c] for c in range(3)]
    with torch.inference_mode():
        expected = backbone.network(torch.stack(channels, 1))
        torch.testing.assert_close(backbone(pictures), expected)
        grey = pictures[:, :1]
        torch.testing.assert_close(backbone(grey), backbone(torch.cat([grey] * 3, 1)))
        assert backbone(torch.rand(2, 3, 48, 40)).shape == (2, backbone.dim)


def test_bytes_are_refused(backbone):
    with pytest.raises(UsageError, match="divide by 255"):
        backbone(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


def test_own_size_mean_and_std():
    own = new_backbone("compact", size=48, mean=(0.1, 0.2, 0.3), std=(1, 2, 3), seed=0)
    assert own.size == 48
    assert own.std.shape == (1, 3, 1, 1)
    assert own.mean.dtype == own.std.dtype == torch.float32
    with pytest.raises(UsageError, match="size: 0 given"):
        new_backbone("compact", size=0, seed=0)
    with pytest.raises(UsageError, match="mean, std"):
        new_backbone("compact", std=(1, 0, 1), seed=0)


def test_what_is_saved_comes_back(tmp_path):
    saved = new_backbone("compact", size=40, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), seed=3)
    saved(torch.rand(4, 3, 32, 32))  # moves the running statistics
    path = tmp_path / "new folder" / "b.safetensors"
    save_backbone(path, saved, "image-text pairs", method="CLD, große Läufe", epochs=7)
    before = torch.get_rng_state()
    loaded, meta = load_backbone(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(saved, loaded)  # mean and std among them
    assert (loaded.name, loaded.size, loaded.dim) == ("compact", 40, 208)
    expected = {"supervision": "image-text pairs", "method": "CLD, große Läufe", "epochs": 7}
    assert meta == expected
    assert loaded.training
    assert all(value.requires_grad for value in loaded.parameters())
    content = path.read_bytes()
    save_backbone(path, loaded, **meta)
    assert path.read_bytes() == content


def test_files_of_compact_are_small(file):
    assert file.stat().st_size < 4_000_000


def test_the_record_needs_no_torch(file):
    script = (
        "import sys; from pathlib import Path;"
        "from usl.learning.backbone_file import read_record; r = read_record(Path(sys.argv[1]));"
        "print(r.network, r.size, r.dim, r.supervision, r.meta['method'], 'torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["compact", "32", "208", "none", "cld", "False"]


def test_a_failed_save_keeps_the_old_file(backbone, file):
    content = file.read_bytes()
    with pytest.raises(UsageError, match=r"meta of a backbone.*not JSON"):
        save_backbone(file, backbone, data=torch.Generator())
    assert file.read_bytes() == content
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"gone\.safetensors: no such weights file"):
        load_backbone(tmp_path / "gone.safetensors")


def test_weights_of_someone_else(tmp_path):
    for name, metadata in (("bare", None), ("timm", {"format": "pt"})):
        path = tmp_path / f"{name}.safetensors"
        save_file({"a": torch.zeros(2)}, path, metadata=metadata)
        assert find_record(path) is None
        with pytest.raises(DataError, match=rf"write ARCH@.*{name}\.safetensors"):
            load_backbone(path)


@pytest.mark.parametrize("kept", [0, 5, 300, -1])
def test_half_a_copy(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"encoder\.safetensors is damaged"):
        read_record(file)
    with pytest.raises(DataError, match=r"encoder\.safetensors is damaged"):
        load_backbone(file)


def test_another_kind_of_file(tmp_path):
    (tmp_path / "photo.safetensors").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    with pytest.raises(DataError, match="is damaged"):
        load_backbone(tmp_path / "photo.safetensors")


@pytest.mark.parametrize(
    "changes",
    [{"std": [1, 0, 1]}, {"mean": [0, 0]}, {"size": "big"}, {"dim": 0}, {"meta": None}],
)
def test_a_record_without_sense(file, changes):
    rewrite(file, **changes)
    with pytest.raises(DataError, match="is damaged"):
        read_record(file)


def test_a_newer_format(file):
    rewrite(file, format=99)
    with pytest.raises(DataError, match=r"format 99.*newer usl"):
        load_backbone(file)


def test_an_unknown_network(file):
    rewrite(file, network="compact2")
    with pytest.raises(DataError, match=r"encoder\.safetensors: unknown network 'compact2'.*Did"):
        load_backbone(file)


def test_weights_of_another_architecture(file):
    rewrite(file, network="resnet18", dim=512)
    with pytest.raises(DataError, match=r"not fit the network 'resnet18': stem\.0\.weight has sha"):
        load_backbone(file)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: w.pop("blocks.0.bn1.bias"), r"blocks\.0\.bn1\.bias is absent in the file"),
        (lambda w: w.update(extra=torch.zeros(2)), r"extra has shape \[2\] in the file and is abs"),
    ],
)
def test_a_weight_too_few_or_too_many(file, change, told):
    weights, metadata = load_file(file), header(file)["__metadata__"]
    del metadata["checksum"]  # as in a file of another version
    change(weights)
    save_file(weights, file, metadata=metadata)
    with pytest.raises(DataError, match=told):
        load_backbone(file)


def test_a_wrong_width_in_the_record(file):
    rewrite(file, dim=512)
    with pytest.raises(DataError, match="512"):
        load_backbone(file)


def test_autocast_and_gradients(backbone):
    backbone.train()
    with torch.autocast("cpu", torch.bfloat16):
        features = backbone(torch.rand(4, 1, 32, 32))
    assert features.dtype == torch.bfloat16
    features.float().square().mean().backward()
    assert all(value.grad.isfinite().all() for value in backbone.parameters())
    assert sum(float(value.grad.abs().sum()) > 0 for value in backbone.parameters()) > 30


def test_timm_architectures_come_back(tmp_path):
    pytest.importorskip("timm")
    saved = new_backbone("timm:test_resnet", seed=0)
    save_backbone(tmp_path / "t.safetensors", saved)
    assert same(saved, load_backbone(tmp_path / "t.safetensors")[0])


def test_a_flipped_bit_is_named_wherever_it_is(file):
    content = file.read_bytes()
    for place in range(9, len(content), len(content) // 97):
        for bit in (0, 6):
            other = bytearray(content)
            other[place] ^= 1 << bit
            file.write_bytes(other)
            with pytest.raises(DataError, match=re.escape(str(file))):
                load_backbone(file)


def test_a_flipped_bit_in_the_weights_is_told_by_the_checksum(file):
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="is damaged \\(its checksum is another\\)"):
        load_backbone(file)


def test_a_file_without_a_checksum_is_read_as_before(backbone, file):
    metadata = header(file)["__metadata__"]
    assert set(metadata) == {"usl", "checksum"}
    file.write_bytes(save(load_file(file), metadata={"usl": metadata["usl"]}))
    assert same(load_backbone(file)[0], backbone)
