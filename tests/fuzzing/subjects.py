"""What is fuzzed: for every reader of a file a small valid file, its structure, and the reader."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from usl.data.decode import decode_file
from usl.data.open import open_collection
from usl.run.folder import Run
from usl.run.split import Split

IDS = [f"{number}.png" for number in range(4)]


@dataclass(frozen=True)
class Subject:
    """A reader: ``files`` by name, the first of which is damaged, and what reads their folder."""

    name: str
    files: dict[str, bytes]
    read: Callable[[Path], object]
    structure: str = ""
    folders: tuple[str, ...] = field(default=())

    @property
    def damaged(self) -> str:
        """The name of the file that is damaged."""
        return next(iter(self.files))

    def lay(self, folder):
        """Write the files that are never damaged."""
        for name, content in list(self.files.items())[1:]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / self.damaged).parent.mkdir(parents=True, exist_ok=True)


def picture(kind="PNG", mode="RGB", side=9):
    made = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(made, kind)
    return made.getvalue()


def parquet(**columns):
    made = io.BytesIO()
    pq.write_table(pa.table(columns), made)
    return made.getvalue()


def npz(**arrays):
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


def packed(**arrays):
    made = io.BytesIO()
    np.savez_compressed(made, **arrays)
    return made.getvalue()


def idx(array):
    return (
        b"\0\0\x08"
        + bytes([array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def opened(name):
    """Open a source, and look at one image or row of it."""

    def read(folder):
        found = open_collection(folder / name)
        found.digest(0)
        if found.images is not None:
            found.images.read(0)

    return read


PIXELS = np.arange(4 * 4 * 4, dtype=np.uint8).reshape(4, 4, 4)
NUMBERS = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
PICTURES = {name: picture() for name in IDS}
MANIFEST = b"path,label,split\n" + b"".join(f"{n},cat,train\n".encode() for n in IDS)
FEATURES = b"image_id,f0,f1,label\n" + b"".join(
    f"{n},0.5,{r},1\n".encode() for r, n in enumerate(IDS)
)
RECORDS = [{"image_id": n, "features": [0.5, r], "label": "cat"} for r, n in enumerate(IDS)]
JSONL = b"\n".join(json.dumps(one).encode() for one in RECORDS)
HUB = [{"bytes": content, "path": name} for name, content in PICTURES.items()]


def sources():
    lists = [[0.5, float(row)] for row in range(4)]
    yield Subject("manifest csv", {"x.csv": MANIFEST, **PICTURES}, opened("x.csv"), "csv")
    listed = [{"path": n, "label": "cat", "subset": "train"} for n in IDS]
    yield Subject(
        "manifest json",
        {"x.json": json.dumps(listed).encode(), **PICTURES},
        opened("x.json"),
        "json",
    )
    table = parquet(path=IDS, label=["a", "b", None, "a"], split=["train"] * 4)
    yield Subject(
        "manifest parquet", {"x.parquet": table, **PICTURES}, opened("x.parquet"), "parquet"
    )
    metadata = MANIFEST.replace(b"path", b"file_name")
    yield Subject("metadata csv", {"metadata.csv": metadata, **PICTURES}, opened("."), "csv")
    yield Subject("features csv", {"x.csv": FEATURES}, opened("x.csv"), "csv")
    yield Subject("features jsonl", {"x.jsonl": JSONL}, opened("x.jsonl"), "jsonl")
    table = parquet(image_id=IDS, features=lists, label=["1"] * 4)
    yield Subject("features parquet", {"x.parquet": table}, opened("x.parquet"), "parquet")
    table = parquet(image_id=IDS, f0=[0.5] * 4, f1=[1.0, 2, 3, 4])
    yield Subject("columns parquet", {"x.parquet": table}, opened("x.parquet"), "parquet")
    hub = parquet(image=HUB, label=[0, 1, 0, 1])
    yield Subject("hub parquet", {"x.parquet": hub}, opened("x.parquet"), "parquet")
    made = io.BytesIO()
    np.save(made, NUMBERS)
    yield Subject("npy", {"x.npy": made.getvalue()}, opened("x.npy"), "npy")
    shard = made.getvalue()
    yield Subject("npy shards", {"s/1.npy": shard, "s/2.npy": shard}, opened("s"), "npy")
    archive = packed(features=NUMBERS, ids=np.array(IDS), y=np.array([0, 1, 0, 1]))
    yield Subject("npz", {"x.npz": archive}, opened("x.npz"), "npz")
    archive = packed(train_images=PIXELS, train_labels=np.zeros((4, 1), np.int64))
    yield Subject("medmnist", {"x.npz": archive}, opened("x.npz"), "npz")
    images, labels = gzip.compress(idx(PIXELS)), idx(np.array([0, 1, 0, 1], np.uint8))
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    yield Subject("idx gz", {f"{names[0]}.gz": images, names[1]: labels}, opened("."))
    yield Subject("idx", {names[0]: idx(PIXELS), names[1]: labels}, opened("."))
    yield Subject("idx labels", {names[1]: labels, names[0]: idx(PIXELS)}, opened("."))
    rows = np.zeros((2, 3072), np.uint8)
    batch = pickle.dumps({"data": rows, "labels": [0, 1], "filenames": ["a", "b"]}, 2)
    meta = pickle.dumps({"label_names": ["cat", "dog"]}, 2)
    six = {f"data_batch_{number}": batch for number in range(1, 6)} | {"test_batch": batch}
    yield Subject("cifar batch", {**six, "batches.meta": meta}, opened("."), "pickle")
    yield Subject("cifar meta", {"batches.meta": meta, **six}, opened("."), "pickle")


def images():
    kinds = [("PNG", "RGB"), ("PNG", "I;16"), ("PNG", "P"), ("JPEG", "RGB"), ("WEBP", "RGB")]
    kinds += [("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "F"), ("GIF", "P")]
    for kind, mode in kinds:

        def read(folder):
            decode_file(folder / "x.png", str(folder / "x.png"))

        content = picture(kind, mode) if mode != "I;16" else deep()
        yield Subject(f"image {kind} {mode}", {"x.png": content}, read)


def deep():
    made = io.BytesIO()
    Image.fromarray(np.arange(81, dtype=np.uint16).reshape(9, 9) * 700).save(made, "PNG")
    return made.getvalue()


def run_files():
    split = Split.start(IDS, ["train"] * 4, picks=[0, 1]).with_labels([0, 1], ["cat", "dog"])
    from usl.run.split_csv import csv_bytes

    info = {
        "format": 1,
        "id": "0" * 32,
        "source": {"given": ".", "path": None, "kind": "folder", "options": {}, "subsets": {}},
        "encoder": {"name": "pixels", "key": "k", "supervision": "none", "unreadable": []},
        "selection": {"method": "usl", "parameters": {}, "seed": 0},
        "training": {"method": "logistic", "classes": ["cat", "dog"], "encoder": {"name": "p"}},
    }
    lists = [["0.png"], ["1.png", "2.png"]]
    digests = collection().digests().tolist()
    return {
        "run.json": json.dumps(info).encode(),
        "split.csv": csv_bytes(split),
        "images.parquet": parquet(image_id=IDS, subset=["train"] * 4, digest=digests),
        "selection.parquet": parquet(image_id=IDS[:2], rank=[1, 2], propagated_to=lists),
        "predictions.parquet": parquet(
            image_id=IDS,
            subset=["train"] * 4,
            label=["cat"] * 4,
            confidence=[0.5] * 4,
            source=["predicted"] * 4,
        ),
        "columns.parquet": parquet(image_id=IDS, price=[1.0, 2.0, None, 4.0], camera=["a"] * 4),
    }


def collection():
    from usl.data.collection import Collection

    features = np.ones((4, 2), np.float32)
    return Collection(np.array(IDS), np.repeat("train", 4), features=features)


def read_run(folder):
    from usl.run.predictions import machine_labelled
    from usl.run.propagate import propagate

    run = Run.open(folder)
    run.rounds(), run.models(), run.columns(), run.identity
    for name in ("source", "encoder", "selection"):
        run.info[name]
    split = propagate(run, run.split())
    machine_labelled(folder, split)
    run.checked_split(collection())


def runs():
    files = run_files()
    for name in files:
        order = {name: files[name], **files}
        kind = {"json": "json", "csv": "csv"}.get(name.rpartition(".")[2], "parquet")
        yield Subject(f"run {name}", order, read_run, kind)

    def read_store(folder):
        from usl.labeling.answers.store import Store

        with Store.open(folder) as store:
            store.history(undos=True), store.classes(), store.rounds(), store.last_id()

    yield Subject("labels.sqlite", {"labels.sqlite": store_bytes()}, read_store)


def store_bytes():
    import tempfile

    from usl.labeling.answers.entries import Answer
    from usl.labeling.answers.store import Store

    with tempfile.TemporaryDirectory() as folder:
        with Store.open(folder) as store:
            numbers = store.add([Answer(name, "label", "cat", key=name) for name in IDS])
            store.undo(numbers[:1])
            store.set_classes(["cat", "dog"])
        path = Path(folder) / "labels.sqlite"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
        return path.read_bytes()


def trained():
    def model(folder):
        from usl.training.models import load_model

        load_model(folder / "model.npz")

    def space(folder):
        from usl.features.preprocessing import Preprocessing

        Preprocessing.load(folder / "x.npz").transform(np.ones((2, 3), np.float32))

    names = np.array(["cat", "dog"])
    linear = npz(kind="linear", class_names=names, weight=np.ones((2, 3)), bias=np.zeros(2))
    yield Subject("model linear", {"model.npz": linear}, model, "npz")
    scores = np.full((4, 2), 0.5, np.float32)
    near = {"kind": "neighbor", "train": NUMBERS, "scores": scores, "k": 2, "power": 4.0}
    yield Subject("model neighbor", {"model.npz": npz(class_names=names, **near)}, model, "npz")
    fitted = npz(format=1, width=3, mean=np.zeros(3), deviation=np.ones(3), components=np.eye(3))
    yield Subject("preprocessing", {"x.npz": fitted}, space, "npz")


def networks():
    import torch
    from safetensors.torch import save

    from usl.learning.backbone import load_backbone
    from usl.learning.log import read_records

    net = torch.nn.Linear(3, 2)

    def checkpoint(folder):
        from usl.learning.checkpoint import load_checkpoint

        other = torch.nn.Linear(3, 2)
        made = torch.optim.Adam(other.parameters())
        load_checkpoint(folder / "x.safetensors", other, made, {"seed": 1})

    yield Subject("checkpoint", {"x.safetensors": checkpoint_bytes(net)}, checkpoint, "safetensors")
    yield Subject(
        "encoder",
        {"x.safetensors": encoder_bytes()},
        lambda folder: load_backbone(folder / "x.safetensors"),
        "safetensors",
    )

    def foreign(folder):
        from usl.features.encoders.checkpoint import load_file, open_checkpoint

        name = next(folder.glob("x.*"))
        load_file(name)
        open_checkpoint(f"resnet18_cifar@{name}")

    weights = {"conv1.weight": torch.zeros(4, 3, 3, 3), "layer1.0.conv1.weight": torch.ones(2, 2)}
    made = io.BytesIO()
    torch.save({"state_dict": weights, "epoch": 3}, made)
    yield Subject("pth", {"x.pth": made.getvalue()}, foreign)
    made = io.BytesIO()
    torch.save(weights, made, _use_new_zipfile_serialization=False)
    yield Subject("old pth", {"x.pth": made.getvalue()}, foreign)
    yield Subject("safetensors", {"x.safetensors": save(weights)}, foreign, "safetensors")
    lines = b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n'
    yield Subject("metrics", {"m.jsonl": lines}, lambda f: read_records(f / "m.jsonl"), "jsonl")


def checkpoint_bytes(net):
    import tempfile

    import torch

    from usl.learning.checkpoint import State, save_checkpoint

    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        save_checkpoint(path, net, optimizer, State(3, 1.0, {"seed": 1}))
        return path.read_bytes()


def encoder_bytes():
    import tempfile

    from usl.learning.backbone import new_backbone, save_backbone

    with tempfile.TemporaryDirectory() as folder:
        save_backbone(Path(folder) / "x", new_backbone("compact", seed=0), "none", epochs=1)
        return (Path(folder) / "x").read_bytes()


def caches():
    from usl.data.digests import _read
    from usl.features.cache import FeatureCache
    from usl.numeric.stage_cache import _load

    table = parquet(name=IDS, size=[1] * 4, mtime_ns=[1] * 4, digest=["0" * 32] * 4)
    yield Subject("digests", {"x.parquet": table}, lambda f: _read(f / "x.parquet"), "parquet")

    def shard(folder):
        out = np.zeros((2, 3), np.float32)
        FeatureCache(folder).fetch(["0" * 32, "1" * 32], out, np.arange(2))

    made = io.BytesIO()
    np.save(made, np.array([b"0" * 32]))
    np.save(made, NUMBERS[:1])
    yield Subject("feature shard", {"x.shard": made.getvalue()}, shard)
    yield Subject("stage", {"x.npz": npz(a=NUMBERS)}, lambda f: _load(f / "x.npz"), "npz")


def settings():
    from usl.benchmarking.plan import read_plan
    from usl.cli.settings import read_settings
    from usl.selection.constraints.files import read_ids

    plan = b"""name = "x"
