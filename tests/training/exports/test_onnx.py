"""``usl export --to onnx``: one file that gives what ``usl predict`` gives, and needs no usl."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx", reason="NOT TESTED: the export to ONNX. pip install 'usl[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="NOT TESTED: the export to ONNX")
pytest.importorskip("onnxscript", reason="NOT TESTED: the export to ONNX")

from PIL import Image  # noqa: E402

import usl  # noqa: E402
from usl.cli import main  # noqa: E402
from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.features.open_encoder import open_encoder  # noqa: E402
from usl.run.folder import Run  # noqa: E402
from usl.training.export_model import export_model  # noqa: E402
from usl.training.exports import onnx as exporter  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"size": 8, "steps": 6, "batch_size": 4, "device": "cpu", "precision": "32"}


def pictures(run):
    return sorted((run.path.parent / "photos").rglob("*.png"))


def compared(run, encoder):
    """Export, and the greatest difference from ``usl predict`` on the same prepared pictures."""
    done = export_model(run)
    told = json.loads((done.out / "preprocessing.json").read_text("utf-8"))
    session = onnxruntime.InferenceSession(done.out / "model.onnx")
    assert [one.name for one in session.get_inputs()] == [told["input"]]
    prepared = []
    for path in pictures(run):
        one = np.asarray(encoder.prepare(Image.open(path)), dtype=np.float32)
        if one.ndim == 1:
            one = one.reshape(told["size"], told["size"], 3).transpose(2, 0, 1)
        prepared.append(one)
    found = session.run([told["output"]], {told["input"]: np.stack(prepared)})[0]
    wanted = usl.predict(run, run.path.parent / "photos")
    assert told["classes"] == wanted.class_names == ["green", "red"]
    order = {name: row for row, name in enumerate(wanted.ids.tolist())}
    names = [p.relative_to(run.path.parent / "photos").as_posix() for p in pictures(run)]
    rows = [order[name] for name in names]
    return done, float(np.abs(found - wanted.probabilities[rows]).max())


@pytest.mark.parametrize("method", ["logistic", "label_spreading", "accord"])
def test_the_file_gives_what_predict_gives(run, method):
    done, apart = compared(usl.train(run, method=method), open_encoder("pixels"))
    assert apart < 1e-4
    assert [path.name for path in done.paths] == ["model.onnx", "predict.py", "preprocessing.json"]
    onnx.checker.check_model(str(done.out / "model.onnx"), full_check=True)
    told = json.loads((done.out / "preprocessing.json").read_text("utf-8"))
    assert told["method"] == method
    assert told["encoder"]["name"] == "pixels"
    assert (told["size"], told["mean"], told["std"]) == (32, [0.0] * 3, [1.0] * 3)


def test_a_trained_network(run):
    done = usl.train(run, method="supervised", start="random", **SMALL)
    encoder = open_encoder(str(done.path / "trained.safetensors"))
    assert compared(done, encoder)[1] < 1e-4


def test_the_default_encoder_and_the_script_without_usl(run, tmp_path):
    other = usl.train(run, method="label_spreading", model="efficientnet_lite0")
    done, apart = compared(other, open_encoder("efficientnet_lite0"))
    assert apart < 1e-4
    script = (done.out / "predict.py").read_text("utf-8")
    assert "usl" not in script.split('"""')[2]
    found = subprocess.run(
        [sys.executable, "-I", str(done.out / "predict.py"), *map(str, pictures(run)[:6])],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    usl.predict(other, tmp_path / "photos", out=tmp_path / "new.csv")
    with open(tmp_path / "new.csv", newline="") as handle:
        known = {row["image_id"].rpartition("/")[2]: row for row in csv.DictReader(handle)}
    lines = [line.split("\t") for line in found.stdout.splitlines()]
    assert len(lines) == 6
    for path, label, confidence in lines:
        row = known[path.rpartition("/")[2]]
        assert label == row["label"]
        assert float(confidence) == pytest.approx(float(row["confidence"]), abs=2e-4)


def test_the_command_line(run, capsys):
    with pytest.raises(DataError, match="train the run first"):
        export_model(run)
    done = usl.train(run, method="logistic")
    assert main(["export", str(done.path), "--to", "onnx", "--what", "all"]) == 2
    assert "--what chooses images; --to onnx writes the model." in capsys.readouterr().err
    assert main(["export", str(done.path), "--to", "onnx", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["out"].endswith("exports/onnx")
    assert "predict.py PICTURE" in written["next"][0]
    assert main(["export", str(done.path), "--to", "onnx"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["export", str(done.path), "--to", "onnx", "--overwrite"]) == 0


def test_a_run_of_features_says_why_it_cannot(tmp_path, blobs):
    features, classes = blobs
    labels = np.array([f"c{c}" for c in classes])
    np.savez(tmp_path / "rows.npz", features=features, labels=labels)
    run = usl.start_run(tmp_path / "rows.npz", 12, tmp_path / "run", method="kmeans")
    split = run.split()
    asked = split.requested()
    split.with_labels(asked, labels[asked].tolist()).write(run.path)
    usl.train(run, method="logistic")
    with pytest.raises(DataError, match="no encoder to export"):
        export_model(Run.open(run.path))
    assert not (run.path / "exports").exists()


def test_a_file_that_gives_something_else_is_not_kept(run, monkeypatch):
    done = usl.train(run, method="logistic")
    monkeypatch.setattr(exporter, "CLOSE", -1.0)
    with pytest.raises(DataError, match="Nothing was written"):
        export_model(done)
    assert not (done.path / "exports" / "onnx").exists()


def test_a_table_of_neighbours_that_one_file_cannot_hold(run, monkeypatch):
    done = usl.train(run, method="label_spreading")
    monkeypatch.setattr(exporter, "MOST", 100)
    with pytest.raises(DataError, match=r"one ONNX file holds 2 GB.*--method logistic"):
        export_model(done)


def test_without_the_extra_the_line_says_what_to_install(run, monkeypatch):
    done = usl.train(run, method="logistic")
    monkeypatch.setattr(exporter, "find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(
        ImportError, match=r"needs onnx. Install it with: pip install 'usl\[onnx\]'"
    ):
        export_model(done)


def test_an_unknown_form_and_a_place_that_is_taken(run, tmp_path):
    done = usl.train(run, method="logistic")
    with pytest.raises(UsageError, match="onnx"):
        export_model(done, "onxx")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("precious")
    with pytest.raises(UsageError, match="is not an export"):
        export_model(done, out=tmp_path / "mine")
