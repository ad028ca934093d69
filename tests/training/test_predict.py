"""``usl predict``: new images, the same space, the same model."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

import usl
from usl.cli import main
from usl.core.errors import DataError, UsageError
from usl.run.model_changes import activate_model
from usl.run.models import MODEL


def rows_of(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def test_images_of_the_run_get_the_labels_they_had(run, tmp_path):
    done = usl.train(run, method="logistic")
    found = usl.predict(done, tmp_path / "photos", out=tmp_path / "new.csv")
    own = {row["image_id"]: row for row in rows_of(done.path / "predictions.csv")}
    for row in rows_of(tmp_path / "new.csv"):
        known = own[row["image_id"]]
        assert row["label"] == known["label"]
        if known["source"] == "predicted":
            assert float(row["confidence"]) == pytest.approx(float(known["confidence"]), abs=1e-6)
    assert len(found.ids) == 48
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("method", ["logistic", "label_spreading"])
def test_images_are_judged_in_parts_as_at_once(run, monkeypatch, method):
    from usl.training import predict

    made = []
    for rows in (8192, 5):
        monkeypatch.setattr(predict, "JUDGED_ROWS", rows)
        monkeypatch.setattr(predict, "JUDGED", 9)
        done = usl.train(run, method=method)
        made.append([list(row.values()) for row in rows_of(done.path / "predictions.csv")])
    for row, other in zip(*map(sorted, made), strict=True):
        assert row[:3] == other[:3]  # id, subset, label
        assert float(row[3]) == pytest.approx(float(other[3]), abs=1e-9)


def test_it_needs_a_trained_run_and_a_free_file(run, tmp_path):
    photos = tmp_path / "photos"
    with pytest.raises(DataError, match="train the run first"):
        usl.predict(run, photos)
    usl.train(run, method="logistic")
    with pytest.raises(UsageError, match=r"end in \.csv or \.parquet"):
        usl.predict(run.open(run.path), photos, out=tmp_path / "new.txt")
    (tmp_path / "new.csv").write_text("precious")
    with pytest.raises(UsageError, match="--overwrite"):
        usl.predict(run.open(run.path), photos, out=tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_text() == "precious"
    features = tmp_path / "features.npy"
    np.save(features, np.ones((3, 8), np.float32))
    with pytest.raises(DataError):
        usl.predict(run.open(run.path), features)


def test_the_command_line(run, tmp_path, capsys):
    assert main(["train", str(run.path), "--method", "logistic"]) == 0
    (tmp_path / "more").mkdir()
    for file in sorted((tmp_path / "photos" / "test" / "red").iterdir()):
        shutil.copy(file, tmp_path / "more")
    (tmp_path / "more" / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "more.parquet"
    assert main(["predict", str(run.path), str(tmp_path / "more"), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "A label for each of 4 images" in said.out
    assert "broken.png" in said.err
    assert out.is_file()
    (run.open(run.path).models()[0].path / MODEL).unlink()
    assert main(["predict", str(run.path), str(tmp_path / "more"), "--out", "x.csv"]) == 1
    assert "usl train RUN" in capsys.readouterr().err


def test_a_trained_network_goes_where_its_run_goes(run, tmp_path):
    pytest.importorskip("torch")
    small = {"size": 8, "steps": 4, "batch_size": 4, "device": "cpu", "preset": "cpu"}
    done = usl.train(run, method="fixmatch", **small)
    before = usl.predict(done, tmp_path / "photos").probabilities
    run.path.rename(tmp_path / "elsewhere")
    after = usl.predict(tmp_path / "elsewhere", tmp_path / "photos").probabilities
    np.testing.assert_array_equal(before, after)


def test_a_model_on_the_network_of_the_former_one_takes_it_over(run, tmp_path):
    """The new model has a copy of the network; the former one keeps its own."""
    pytest.importorskip("torch")
    small = {"size": 8, "steps": 4, "batch_size": 4, "device": "cpu", "preset": "cpu"}
    usl.train(run, method="fixmatch", **small)
    network = (run.path / "trained.safetensors").read_bytes()
    for number, method in enumerate(("logistic", "nearest_mean"), start=2):
        start = str(run.path / "trained.safetensors")
        done = usl.train(run, method=method, model=start, use=True)
        assert (run.path / "trained.safetensors").read_bytes() == network
        assert done.info["training"]["encoder"]["file"] == "trained.safetensors"
        assert len(list((run.path / "models").iterdir())) == number
    before = usl.predict(done, tmp_path / "photos").probabilities
    assert "test" in usl.evaluate(done)
    run.path.rename(tmp_path / "elsewhere")
    after = usl.predict(tmp_path / "elsewhere", tmp_path / "photos").probabilities
    np.testing.assert_array_equal(before, after)
    usl.train(tmp_path / "elsewhere", method="logistic", use=True)
    assert not (tmp_path / "elsewhere" / "trained.safetensors").exists()


def test_a_run_of_given_features_and_images(run, tmp_path):
    """The way of a user of pandas: numbers filled in, answers known as numbers."""
    rng = np.random.default_rng(0)
    ids = [f"i{number}" for number in range(18)]
    features = np.repeat([[1.0], [-1.0]], 9, axis=0) + rng.normal(size=(18, 4))
    np.savez(tmp_path / "t.npz", features=features, ids=ids, labels=[0] * 9 + [1] * 9)
    made = usl.start_run(tmp_path / "t.npz", 4, tmp_path / "made", method="kmeans")
    table = (made.path / "split.csv").read_text().splitlines(keepends=True)
    for row in range(1, 5):
        number = int(table[row].split(",")[0][1:])
        table[row] = table[row].replace("requested,,", f"requested,{float(number > 8)},")
    (made.path / "split.csv").write_text("".join(table))
    done = usl.train(made, method="nearest_mean")
    assert done.info["training"]["classes"] == ["0", "1"]
    assert usl.evaluate(done)["train"]["n"] == 14
    with pytest.raises(DataError, match=r"made from features that were given; .*photos holds ima"):
        usl.predict(done, tmp_path / "photos")
    text = (made.path / "split.csv").read_text()
    text = text.replace("requested,0.0", "requested,no").replace("requested,1.0", "requested,yes")
    (made.path / "split.csv").write_text(text)
    done = usl.train(done, method="nearest_mean")
    with pytest.raises(DataError, match=r"labels no, yes are none of .* knows \(0, 1\)"):
        usl.evaluate(done)


def test_a_network_that_was_kept_comes_back_with_its_space(run, tmp_path):
    pytest.importorskip("torch")
    small = {"size": 8, "steps": 4, "batch_size": 4, "device": "cpu", "preset": "cpu"}
    done = usl.train(run, method="fixmatch", **small, use=True)
    before = usl.predict(done, tmp_path / "photos").probabilities
    done = usl.train(done, method="logistic", use=True)
    linear = usl.predict(done, tmp_path / "photos").probabilities
    assert np.abs(linear - before).max() > 1e-6
    done = activate_model(done, "fixmatch")
    np.testing.assert_array_equal(usl.predict(done, tmp_path / "photos").probabilities, before)
    done = activate_model(done, "logistic")
    np.testing.assert_array_equal(usl.predict(done, tmp_path / "photos").probabilities, linear)
