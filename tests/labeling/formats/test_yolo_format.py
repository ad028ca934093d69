"""YOLO's folders for classification, read as Ultralytics reads them: torchvision's ImageFolder."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange_runs import builtin_run, files_in, labels_of, make_run
from usl.core.errors import DataError, UsageError
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file

IDS = [f"{number:02d}.jpg" for number in range(20)]
LABELS = {word: ("ant", "Bee", "T-shirt/top")[i % 3] for i, word in enumerate(IDS) if i != 7}


def load(folder):
    """Names of classes by number, and (file, number) of every picture, of each subset."""
    datasets = pytest.importorskip("torchvision.datasets")
    found = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        read = datasets.ImageFolder(place, allow_empty=True)
        found[place.name] = (read.classes, [(Path(name).name, c) for name, c in read.samples])
    return found


def test_layout_and_back(tmp_path):
    run = make_run(tmp_path / "one", IDS, labels=LABELS)
    done = export_run(run, "yolo", what="all")
    found = load(done.out)
    assert list(found) == ["train", "val"]
    assert found["train"][0] == found["val"][0] == ["Bee", "T-shirt%2Ftop", "ant"]
    assert len(found["train"][1]) == 16
    assert sorted(number for _, number in found["val"][1]) == [0, 1, 2]
    assert done.next[0] == "Left out, for they have no label: 1."
    assert done.next[1] == "Put into val, which was empty, of the train images: 3."
    assert "yolo classify train" in done.next[2]
    assert guess_format(done.out) == "folders"
    fresh = make_run(tmp_path / "fresh", IDS)
    assert import_file(fresh, done.out).added == len(LABELS)
    assert labels_of(fresh) == LABELS


def test_own_subsets_stay_and_every_class_has_a_folder_in_each(tmp_path):
    subsets = ["val" if i in (0, 3) else "test" if i == 4 else "train" for i in range(20)]
    run = make_run(tmp_path, IDS, labels=LABELS, subsets=subsets)
    found = load(export_run(run, "yolo", what="labeled", link=True).out)
    assert [name for name, _ in found["val"][1]] == ["00.png", "03.png"]
    assert [name for name, _ in found["test"][1]] == ["04.png"]
    assert found["train"][0] == found["val"][0] == found["test"][0]


def test_what_is_held_out_stays_when_labels_come_and_never_takes_the_last(tmp_path):
    few = {word: LABELS[word] for word in IDS[:3]}
    run = make_run(tmp_path / "few", IDS, labels=few)
    assert "val" not in load(export_run(run, "yolo", what="labeled", val=1).out)
    more = dict.fromkeys(IDS[:10], "ant")
    first = load(export_run(make_run(tmp_path / "a", IDS, labels=more), "yolo", what="labeled").out)
    more |= dict.fromkeys(IDS[10:], "Bee")
    again = load(export_run(make_run(tmp_path / "b", IDS, labels=more), "yolo", what="labeled").out)
    assert {name for name, _ in first["val"][1]} <= {name for name, _ in again["val"][1]}
    none = export_run(run, "yolo", what="labeled", val=0, out=tmp_path / "none")
    assert list(load(none.out)) == ["train"]


def test_a_models_labels_are_no_answers_where_they_lie(tmp_path):
    guesses = {"a.jpg": ("x", 0.9), "b.jpg": ("x", 0.8), "c.jpg": ("y", 0.7)}
    run = make_run(tmp_path, list(guesses), predictions=guesses)
    done = export_run(run, "yolo", what="predicted")
    assert len(files_in(done.out)) == 3
    assert import_file(run, done.out).skipped == {"the model's label, unchanged": 3}
    assert labels_of(run) == {}


def test_nothing_labelled_and_bad_values(tmp_path):
    run = builtin_run(tmp_path)
    with pytest.raises(DataError, match="--what labeled, or --what predicted"):
        export_run(run, "yolo")
    assert not (run.path / "exports" / "yolo-requested").exists()
    with pytest.raises(UsageError, match="val: 2 given; it must be at most 1"):
        export_run(run, "yolo", val=2)
