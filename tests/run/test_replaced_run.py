"""Whoever began with a run that another has replaced meanwhile says so, and harms neither."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import usl
from killed import all_names
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import import_file
from usl.report import projection
from usl.run.folder import Run
from usl.run.identity import RunReplacedError
from usl.training import train as training

SMALL = {"size": 8, "steps": 6, "batch_size": 4, "device": "cpu", "preset": "cpu"}


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        kind = ("cat", "dog")[number % 2]
        (tmp_path / "photos" / kind).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 100, (8, 8, 3)) + 120 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / kind / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def run(photos, tmp_path):
    return begin(photos, tmp_path)


def begin(photos, tmp_path, **options):
    settings = {"method": "random", "model": "pixels", "pca": 4}
    return usl.start_run(photos, 4, tmp_path / "run", **settings, **options)


def fill_in(run):
    lines = (run.path / "split.csv").read_text().splitlines()
    for row in range(1, 5):
        lines[row] = lines[row].replace("requested,", "requested," + lines[row][:3], 1)
    (run.path / "split.csv").write_text("\n".join(lines) + "\n")


def replaced(photos, tmp_path):
    """Another run in the place; all that it holds."""
    new = begin(photos, tmp_path, seed=7, overwrite=True)
    return new, contents(new.path)


def contents(folder):
    return {
        name: (folder / name).read_bytes()
        for name in all_names(folder)
        if (folder / name).is_file()
    }


def kept(run):
    return run.path.with_name("run.labeled-1")


def test_answers_of_an_open_server_stay_in_the_kept_run(run, photos, tmp_path):
    with Store.open(run.path) as store:
        asked = run.split().ids[:4].tolist()
        store.add([Answer(asked[0], "label", "cat")])
        sync(run, store)
        store.add([Answer(asked[1], "label", "dog")])
        new, before = replaced(photos, tmp_path)
        with pytest.raises(RunReplacedError, match="no answer is kept there any more"):
            store.add([Answer(asked[2], "label", "dog")])
        for _ in range(2):
            with pytest.raises(RunReplacedError, match=r"kept as .*ed-1\. .*safe in .*ed-1.labels"):
                sync(run, store)
        said = [(one.image_id, one.kind, one.label) for one in store.history()]
        expected = [(asked[0], "label", "cat"), (asked[1], "label", "dog")]
        assert said == expected, "nothing is withdrawn"
    assert contents(new.path) == before
    old = Run.open(kept(run))
    sync(old)
    labels = dict(zip(old.split().ids.tolist(), old.split().labels.tolist(), strict=True))
    assert [labels[name] for name in asked] == ["cat", "dog", None, None]


@pytest.mark.parametrize(
    "verb", ["train", "evaluate", "report", "export", "import", "network", "map"]
)
def test_a_command_that_outlives_its_run(run, photos, tmp_path, monkeypatch, verb):
    """The run is replaced in the midst of the work of each verb."""
    fill_in(run)
    if verb in ("evaluate", "report"):
        usl.train(run, method="nearest_mean")
    state = {}

    def then_replaced(real):
        def work(*args, **named):
            found = real(*args, **named)
            if not state:
                state["new"], state["before"] = replaced(photos, tmp_path)
            return found

        return work

    places = {
        "train": (training, "judge_points"),
        "evaluate": ("usl.evaluation.evaluate", "judge_points"),
        "report": ("usl.report.report", "page"),
        "map": (projection, "project"),
        "export": ("usl.labeling.exchange.export_images", "items_of"),
        "import": ("usl.labeling.exchange.import_labels", "weigh"),
        "network": ("usl.training.train_network", "open_pictures"),
    }
    module, name = places[verb]
    if isinstance(module, str):
        module = __import__(module, fromlist=["x"])
    (tmp_path / "answers.csv").write_text(f"image_id,label\n{run.split().ids[-1]},cat\n")
    act = {
        "train": lambda: usl.train(run, method="nearest_mean"),
        "evaluate": lambda: usl.evaluate(run),
        "report": lambda: usl.write_report(run),
        "map": lambda: usl.write_report(run),
        "export": lambda: export_run(run, "csv", what="all"),
        "import": lambda: import_file(run, tmp_path / "answers.csv"),
        "network": lambda: usl.train(run, method="supervised", **SMALL),
    }[verb]
    if verb == "network":
        pytest.importorskip("torch")
    with monkeypatch.context() as patch:
        patch.setattr(module, name, then_replaced(getattr(module, name)))
        with pytest.raises(RunReplacedError):
            act()
    assert contents(state["new"].path) == state["before"]
    assert Run.open(kept(run)).identity == run.identity


def test_an_import_with_answers_of_several(run, photos, tmp_path):
    """There no store is made in a run that the answers are not of."""
    fill_in(run)
    new, before = replaced(photos, tmp_path)
    ids = run.split().ids[:2].tolist()
    lines = [f"{ids[0]},cat,ann\n", f"{ids[0]},dog,bob\n"]
    (tmp_path / "answers.csv").write_text("image_id,label,annotator\n" + "".join(lines))
    with pytest.raises(RunReplacedError):
        import_file(run, tmp_path / "answers.csv")
    assert contents(new.path) == before


def test_a_run_that_is_gone_is_not_made_anew(run, photos):
    fill_in(run)
    with Store.open(run.path) as store:
        shutil.rmtree(run.path)
        for act in (
            lambda: run.update(training={}),
            lambda: export_run(run, "csv"),
            lambda: usl.train(run, method="nearest_mean"),
            lambda: sync(run, store),
        ):
            with pytest.raises(usl.core.errors.DataError):
                act()
            assert not run.path.exists()


def test_sections_of_others_are_kept(run):
    """Of two that have opened a run, neither undoes what the other has recorded."""
    other = Run.open(run.path)
    run.update(training={"method": "a"})
    other.update(notes={"by": "b"})
    assert Run.open(run.path).info["training"] == {"method": "a"}
