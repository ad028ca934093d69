"""The verbs on a collection in a bucket: what they say, write and keep, as a person types them."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from usl.cli import main
from usl.core.errors import DataError
from usl.run.folder import Run


def usl(capsys, *words):
    """What a command prints; it must succeed."""
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def fails(capsys, *words):
    """What a command that fails says, in one line."""
    assert main([str(word) for word in words]) != 0
    return " ".join(capsys.readouterr().err.split())


@pytest.fixture
def photos(bucket):
    """Twelve pictures of two classes for train and four for test."""
    rng = np.random.default_rng(0)
    for subset, count in (("train", 6), ("test", 2)):
        for label, level in (("dark", 40), ("light", 200)):
            for number in range(count):
                pixels = rng.integers(level - 30, level + 30, (12, 12, 3), dtype=np.uint8)
                made = io.BytesIO()
                Image.fromarray(pixels).save(made, "PNG")
                bucket.put(f"photos/{subset}/{label}/{number}.png", made.getvalue())
    return f"{bucket.address}/photos"


def test_from_images_to_a_report(photos, bucket, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = bucket.address
    usl(capsys, "embed", photos, "--model", "pixels", "--out", f"{out}/f.npz")
    told = json.loads(usl(capsys, "embed", f"{out}/f.npz", "--json"))
    assert told["images"] == 16
    assert "exists" in fails(capsys, "embed", photos, "--model", "pixels", "--out", f"{out}/f.npz")

    how = ("--budget", 4, "--method", "kmeans", "--model", "pixels")
    usl(capsys, "select", photos, *how, "--out", "run")
    run = Run.open("run")
    assert run.info["source"]["path"] == photos
    picks = run.split().ids[run.split().states == "requested"].tolist()
    rows = "".join(f"{name},{name.split('/')[1]}\n" for name in picks)
    bucket.put("labels.csv", f"image_id,label\n{rows}".encode())
    assert "4 new labels" in usl(capsys, "import", "run", f"{out}/labels.csv")
    usl(capsys, "train", "run", "--method", "nearest_mean")
    figures = json.loads(usl(capsys, "evaluate", "run", "--json"))
    assert figures["test"]["n"] == 4

    usl(capsys, "predict", "run", f"{photos}/test/*/*.png", "--out", f"{out}/said.csv")
    assert len(bucket.get("said.csv").splitlines()) == 5
    usl(capsys, "report", "run", "--out", f"{out}/report.html")
    page = bucket.get("report.html").decode()
    assert len(re.findall(r"data:image/\w+;base64", page)) >= 4
    usl(capsys, "report", "run", "--out", f"{out}/report.html")  # replaces a report
    assert "no report" in fails(capsys, "report", "run", "--out", f"{out}/said.csv")

    how = ("--to", "folders", "--what", "labeled")
    said = usl(capsys, "export", "run", *how, "--out", f"{out}/sorted")
    assert f"usl import run {out}/sorted" in said
    sent = [key for key in bucket.listed() if key.startswith("sorted/")]
    assert len(sent) == 5
    original = bucket.get(f"photos/{picks[0]}")
    assert original in [bucket.get(key) for key in sent]  # the file itself, not drawn anew
    assert "0 new labels" in usl(capsys, "import", "run", f"{out}/sorted")

    bucket.put("more/new.png", original)
    assert "Added 1 image" in usl(capsys, "add", "run", f"{out}/more")
    assert len(Run.open("run").collection()) == 17


def test_a_run_lies_on_the_disk(photos, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = f"{photos}/run"
    said = fails(capsys, "select", photos, "--budget", 4, "--model", "pixels", "--out", out)
    assert f"{out}: a run lies on the disk" in said
    assert not list(tmp_path.iterdir())


def test_a_signed_address_is_asked_for_again(web, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (web.folder / "signed").mkdir()
    features = np.random.default_rng(0).normal(size=(30, 4))
    np.savez(web.folder / "signed/f.npz", features=features)
    address = f"{web.address}/signed/f.npz"
    signed = f"{address}?signature=secret"
    usl(capsys, "select", signed, "--budget", 4, "--method", "kmeans", "--out", "run")
    for file in (tmp_path / "run").rglob("*"):
        assert file.is_dir() or b"secret" not in file.read_bytes()
    with pytest.raises(DataError, match="give the whole address with --source"):
        Run.open("run").collection()
    assert len(Run.open("run").collection(signed)) == 30
