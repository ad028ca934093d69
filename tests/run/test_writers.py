"""Whoever writes into a run folder: the user's own columns of split.csv outlive them all."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from older_runs import POINTS, older_run

import usl
from usl.core.errors import DataError
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.labeling.exchange.import_labels import import_file
from usl.run.last_good import GOOD
from usl.run.split import FIELDS, Split
from usl.run.split_csv import COLUMNS, FileChangedError, rewrite
from usl.training import train as training

pytestmark = pytest.mark.filterwarnings("ignore:The model .* is kept")
OWN = ("note", "where, and by whom", 'a "quoted" one', "", " Größe")


def table(run):
    with open(run.path / "split.csv", newline="", encoding="utf-8-sig") as handle:
        return list(csv.reader(handle))


def own_columns(run):
    """``{image id: own cells}``, and their places among the columns."""
    header, *rows = table(run)
    header = [name.strip() for name in header]
    places = [header.index(name.strip()) for name in OWN]
    at = header.index("image_id")
    return {row[at]: [row[place] for place in places] for row in rows}, places


@pytest.fixture
def run(tmp_path):
    """A run whose selection passes labels on; with columns of the user's own among the others."""
    found = older_run(tmp_path, "propagated")
    header, *rows = table(found)
    keep = [header.index(name) for name in COLUMNS]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([OWN[0], OWN[1], *COLUMNS[:3], OWN[2], *COLUMNS[3:], *OWN[3:]])
    for number, row in enumerate(rows):
        cells = [row[place] for place in keep]
        own = [f"n{number}", f'{number}, "me"', "line\nbreak", f" {number} ", "ü"]
        writer.writerow([*own[:2], *cells[:3], own[2], *cells[3:], *own[3:]])
    (found.path / "split.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    return found


def train(run):
    usl.train(run, method="nearest_mean", source=POINTS)


def train_again(run):
    train(run)
    first = (run.path / "split.csv").read_bytes()
    train(run)
    assert (run.path / "split.csv").read_bytes() == first


def imports(run):
    answers = run.path.parent / "answers.csv"
    image = run.split().ids[-1]
    answers.write_text(f"image_id,label\n{image},yak\n", encoding="utf-8")
    assert import_file(run, answers).added == 1
    assert labels(run)[image] == "yak"


def imports_of_several_people(run):
    answers = run.path.parent / "answers.csv"
    image = run.split().ids[-1]
    answers.write_text(f"image_id,label,annotator\n{image},yak,A\n{image},yak,B\n")
    import_file(run, answers)
    assert labels(run)[image] == "yak"


def answers_on_the_page(run):
    image = str(run.split().ids[-1])
    with Store.open(run.path) as store:
        sync(run, store)
        for label in ("yak", "gnu"):  # and labelled once more
            store.add([Answer(image, "label", label)])
            sync(run, store)
    assert labels(run)[image] == "gnu"


def answers_then_train(run):
    answers_on_the_page(run)
    train(run)


def corrects_a_pick_and_trains(run):
    pick = str(run.split().ids[0])
    split = run.split()
    rewrite(split.with_labels([0], ["ant"]))
    assert labels(run)[pick] == "ant"
    train(run)
    followers = pq.read_table(run.path / "selection.parquet")["propagated_to"].to_pylist()[0]
    found = labels(run)
    assert {found[name] for name in followers} == {"ant"}


def labels(run):
    split = run.split()
    return dict(zip(split.ids.tolist(), split.labels.tolist(), strict=True))


@pytest.mark.parametrize(
    "writer",
    [
        train,
        train_again,
        imports,
        imports_of_several_people,
        answers_on_the_page,
        answers_then_train,
        corrects_a_pick_and_trains,
    ],
)
def test_columns_of_the_users_own_stay(run, writer):
    before, places = own_columns(run)
    ids = run.split().ids.tolist()
    writer(run)
    after, same_places = own_columns(run)
    assert after == before
    assert same_places == places
    split = run.split()
    assert split.ids.tolist() == ids, "nor the order of the rows"
    mirror = pq.read_table(run.path / "split.parquet")
    assert mirror["label"].to_pylist() == split.labels.tolist()
    assert mirror["state"].to_pylist() == split.states.tolist()


def test_a_training_that_passes_on_changes_the_file(run):
    """Or the test above would prove nothing: followers of a pick without a label gain one."""
    pick = str(run.split().ids[0])
    split = run.split()
    followers = pq.read_table(run.path / "selection.parquet")["propagated_to"].to_pylist()[0]
    text = [row for row in table(run) if row[2] not in followers or row[2] == pick]
    with open(run.path / "split.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(text)
    (run.path / GOOD).unlink()  # they are deleted on purpose
    usl.train(run, method="nearest_mean", source=POINTS)
    assert set(split.ids) == set(run.split().ids)
    assert {labels(run)[name] for name in followers} == {labels(run)[pick]}
    assert own_columns(run)[0][pick] != [""] * len(OWN)
    appended = next(name for name in followers if name != pick)
    assert own_columns(run)[0][appended] == [""] * len(OWN), "a row that is new is empty in them"


def test_an_edit_while_labels_are_passed_on_is_not_overwritten(run, monkeypatch):
    real = training.propagate

    def slow(run, split):
        found = real(run, split)
        text = (run.path / "split.csv").read_text(encoding="utf-8")
        (run.path / "split.csv").write_text(text.replace("n5,", "n5 by hand,"), encoding="utf-8")
        return found

    monkeypatch.setattr(training, "propagate", slow)
    mirror = (run.path / "split.parquet").read_bytes()
    with pytest.raises(DataError, match=r"split\.csv was changed meanwhile.*once more"):
        train(run)
    assert "n5 by hand," in (run.path / "split.csv").read_text(encoding="utf-8")
    assert (run.path / "split.parquet").read_bytes() == mirror
    monkeypatch.undo()
    train(run)
    assert "n5 by hand," in (run.path / "split.csv").read_text(encoding="utf-8-sig")


def test_a_split_is_rewritten_only_into_the_file_as_it_was_read(run):
    split = run.split().with_labels([0], ["emu"])
    rewrite(split)
    with pytest.raises(FileChangedError, match="was changed meanwhile"):
        rewrite(split)  # the file is no longer the one that was read
    rewrite(run.split().with_labels([0], ["elk"]))
    (run.path / "split.csv").unlink()
    with pytest.raises(DataError, match=r"split\.csv: cannot be read"):
        rewrite(split)


def test_the_mirror_is_not_older_than_the_file(run, monkeypatch):
    """Somebody labels on the page while a training is under way."""
    real = training.given_labels
    image = str(run.split().ids[-1])

    def slow(opened):
        with Store.open(run.path) as store:
            store.add([Answer(image, "label", "yak")])
            sync(run, store)
        return real(opened)

    monkeypatch.setattr(training, "given_labels", slow)
    train(run)
    mirror = pq.read_table(run.path / "split.parquet")
    assert mirror["label"].to_pylist() == run.split().labels.tolist()
    assert labels(run)[image] == "yak"


def test_own_cells_go_with_their_rows(run):
    before, _ = own_columns(run)
    split = run.split()
    order = np.random.default_rng(0).permutation(len(split))
    kept = {name: getattr(split, name)[order] for name in (*FIELDS, "numbers")}
    new = Split.start(["new.png"], ["train"])
    rewrite(replace(split, **kept).extended(new))
    ids = split.ids[order].tolist()
    assert run.split().ids.tolist() == [*ids, "new.png"]
    after, _ = own_columns(run)
    assert after == {name: before[name] for name in ids} | {"new.png": [""] * len(OWN)}


def test_a_file_without_rows_keeps_its_columns(run):
    header = (run.path / "split.csv").read_text(encoding="utf-8").splitlines()[0]
    (run.path / "split.csv").write_text(header + "\n", encoding="utf-8")
    rewrite(run.split().extended(Split.start(["new.png"], ["train"])))
    assert own_columns(run)[0] == {"new.png": [""] * len(OWN)}


def test_a_file_that_cannot_be_written_is_named(run, monkeypatch):
    split = run.split().with_labels([0], ["emu"])
    before = (run.path / "split.csv").read_bytes()

    def locked(*_):
        raise OSError(26, "Text file busy")

    monkeypatch.setattr("usl.run.split_csv.atomic_write", locked)
    with pytest.raises(DataError, match=r"split\.csv cannot be written \(Text file busy\)\. Close"):
        rewrite(split)
    with pytest.raises(DataError, match=r"busy\)\. All is well\. Close other programs"):
        rewrite(split, safe="All is well.")
    assert (run.path / "split.csv").read_bytes() == before


def test_one_column_under_two_names_is_refused(tmp_path):
    (tmp_path / "split.csv").write_text(
        "image_id,subset,state,label,Label\na,train,requested,x,\n", encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"row 1: two columns are called 'Label'\. Rename one"):
        Split.read(tmp_path)
