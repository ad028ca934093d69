"""What a command works on, and what is compared of it afterwards."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import sqlite3
import zipfile
from contextlib import closing, suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

CHANGES = {"id", "created", "seconds", "time", "content", "reused", "computed"}  # in any JSON
STAMPS = {"stamp", "folder"}  # a model's, random
CLASSES = ("bird", "cat", "dog")


def fresh(world):
    """An empty world with its sources: 30 rows of 4 features, 12 pictures of 3 classes."""
    shutil.rmtree(world, ignore_errors=True)
    (world / "home").mkdir(parents=True)
    rng = np.random.default_rng(5)
    classes = np.arange(30) % 3
    rows = np.eye(4)[classes] * 3 + rng.normal(scale=0.4, size=(30, 4))
    ids = np.array([f"item{number:02d}" for number in range(30)])
    np.savez(world / "features.npz", features=rows.astype(np.float32), ids=ids)
    for name, count in (("photos", 12), ("more", 6)):
        for number in range(count):
            folder = world / name / (CLASSES[number % 3] if name == "photos" else "")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 90, size=(8, 8, 3))
            pixels[..., number % 3] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02d}.png")
    for path in (*world.rglob("*.png"), world / "features.npz"):
        os.utime(path, (1.6e9, 1.6e9))  # what was written just now is not remembered by its time
    (world / "without.txt").write_text("bird/03.png\ndog/05.png\n")
    write_labels(world / "labels.csv", [(name, CLASSES[int(name[4:]) % 3]) for name in ids[:8]])


def write_labels(path, rows):
    """A table of labels, as another tool would write it."""
    with open(path, "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("image_id", "label"), *rows])


def fill_in(run):
    """Fill in the labels of what is requested, as a person would in a spreadsheet."""
    path = run / "split.csv"
    with open(path, newline="", encoding="utf-8") as handle:
        rows = list(csv.reader(handle))
    head = rows[0]
    name, state, label = (head.index(word) for word in ("image_id", "state", "label"))
    for row in rows[1:]:
        if row[state] == "requested":
            number = int(re.search(r"(\d+)(\.png)?$", row[name])[1])
            row[label] = CLASSES[number % 3]
    with open(path, "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)


def snapshot(world):
    """What every file of a world holds, by name; times, durations and identities left out.

    Of the cache only what commands compute again in the same way.
    """
    found = {}
    for path in sorted(world.rglob("*")):
        name = path.relative_to(world).as_posix()
        name = _without_model_names(path, name)
        if name.startswith("home") or path.name.endswith(("-wal", "-shm")):
            continue
        if path.is_dir():
            if not any(path.iterdir()):
                found[f"{name}/"] = "folder"
        elif name.startswith("cache/") and not name.startswith("cache/features/"):
            found[name] = "cached"
        else:
            found[name] = content(path)
    return found


def _without_model_names(path, name):
    """The active model's folder has a random name; any other such folder is a rest."""
    found = re.match(r"(.*models/)(\.[0-9a-f]{12})(/.*|$)", name)
    if not found:
        return name
    place = next(one for one in path.parents if one.name == "models").parent / "run.json"
    active = f"models/{found[2]}" in place.read_text() if place.is_file() else False
    return f"{found[1]}{'.active' if active else '.former.000000000000.old'}{found[3]}"


def content(path):
    """What a file holds, to be compared: a digest, or what is left of it without times."""
    kind = path.suffix
    if path.name == ".split.csv.good":  # any former one will do
        return path.read_text(encoding="utf-8").partition("\n")[0]
    if path.name == "results.md":  # a benchmark's, with the seconds of its methods
        return re.sub(r"\| [\d.]+ \|$", "|", path.read_text("utf-8"), flags=re.MULTILINE)
    if path.name == "rows.csv":
        with open(path, newline="", encoding="utf-8") as handle:
            return json.dumps([_timeless(row) for row in csv.DictReader(handle)])
    if kind == ".npz":
        return _arrays(path)
    if kind == ".parquet":
        return _table(path)
    if kind == ".json":
        with suppress(ValueError):  # half a file, in the rest of a kill
            told = json.loads(path.read_text(encoding="utf-8"))
            return json.dumps(_timeless(told), sort_keys=True)
    if kind == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return json.dumps([_timeless(json.loads(line)) for line in lines])
    if kind == ".sqlite":
        return _answers(path)
    data = path.read_bytes()
    if kind == ".html":
        text = data.decode()
        text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", "TIME", text)
        text = re.sub(r"[0-9a-f]{32}", "ID", re.sub(r"[\d.,]+ (s|seconds)\b", "TIME", text))
        return hashlib.sha256(text.encode()).hexdigest()
    if kind == ".safetensors":  # the header tells the seconds, and a checksum of them
        length = int.from_bytes(data[:8], "little")
        told = rb'(seconds|created|id|checksum)\\*": *(\\*"[^"]*"|[\d.e+-]+)'
        head = re.sub(told, b"", data[8 : 8 + length])
        data = head.rstrip() + data[8 + length :]
    return hashlib.sha256(data).hexdigest()


def _timeless(value):
    if isinstance(value, dict):
        kept = [key for key in value if key not in CHANGES | STAMPS and not key.endswith("_share")]
        return {key: _timeless(value[key]) for key in kept}
    if isinstance(value, list):
        return [_timeless(one) for one in value]
    return value


def _arrays(path):
    """The arrays of an archive but its stamp."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.removesuffix(".npy") not in STAMPS]
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


def _table(path):
    """The columns of a table, and its metadata but the stamp."""
    table = pyarrow.parquet.read_table(path)
    metadata = dict(table.schema.metadata or {})
    for key in list(metadata):
        if any(name.encode() in key for name in STAMPS):
            del metadata[key]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema.with_metadata(metadata)) as stream:
        stream.write_table(table.replace_schema_metadata(metadata).combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _answers(path):
    """The tables of a database without its times."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        found = {}
        for (table,) in tables:
            if table == "sqlite_sequence":
                continue
            rows = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            drop = {"time", "id", "undoes", "checksum"} if table == "entries" else {"time"}
            kept = [number for number, name in enumerate(names) if name not in drop]
            said = [repr([row[number] for number in kept]) for row in rows]
            found[table] = said if table == "entries" else sorted(said)
    return json.dumps(found)


def difference(found, expected):
    """What two snapshots differ in, in words; none if they are equal."""
    said = []
    for name in sorted({*found, *expected}):
        if name not in expected:
            said.append(f"left over: {name}")
        elif name not in found:
            said.append(f"missing: {name}")
        elif found[name] != expected[name]:
            said.append(f"differs: {name}")
    return said