seeds = 2
share = 0.8
most = 100
budgets = [10, 20]
encoders = ["pixels"]
reference = "random"
datasets.a.source = "a"
datasets.a.imbalance = 10
datasets.a.standardize = true
datasets.a.supervision = "none"
methods.random = {}
methods.usl.k = 5
methods.asks.strategy = "margin"
methods.asks.batch = 2
asking.start = "usl"
asking.size = 5
rival = "usl"
learners.logistic.seeds = 1
"""
    toml = b'[select]\nbudget = 3\nmodel = "pixels"\n[label]\nport = 80\n'
    yield Subject("usl.toml", {"usl.toml": toml}, lambda f: read_settings(f / "usl.toml"), "toml")
    yield Subject("plan", {"x.toml": plan}, lambda f: read_plan(f / "x.toml"), "toml")
    ids = b"image_id\n0.png\n1.png\n"
    yield Subject("ids", {"x.csv": ids}, lambda f: read_ids(f / "x.csv"), "csv")


def imports():
    from usl.labeling.exchange.import_labels import import_file

    files = {f"run/{name}": content for name, content in run_files().items()}
    split = Split.start(IDS, ["train"] * 4)
    from usl.run.split_csv import csv_bytes

    files["run/split.csv"] = csv_bytes(split)
    del files["run/columns.parquet"]

    def importing(name):
        def read(folder):
            (folder / "run" / "split.csv").write_bytes(files["run/split.csv"])
            import_file(folder / "run", folder / name)

        return read

    table = b"image_id,label,annotator,seconds,time\n"
    table += b"".join(f"{n},cat,ann,1.5,2026-01-0{r + 1}\n".encode() for r, n in enumerate(IDS))
    choice = {"from_name": "label", "type": "choices", "value": {"choices": ["cat"]}}
    tasks = [
        {
            "id": row,
            "data": {"image_id": name, "image": f"/data/upload/1/{name}"},
            "annotations": [
                {
                    "completed_by": {"id": 1, "email": "a@b"},
                    "lead_time": 2.5,
                    "updated_at": "2026-01-01T00:00:00Z",
                    "result": [choice],
                }
            ],
        }
        for row, name in enumerate(IDS)
    ]
    flat = [
        {
            "id": row,
            "image": name,
            "choice": "cat",
            "annotator": 1,
            "annotation_id": row,
            "lead_time": 1.5,
        }
        for row, name in enumerate(IDS)
    ]
    studio = b"id,image,choice,annotator,annotation_id,lead_time\n"
    studio += b"".join(f"{row},{name},cat,1,{row},2.5\n".encode() for row, name in enumerate(IDS))
    one = {
        "classes": ["cat", "dog"],
        "labels": {"0": 0, "1": 1, "2": None, "3": [{"label": "cat"}]},
    }
    xml = "".join(
        f'<image id="{row}" name="{name}" width="9" height="9"><tag label="cat" source="manual">'
        "</tag></image>\n"
        for row, name in enumerate(IDS)
    )
    xml = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n{xml}</annotations>\n'.encode()
    archive, folders = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("annotations.xml", xml)
    with zipfile.ZipFile(folders, "w", zipfile.ZIP_DEFLATED) as made:
        for name in IDS:
            made.writestr(f"cat/{name}", b"picture")
    labelled = parquet(image_id=IDS, label=["cat", "dog", None, "1"], rank=[1, 2, 3, 4])
    lines = b"\n".join(json.dumps({"image_id": n, "label": "cat"}).encode() for n in IDS)
    metadata = b"file_name,label\n" + b"".join(f"{n},cat\n".encode() for n in IDS)
    given = [
        ("csv", "x.csv", table, "csv"),
        ("jsonl", "x.jsonl", lines, "jsonl"),
        ("parquet", "x.parquet", labelled, "parquet"),
        ("label studio", "x.json", json.dumps(tasks).encode(), "json"),
        ("label studio min", "x.json", json.dumps(flat).encode(), "json"),
        ("label studio csv", "x.csv", studio, "csv"),
        ("fiftyone", "labels.json", json.dumps(one).encode(), "json"),
        ("cvat xml", "annotations.xml", xml, "xml"),
        ("cvat zip", "x.zip", archive.getvalue(), ""),
        ("cvat folders", "x.zip", folders.getvalue(), ""),
        ("hugging face", "metadata.csv", metadata, "csv"),
    ]
    for name, file, content, kind in given:
        yield Subject(f"import {name}", {file: content, **files}, importing(file), kind)


@cache
def subjects():
    """All of them, by name."""
    groups = (sources, images, runs, trained, networks, caches, settings, imports)
    return {one.name: one for group in groups for one in group()}
