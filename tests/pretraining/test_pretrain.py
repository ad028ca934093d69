"""``usl pretrain``: the folder it leaves, resuming, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from killed import Killed, killed_at  # noqa: E402
from usl.cli import main  # noqa: E402
from usl.core.errors import DataError, TrainingFailedError, UsageError, UslWarning  # noqa: E402
from usl.data.collection import Collection  # noqa: E402
from usl.data.images import ArrayImages  # noqa: E402
from usl.evaluation.probe import knn_probe  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.learning.backbone import load_backbone  # noqa: E402
from usl.learning.hardware import Hardware  # noqa: E402
from usl.learning.log import read_records  # noqa: E402
from usl.pretraining import pretrain as verb  # noqa: E402
from usl.pretraining.contract import METHODS  # noqa: E402
from usl.pretraining.pretrain import pretrain  # noqa: E402

SMALL = {"size": 8, "epochs": 2, "batch_size": 16, "hardware": Hardware("cpu", "32")}


def collection(n=40, side=8, labels=True):
    """Noisy pictures in four colours."""
    rng = np.random.default_rng(0)
    classes = np.arange(n) % 4
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]])
    noise = rng.normal(0, 12, (n, side, side, 3))
    pixels = (colours[classes][:, None, None] + noise).clip(0, 255).astype(np.uint8)
    return Collection(
        ids=np.array([f"{row}.png" for row in range(n)]),
        subsets=np.where(np.arange(n) < n * 3 // 4, "train", "test"),
        images=ArrayImages(pixels),
        labels=classes.astype(str).astype(object) if labels else None,
        source="four colours",
    )


@pytest.mark.filterwarnings("ignore:.*the representation has collapsed")  # after one epoch of 30
@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize(
    "preset", ["cpu", "cifar", pytest.param("imagenet", marks=pytest.mark.slow)]
)
def test_every_method_leaves_an_encoder(tmp_path, method, preset):
    more = {"clusters": 4} if method == "cld" else {}
    done = pretrain(
        collection(),
        tmp_path / "out",
        method=method,
        preset=preset,
        **{**SMALL, "epochs": 1},
        **more,
    )
    assert {
        "encoder.safetensors",
        "checkpoint.safetensors",
        "metrics.jsonl",
        "pretraining.json",
    } == {file.name for file in done.path.iterdir()}
    encoder = open_encoder(str(done.path))
    assert encoder.supervision == "none"
    assert encoder.encode([Image.new("RGB", (30, 20))]).shape == (1, encoder.dim)
    assert load_backbone(done.encoder)[1]["method"] == method
    chosen = {"cpu": "compact", "cifar": "resnet18", "imagenet": "resnet50"}
    assert done.info["settings"]["network"] == chosen[preset]
    assert done.info["result"]["effective_rank"] >= 1
    assert 0 <= done.info["result"]["retrieval"] <= 1


def test_equal_seeds_give_equal_encoders_and_labels_change_nothing(tmp_path):
    first = pretrain(collection(), tmp_path / "a", method="simclr", seed=3, **SMALL)
    second = pretrain(collection(labels=False), tmp_path / "b", method="simclr", seed=3, **SMALL)
    probed = pretrain(
        collection(), tmp_path / "c", method="simclr", seed=3, probe=knn_probe, **SMALL
    )
    other = pretrain(collection(), tmp_path / "d", method="simclr", seed=4, **SMALL)
    weights = [
        load_backbone(done.encoder)[0].state_dict() for done in (first, second, probed, other)
    ]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
        assert torch.equal(value, weights[2][name])
    assert any(not torch.equal(v, weights[3][name]) for name, v in weights[0].items())
    assert 0 <= probed.info["result"]["knn_accuracy"] <= 1


@pytest.mark.parametrize("method", ["simclr", "moco", "cld"])
def test_a_stopped_training_goes_on_to_the_same_encoder(tmp_path, method, monkeypatch):
    more = {
        **SMALL,
        "epochs": 4,
        **({"clusters": 4, "instance": "moco"} if method == "cld" else {}),
    }
    whole = pretrain(collection(), tmp_path / "whole", method=method, **more)
    original = verb.load
    calls = []

    def stops(pictures, rows):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return original(pictures, rows)

    with monkeypatch.context() as patch:
        patch.setattr(verb, "load", stops)
        with pytest.raises(KeyboardInterrupt, match="--resume"):
            pretrain(collection(), tmp_path / "out", method=method, checkpoint_minutes=0, **more)
    done = pretrain(collection(), tmp_path / "out", method=method, resume=True, **more)
    assert whole.encoder.read_bytes() == done.encoder.read_bytes()
    steps = [record["step"] for record in read_records(done.path / "metrics.jsonl")]
    assert steps == sorted(set(steps))


def test_killed_before_its_first_checkpoint_it_begins_anew(tmp_path):
    """A kill leaves the record alone: the message says --resume, and --resume does it."""
    whole = pretrain(collection(), tmp_path / "whole", method="simclr", **SMALL)
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("pretraining.json", "metrics.jsonl"):
        (killed / name).write_bytes((whole.path / name).read_bytes())
    (killed / ".checkpoint.safetensors.0123456789ab.tmp").write_bytes(b"half")
    with pytest.raises(UsageError, match="Go on with it"):
        pretrain(collection(), killed, method="simclr", **SMALL)
    with pytest.warns(UslWarning, match="stopped before its first checkpoint; it begins anew"):
        done = pretrain(collection(), killed, method="simclr", resume=True, **SMALL)
    assert done.encoder.read_bytes() == whole.encoder.read_bytes()
    names = [sorted(path.name for path in one.path.iterdir()) for one in (done, whole)]
    assert names[0] == names[1]


def test_what_is_killed_while_it_clears_its_place_does_not_block_it(tmp_path, monkeypatch):
    small = {"method": "simclr", **SMALL}
    whole = pretrain(collection(), tmp_path / "whole", **small)
    for name in ("first", "later"):
        out = tmp_path / name
        pretrain(collection(), out, **small)
        with pytest.raises(Killed), killed_at(monkeypatch, 2 if name == "first" else 4):
            pretrain(collection(), out, overwrite=True, **small)
        done = pretrain(collection(), out, **small)
        assert done.encoder.read_bytes() == whole.encoder.read_bytes()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".pretraining.json.0123456789ab.tmp").write_bytes(b"{")
    pretrain(collection(), tmp_path / "empty", **small)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_another_network_cannot_be_resumed_into(tmp_path):
    pretrain(collection(), tmp_path, method="simclr", **SMALL)
    with pytest.raises(UsageError, match="network is 'compact', now it would be 'resnet18'"):
        pretrain(collection(), tmp_path, method="simclr", network="resnet18", resume=True, **SMALL)
    with pytest.raises(UsageError, match="images"):
        pretrain(collection(44), tmp_path, method="simclr", resume=True, **SMALL)


def test_folders_in_use_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="is no pre-training"):
        pretrain(collection(), tmp_path, method="simclr", overwrite=True, **SMALL)
    out = tmp_path / "out"
    with pytest.raises(DataError, match="no pre-training to resume"):
        pretrain(collection(), out, method="simclr", resume=True, **SMALL)
    pretrain(collection(), out, method="simclr", **SMALL)
    with pytest.raises(UsageError, match=r"--resume.*--overwrite"):
        pretrain(collection(), out, method="simclr", **SMALL)
    with pytest.raises(UsageError, match="exclude each other"):
        pretrain(collection(), out, method="simclr", resume=True, overwrite=True, **SMALL)
    pretrain(collection(), out, method="simclr", overwrite=True, **SMALL)


def test_bad_input_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="1 readable image"):
        pretrain(collection(4).take([0]), tmp_path / "a", method="simclr", **SMALL)
    with pytest.raises(UsageError, match="batch_size: 64 given for 30 images"):
        pretrain(collection(), tmp_path / "b", method="simclr", **{**SMALL, "batch_size": 64})
    with pytest.raises(UsageError, match="queue: 24 is not a multiple of the 16 keys"):
        pretrain(collection(), tmp_path / "c", method="moco", queue=24, **SMALL)
    with pytest.raises(UsageError, match="Did you mean 'simclr'"):
        pretrain(collection(), tmp_path / "d", method="simclrr", **SMALL)
    with pytest.raises(UsageError, match="no preset 'gpu'"):
        pretrain(collection(), tmp_path / "e", method="simclr", preset="gpu", **SMALL)
    with pytest.raises(UsageError, match="cannot be trained further"):
        pretrain(collection(), tmp_path / "f", method="simclr", init="pixels", **SMALL)
    features = Collection(np.array(["a", "b"]), np.array(["train"] * 2), features=np.eye(2))
    with pytest.raises(DataError, match="no images to train on"):
        pretrain(features, tmp_path / "g", method="simclr", **SMALL)
    assert not any(tmp_path.iterdir())


def test_small_pictures_are_enlarged_with_a_warning(tmp_path):
    with pytest.warns(UslWarning, match="8 pixels wide, the network takes 32; they are enlarged"):
        pretrain(collection(), tmp_path, method="simclr", **{**SMALL, "size": None, "epochs": 1})


def test_a_small_set_takes_a_smaller_batch(tmp_path):
    done = pretrain(collection(12), tmp_path, method="simclr", **{**SMALL, "batch_size": None})
    assert done.info["settings"]["batch_size"] == 4


def test_a_diverging_loss_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(TrainingFailedError, match=r"not finite at step \d+, .*png.*Lower the"):
        pretrain(
            collection(),
            tmp_path,
            method="simclr",
            lr=1e30,
            checkpoint_minutes=0,
            **{**SMALL, "epochs": 20},
        )
    assert (tmp_path / "checkpoint.safetensors").is_file()


def test_unreadable_images_are_listed(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for row in range(20):
        collection().images.read(row).save(folder / f"{row:02d}.png")
    (folder / "07.png").write_bytes(b"broken")
    done = pretrain(folder, tmp_path / "out", method="simclr", **{**SMALL, "batch_size": 8})
    assert done.info["images"] == 19
    assert done.info["unreadable"][0][0] == "07.png"


def test_the_command_line(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for row in range(20):
        collection().images.read(row).save(folder / f"{row:02d}.png")
    out = tmp_path / "out"
    command = ["pretrain", str(folder), "--out", str(out), "--size", "8", "--epochs", "1"]
    assert main([*command, "--method", "simclr", "--no-flip"]) == 0
    said = capsys.readouterr().out
    assert "Trained compact by simclr on 20 images" in said
    assert f"--model {out}" in said
    assert (
        json.loads((out / "pretraining.json").read_text())["settings"]["parameters"]["flip"]
        is False
    )
    assert (
        main(
            [
                "select",
                str(folder),
                "--budget",
                "3",
                "--model",
                str(out),
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    assert main(command) == 2
    assert "--resume" in capsys.readouterr().err
