"""Ids with Windows names through split, picks, predictions, rounds, columns and exports."""

from __future__ import annotations

import json
import ntpath
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from older_runs import OLDER

import usl
from exchange_runs import files_in, labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.labeling.exchange.export_images import export_formats, export_run
from usl.labeling.exchange.import_labels import import_file
from usl.run.columns import add_columns
from usl.run.picks import picked_ids, read_picks, write_picks
from usl.run.predictions import prediction_table, read_predictions, write_predictions
from usl.run.rounds import add_round
from usl.run.split import Split

IDS = [
    "cats\\007.jpg",
    "cats/007.jpg",
    "C:\\photos\\a.jpg",
    "C:/photos/a.jpg",
    "\\\\server\\share\\b.jpg",
    "con.txt",
    "NUL",
    "aux.tar.png",
    "com1/x.png",
    "lpt9 .jpg",
    "com\u00b9.jpg",
    "conin$",
    "ends with a dot.",
    "a:stream.jpg",
    'q"?*<>|.jpg',
]


def reserved(name):
    """Whether Windows takes the name for a device, or cannot keep it."""
    known = getattr(ntpath, "isreserved", None)  # of Python 3.13
    found = known(name) if known else PureWindowsPath(name).is_reserved()
    return found or name != name.rstrip(". ") or any(letter in name for letter in '\\/:*?"<>|')


def test_what_windows_cannot_keep():
    names = ("con", "NUL.txt", "com1", "a.", "a:b", "x\\y", "lpt9 .j")
    assert all(reserved(name) for name in names)
    assert not any(reserved(name) for name in ("console", "com10", "nul-1.png", "a.b"))


def test_a_split_keeps_them_as_they_are(tmp_path):
    Split.start(IDS, ["train"] * len(IDS), picks=[2, 0]).write(tmp_path)
    back = Split.read(tmp_path)
    assert sorted(back.ids.tolist()) == sorted(IDS)
    assert back.ids[:2].tolist() == ["C:\\photos\\a.jpg", "cats\\007.jpg"]
    checked = back.check(IDS, ["train"] * len(IDS))
    assert checked.ids.tolist() == back.ids.tolist()
    assert pq.read_table(tmp_path / "split.parquet")["image_id"].to_pylist() == back.ids.tolist()


def test_an_id_typed_with_backslashes_is_found(tmp_path):
    """Ids of files have ``/`` on every system; a person on Windows may write ``\\``."""
    ids = [PureWindowsPath("cats", f"{n:03d}.jpg").as_posix() for n in range(3)]
    typed = "".join(f"{PureWindowsPath(name)},train,labeled,cat\n" for name in ids)
    (tmp_path / "split.csv").write_text("image_id,subset,state,label\n" + typed, encoding="utf-8")
    split = Split.read(tmp_path)
    assert split.ids[0] == "cats\\000.jpg"
    assert split.check(ids, ["train"] * 3).ids.tolist() == ids
    with pytest.raises(DataError, match=r"row 2: no image 'cats\\\\000\.jpg' in the collection"):
        split.check(["dogs/000.jpg"], ["train"])
    both = Split.start(["a/b", "a\\b"], ["train"] * 2)
    assert both.check(["a/b", "a\\b"], ["train"] * 2).ids.tolist() == ["a/b", "a\\b"]
    with pytest.raises(DataError, match="'a/b' has a row already"):
        both.check(["a/b"], ["train"])


def test_picks_predictions_rounds_and_columns(tmp_path):
    table = pa.table(
        {"rank": range(1, len(IDS) + 1), "image_id": IDS, "represented": [IDS] * len(IDS)}
    )
    write_picks(tmp_path, table)
    assert picked_ids(tmp_path) == IDS
    assert read_picks(tmp_path, "represented")["represented"].to_pylist()[3] == IDS
    assert add_round(tmp_path, table, {}).ids() == IDS
    sure = np.linspace(0.9, 0.6, len(IDS))
    classes = np.zeros(len(IDS), dtype=int)
    nobody = np.zeros(len(IDS), dtype=bool)
    ids, subsets = np.array(IDS), np.repeat("train", len(IDS))
    write_predictions(tmp_path, prediction_table(ids, subsets, classes, sure, ["x", "y"], nobody))
    assert read_predictions(tmp_path).ids.tolist() == IDS
    add_columns(tmp_path, IDS, {"place": IDS})
    assert add_columns(tmp_path, IDS[:1], {"n": [1]}).of(IDS)["place"].tolist() == IDS


def test_answers_and_imports_reach_the_right_rows(tmp_path):
    run = make_run(tmp_path, IDS)
    answers = tmp_path / "answers.jsonl"
    rows = [{"image_id": name, "label": f"l{number}"} for number, name in enumerate(IDS)]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert import_file(run, answers).added == len(IDS)
    assert labels_of(run) == {row["image_id"]: row["label"] for row in rows}
    with Store.open(run.path) as store:
        sync(run, store)
        store.add([Answer(name, "label", "new") for name in IDS])
        sync(run, store)
    assert labels_of(run) == dict.fromkeys(IDS, "new")


def test_a_table_of_windows_paths_is_understood(tmp_path):
    ids = ["cats/007.jpg", "dogs/008.jpg"]
    run = make_run(tmp_path, ids)
    answers = tmp_path / "answers.csv"
    rows = "".join(f"{PureWindowsPath(PurePosixPath(name))},pet\n" for name in ids)
    answers.write_text("image_id,label\n" + rows, encoding="utf-8")
    assert import_file(run, answers).added == 2
    assert labels_of(run) == dict.fromkeys(ids, "pet")


@pytest.mark.parametrize("tool", export_formats())
def test_exported_files_have_names_that_windows_keeps(tmp_path, tool):
    classes = ["con", "aux.x", "a/b", "c\\d", "e:f", "g."]
    labels = {name: classes[number % 6] for number, name in enumerate(IDS)}
    run = make_run(tmp_path / "made", IDS, labels=labels)
    done = export_run(run, tool, what="all", out=tmp_path / "out")
    folder = done.out if done.out.is_dir() else done.out.parent
    names = files_in(folder)
    assert not [name for name in names if any(map(reserved, name.split("/")))]
    assert len({name.casefold() for name in names}) == len(names)
    other = make_run(tmp_path / "other", IDS)
    target = done.out if done.out.is_dir() else done.out.rename(tmp_path / f"back.{tool}")
    read_as = "folders" if tool == "yolo" else tool
    assert import_file(other, target, format=read_as).added == len(IDS)
    assert labels_of(other) == labels


def test_ids_of_files_have_slashes_on_every_system(tmp_path):
    run = usl.start_run(OLDER / "points.npz", 2, tmp_path / "run", method="random")
    ids = run.split().ids.tolist()
    assert all(PureWindowsPath(name).as_posix() == name for name in ids)
    assert not any("\\" in name for name in picked_ids(run.path) + ids)
