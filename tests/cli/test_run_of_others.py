"""The run of somebody else: what its ``run.json`` names is not fetched because of that."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from usl.cli import main
from usl.core.errors import DataError
from usl.core.files import cache_dir
from usl.features.cache import FeatureCache
from usl.features.open_encoder import is_remote

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

pytestmark = pytest.mark.filterwarnings("ignore:k = 400 neighbours", "ignore:pca. 64 dimensions")


@contextmanager
def served(content):
    """A server on this machine; yields its address and the paths that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("photos", "more"):
        for i in range(12):
            folder = tmp_path / name / "ab"[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 90, (32, 32, 3)) + 150 * (i % 2)
            Image.fromarray(noise.astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "photos"


def label(run):
    """Fill in the labels of the picks by their folders."""
    with open(run / "split.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        if row["state"] == "requested":
            row["label"] = row["image_id"][0]
    with open(run / "split.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def rename_encoder(run, name, key=None):
    """What somebody may have written into ``run.json``."""
    record = json.loads((run / "run.json").read_text())
    for section in (record, record["training"]):
        section["encoder"]["name"] = name
        if key:
            section["encoder"]["key"] = key
    (run / "run.json").write_text(json.dumps(record))


@pytest.fixture
def trained(photos, tmp_path):
    run = tmp_path / "run"
    arguments = [str(photos), "--budget", "6", "--model", "pixels", "--method", "kmeans"]
    assert main(["select", *arguments, "--out", str(run)]) == 0
    label(run)
    assert main(["train", str(run), "--method", "logistic"]) == 0
    return run


NAMES = ("resnet18@{}/evil.pth", "resnet18@{}/evil.pth#sha256=" + 64 * "0", "resnet18@{}/a.ckpt")


@pytest.mark.parametrize("name", NAMES)
def test_no_verb_fetches_what_a_run_names(trained, photos, tmp_path, capsys, name):
    torch.save({}, tmp_path / "empty.pth")
    with served((tmp_path / "empty.pth").read_bytes()) as (address, asked):
        name = name.format(address)
        rename_encoder(trained, name, "unheard-of")
        run, more = str(trained), str(tmp_path / "more")
        for command in (
            ["train", run, "--method", "logistic"],
            ["predict", run, more, "--out", str(tmp_path / "more.csv")],
            ["train", run, "--method", "flexmatch_features", "--views", "2"],
        ):
            capsys.readouterr()
            assert main(command) == 1
            shown = capsys.readouterr().err
            assert f"--model {name}" in shown.replace("'", "")
            assert len([line for line in shown.splitlines() if line.startswith("Error")]) == 1
        for command in (["evaluate", run], ["report", run], ["export", run]):
            main(command)
        assert asked == []
        assert main(["train", run, "--method", "logistic", "--model", name]) == 1  # no weights
        assert asked != []


@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "timm:test_vit", "hf-hub:timm/test_vit"])
def test_a_model_of_the_hub_is_not_fetched(trained, tmp_path, capsys, monkeypatch, name):
    import socket

    from huggingface_hub import constants

    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    rename_encoder(trained, name, "unheard-of")
    assert main(["train", str(trained), "--method", "logistic"]) == 1
    assert f"--model {name.removeprefix('timm:')}" in capsys.readouterr().err
    assert main(["report", str(trained)]) == 0


def test_rows_in_the_cache_serve_without_weights(photos, tmp_path, capsys):
    from usl.learning.networks.resnet18 import build

    path = tmp_path / "weights.pth"
    torch.save(build().state_dict(), path)
    run = tmp_path / "run"
    with served(path.read_bytes()) as (address, asked):
        name = f"resnet18_cifar@{address}/weights.pth"
        arguments = ["--budget", "6", "--method", "kmeans", "--model", name]
        assert main(["select", str(photos), *arguments, "--out", str(run)]) == 0
        assert len(asked) == 1
        label(run)
        shutil.rmtree(cache_dir() / "checkpoints")
        for command in (["train", str(run), "--method", "logistic"], ["evaluate", str(run)]):
            assert main(command) == 0, capsys.readouterr().err
        assert len(asked) == 1
        capsys.readouterr()
        to_more = ["predict", str(run), str(tmp_path / "more"), "--out", str(tmp_path / "more.csv")]
        assert main(to_more) == 1
        assert "--model resnet18_cifar@http://127.0.0.1" in capsys.readouterr().err
        assert main(["embed", str(photos), "--model", name]) == 0
        assert len(asked) == 2
        assert main(to_more) == 0
        assert len(asked) == 2


def test_a_key_that_leads_out_of_the_cache_is_refused(trained, tmp_path, capsys):
    for key in ("../../elsewhere", "/etc", "a/b", "..\\elsewhere"):
        with pytest.raises(DataError, match="is no key of an encoder"):
            FeatureCache.open(key)
    rename_encoder(trained, "resnet18@http://127.0.0.1:9/x.pth", "../../elsewhere")
    assert main(["train", str(trained)]) == 1
    assert "is no key of an encoder" in capsys.readouterr().err


def test_which_names_use_the_network(tmp_path):
    for name in ("auto", "pixels", "efficientnet_lite1", "cifar-cld-small", "local-dir:x", "x"):
        assert not is_remote(name), name
    for name in ("resnet18@x.pth", "resnet18@/x.pth", "resnet18@file:///x.pth", str(tmp_path)):
        assert not is_remote(name), name
    for name in ("resnet18", "timm:resnet18", "resnet18.a1_in1k", "hf-hub:a/b", "hf_hub:a/b"):
        assert is_remote(name), name
    for name in ("resnet18@https://x.org/x.pth", "resnet18@HTTP://x.org/x.pth"):
        assert is_remote(name), name
