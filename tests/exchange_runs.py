"""Run folders for the tests of exchange: real files, any ids, without a selection being made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from usl.core.files import write_json
from usl.data.open import open_collection
from usl.run.folder import Run
from usl.run.images import write_images
from usl.run.sources import source_record
from usl.run.split import Split

STRANGE = [
    "../../etc/passwd",
    "/etc/hosts.jpg",
    "C:\\temp\\x.png",
    "a b#1%41&é?.jpg",
    "quo\"te,'s.png",
    "Cat.jpg",
    "cat.JPG",
    "cat.png",
    "x/y.jpg",
    "x_y.jpg",
    "日本/犬 🐕.png",
    "new\nline.jpg",
    "con.txt",
    ".hidden",
    "..",
    "+1+2",
    "train/00001",
    "a" * 300,
]


def make_run(
    folder: Path,
    ids: list[str],
    *,
    picks: int | None = None,
    labels: dict[str, str] | None = None,
    predictions: dict[str, tuple[str, float]] | None = None,
    subsets: list[str] | None = None,
    embeddings: bool = False,
) -> Run:
    """A run of one tiny picture per id, named by a manifest; the first ``picks`` are requested."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    subsets = subsets or ["train"] * len(ids)
    rows = []
    for number, (word, subset) in enumerate(zip(ids, subsets, strict=True)):
        path = photos / f"{number}.png"
        if not embeddings:
            Image.new("RGB", (3 + number % 5, 4), (number, 0, 0)).save(path)
        rows.append({"path": path.name, "image_id": word, "split": subset})
    source = photos / "list.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if embeddings:
        source = photos / "features.npz"
        np.savez(source, features=np.eye(len(ids)), image_ids=np.array(ids))
    collection = open_collection(source)
    run = folder / "run"
    run.mkdir()
    write_images(run, collection)
    first = list(range(len(ids) if picks is None else picks))
    split = Split.start(collection.ids, collection.subsets, picks=first)
    if labels:
        where = {word: row for row, word in enumerate(split.ids.tolist())}
        split = split.with_labels([where[word] for word in labels], list(labels.values()))
    split.write(run)
    table = {
        "rank": [row + 1 for row in first],
        "image_id": collection.ids[first].tolist(),
        "utility": [1.0 / (row + 1) for row in first],
    }
    pq.write_table(pa.table(table), run / "selection.parquet")
    info = {"format": 1, "source": source_record(source, collection)}
    if predictions:
        columns = {
            "image_id": list(predictions),
            "subset": ["train"] * len(predictions),
            "label": [label for label, _ in predictions.values()],
            "confidence": [float(confidence) for _, confidence in predictions.values()],
            "source": ["predicted"] * len(predictions),
        }
        pq.write_table(pa.table(columns), run / "predictions.parquet")
        classes = sorted({label for label, _ in predictions.values()})
        info["training"] = {"method": "label_spreading", "classes": classes}
    write_json(run / "run.json", info)
    return Run.open(run)


def builtin_run(folder: Path) -> Run:
    """A run of pictures that are no files; three are requested."""
    run = folder / "run"
    run.mkdir()
    collection = open_collection("builtin:fashion_mnist")
    record = source_record("builtin:fashion_mnist", collection)
    kept = collection.take(range(20))
    write_images(run, kept)
    Split.start(kept.ids, kept.subsets, picks=[4, 0, 2]).write(run)
    write_json(run / "run.json", {"format": 1, "source": record})
    return Run.open(run)


def labels_of(run: Run) -> dict[str, str]:
    """The labels that a person gave, by image id."""
    split = run.split()
    human = split.sources == "human"
    return dict(zip(split.ids[human].tolist(), split.labels[human].tolist(), strict=True))


def files_in(folder: Path) -> list[str]:
    """Paths of all files below a folder, links included, hidden ones not."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() and not path.name.startswith(".")
    )
