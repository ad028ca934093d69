"""usl add: only what is new is encoded and listed; all else of a run stays."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import usl
from killed import kill_everywhere, quick_folder
from round_run import fill_in, make_run, requested, truth, write_points
from usl.core.errors import DataError, UsageError, UslWarning
from usl.features.pipeline import Decoder
from usl.run.folder import Run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* have no label yet"),
    pytest.mark.filterwarnings("ignore:No label is new since round"),
]
NEW = ["a900", "b900", "c900", "c901"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A labelled run on given features."""
    folder = tmp_path_factory.mktemp("added")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(folder / "cache"))
        return fill_in(make_run(folder))


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def pictures(folder, names, seed):
    """Noise, each picture another."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        noise = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
    return folder


def test_new_items_are_rows_at_the_end_and_all_verbs_go_on(run, tmp_path):
    asked = usl.next_round(run, 3)
    before = run.split()
    new = write_points(tmp_path / "more.csv", NEW, 1)
    added = usl.add_images(run, new)
    assert added.ids == NEW
    assert (added.there, added.computed) == (0, 0)
    split = Run.open(run.path).split()
    assert split.ids.tolist() == [*before.ids.tolist(), *NEW]
    assert split.states[: len(before)].tolist() == before.states.tolist()
    assert split.states[len(before) :].tolist() == ["unlabeled"] * len(NEW)
    again = Run.open(run.path)
    assert again.rounds()[1].ids() == asked.ids
    collection = again.collection()
    assert collection.ids.tolist() == [*run.collection().ids.tolist(), *NEW]
    assert again.recorded_digests() == dict(
        zip(collection.ids.tolist(), collection.digests().tolist(), strict=True)
    )
    trained = usl.train(again)
    said = {name: label for name, (label, _) in usl_predictions(trained).items()}
    assert [said[name] for name in NEW] == [truth(name) for name in NEW]
    everything = usl.next_round(trained, 55)
    assert {*NEW} < set(everything.ids)
    assert usl.add_images(run, new).there == len(NEW)
    assert len(Run.open(run.path).info["added"]) == 1


def usl_predictions(run):
    from usl.run.predictions import read_predictions

    return read_predictions(run.path).by_id()


def test_only_new_pictures_are_encoded_also_of_the_own_folder(tmp_path, monkeypatch):
    photos = pictures(tmp_path / "photos", [f"p{row}" for row in range(12)], 0)
    run = usl.start_run(photos, 4, tmp_path / "run", model="pixels", method="random", pca=8)
    read = []
    real = Decoder.__call__
    monkeypatch.setattr(
        Decoder, "__call__", lambda self, place: read.append(place) or real(self, place)
    )
    pictures(photos, ["new1", "new2"], 1)
    (photos / "broken.png").write_text("no picture")
    added = usl.add_images(run, photos)
    assert (added.ids, added.there, added.computed) == (["new1.png", "new2.png"], 12, 2)
    assert [name for name, _ in added.skipped] == ["broken.png"]
    assert len(read) == 3
    assert usl.add_images(run, photos).there == 14, "the broken one alone is no error"
    other = pictures(tmp_path / "other", ["far"], 2)
    shutil.copy(photos / "p1.png", other / "copy.png")
    with pytest.warns(UslWarning, match=r"1 new image is an exact copy .*'copy\.png' is one"):
        assert usl.add_images(run, other).ids == ["copy.png", "far.png"]
    assert len(Run.open(run.path).collection()) == 17, "the broken one among them"

    other.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"usl add .*ITS_NEW_PLACE"):
        Run.open(run.path).collection()
    again = usl.add_images(run, tmp_path / "moved")
    assert (again.ids, again.replaces) == ([], (str(other),))
    found = Run.open(run.path).collection()
    assert found.digest(found.ids.tolist().index("far.png"))


def test_the_same_id_with_other_content_is_refused_by_name(run, tmp_path):
    clash = write_points(tmp_path / "clash.csv", ["a000", "a900"], 5)
    with pytest.raises(DataError, match=r"1 image is not what the run .*'a000'.*Nothing was added"):
        usl.add_images(run, clash)
    assert "added" not in Run.open(run.path).info
    assert "a900" not in run.split().ids


def test_sources_that_do_not_go_together_are_refused(run, tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((3, 9), np.float32))
    with pytest.raises(DataError, match=r"width 9, but those of the run .* have 8"):
        usl.add_images(run, tmp_path / "wide.npy")
    with pytest.raises(DataError, match=r"holds images, but the run .* was made from features"):
        usl.add_images(run, pictures(tmp_path / "photos", ["a", "b"], 0))
    with pytest.raises(UsageError, match="name a folder or a file"):
        usl.add_images(run, np.ones((3, 8), np.float32))


def test_killed_at_any_moment_the_same_command_goes_on(run, tmp_path, monkeypatch):
    new = write_points(tmp_path / "more.csv", NEW, 1)
    open_ = requested(run)
    with quick_folder(tmp_path / "kill") as home:

        def prepare(number):
            shutil.copytree(run.path, home / str(number))
            return Run.open(home / str(number))

        def check(number):
            found = Run.open(home / str(number))
            ids = found.checked_split(found.collection()).ids.tolist()
            assert ids[60:] in ([], NEW), "all of it or nothing"
            usl.add_images(found, new)
            assert Run.open(found.path).split().ids.tolist()[60:] == NEW
            assert {*NEW} < set(found.recorded_digests())
            assert requested(found) == open_
            assert len(Run.open(found.path).info["added"]) == 1
            shutil.rmtree(found.path)

        kill_everywhere(monkeypatch, prepare, lambda one: usl.add_images(one, new), check)
