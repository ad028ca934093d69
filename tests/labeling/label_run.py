"""Small run folders to label: a split file, and predictions where they are needed."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from usl.core.files import write_json
from usl.run.folder import Run
from usl.run.split import Split

IDS = [f"{number:03d}.jpg" for number in range(20)]


@contextmanager
def in_memory(folder):
    """A folder in memory where there is one: thousands of syncs of a busy disk take a minute."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield folder
        return
    with tempfile.TemporaryDirectory(dir=shared) as made:
        yield Path(made)


def make_run(folder, ids=IDS, picks=range(5), subsets=None):
    """A run whose first rows are requested."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", {"format": 1})
    Split.start(ids, subsets or ["train"] * len(ids), picks=list(picks)).write(folder)
    return Run.open(folder)


def write_predictions(run, labels, confidence=None, human=(), subset="train"):
    """``predictions.parquet`` with ``labels`` by image id, the surest first as in a real run."""
    ids = list(labels)
    sure = confidence or dict.fromkeys(ids, 0.5)
    ids.sort(key=lambda name: -sure[name])
    table = pa.table(
        {
            "image_id": ids,
            "subset": [subset] * len(ids),
            "label": [labels[name] for name in ids],
            "confidence": [float(sure[name]) for name in ids],
            "source": ["human" if name in human else "predicted" for name in ids],
        }
    )
    pyarrow.parquet.write_table(table, run.path / "predictions.parquet")


def rows(run):
    """``{id: (state, label, source)}`` as the split file says."""
    split = run.split()
    columns = (split.states.tolist(), split.labels.tolist(), split.sources.tolist())
    return dict(zip(split.ids.tolist(), zip(*columns, strict=True), strict=True))


def edit(run, **cells):
    """Change ``{row number: "label" or "state"}`` in split.csv as a person in an editor would."""
    path = run.path / "split.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    for name, value in cells.items():
        number = int(name.removeprefix("row"))
        parts = lines[number].split(",")
        if value in ("requested", "unlabeled"):
            parts[2:6] = [value, "", "1", ""]
        else:
            parts[3] = value
        lines[number] = ",".join(parts)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
