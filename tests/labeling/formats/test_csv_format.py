"""CSV: what a spreadsheet does to it is understood."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_runs import STRANGE, labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.exchange.contract import Export, Item
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file
from usl.labeling.formats import csv as tool

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
words = texts.map(str.strip).filter(bool)


@given(st.dictionaries(words, st.none() | words, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_round_trip(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    items = [Item(word, label=text, source="human") for word, text in labels.items()]
    tool.write(Export(path.parent, items, [], path), path)
    # an id that is nothing but delimiters and blanks looks like an empty row to any reader
    back = {entry.image: entry.label for entry in tool.read(path)}
    assert {k: v for k, v in labels.items() if k.strip(" \t;,")} == {
        k: v for k, v in back.items() if k.strip(" \t;,")
    }


def test_the_columns_in_the_order_of_the_picks(tmp_path):
    run = make_run(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], picks=2, predictions={"a.jpg": ("x", 1)})
    done = export_run(run, "csv")
    assert done.out == run.path / "exports" / "requested.csv"
    assert (done.images, done.labeled) == (2, 0)
    assert f"usl import {run.path} {done.out}" in done.next[0]
    rows = list(csv.DictReader(io.StringIO(done.out.read_text())))
    assert rows[0] == {
        "image_id": "a.jpg",
        "label": "",
        "state": "requested",
        "subset": "train",
        "rank": "1",
        "score": "1",
        "prediction": "x",
        "confidence": "1",
    }
    assert [row["image_id"] for row in rows] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_filled_in_by_a_spreadsheet(tmp_path, delimiter):
    run = make_run(tmp_path, STRANGE)
    done = export_run(run, "csv", out=tmp_path / "x.csv")
    rows = list(csv.reader(io.StringIO(done.out.read_text(encoding="utf-8-sig"), newline="")))
    for number, row in enumerate(rows[1:]):
        row[rows[0].index("label")] = f" class {number % 3} "
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([*rows, [""] * len(rows[0])])
    done.out.write_text(text.getvalue(), encoding="utf-16", newline="")
    assert guess_format(done.out) == "csv"
    found = import_file(run, done.out)
    assert (found.added, found.unknown, found.conflicts) == (len(STRANGE), [], [])
    assert found.new_classes == ["class 0", "class 1", "class 2"]
    assert labels_of(run) == {word: f"class {i % 3}" for i, word in enumerate(STRANGE)}


def test_a_models_labels_are_no_answers_until_somebody_changes_them(tmp_path):
    ids = ["a.jpg", "b.jpg", "c.jpg"]
    run = make_run(
        tmp_path,
        ids,
        labels={"c.jpg": "cat"},
        predictions={"a.jpg": ("cat", 0.9), "b.jpg": ("dog", 0.5)},
    )
    done = export_run(run, "csv", what="predicted")
    found = import_file(run, done.out)
    assert (found.added, found.unchanged) == (0, 1)
    assert found.skipped == {"the model's label, unchanged": 2}
    done.out.write_text(done.out.read_text().replace("b.jpg,dog", "b.jpg,bird"))
    assert import_file(run, done.out).added == 1
    assert labels_of(run) == {"b.jpg": "bird", "c.jpg": "cat"}


def test_label_studios_own_csv(tmp_path):
    run = make_run(tmp_path, ["a.jpg", "b.jpg"])
    path = tmp_path / "project-1.csv"
    path.write_text(
        "image,image_id,id,label,annotator,annotation_id,created_at,updated_at,lead_time\n"
        "/data/local-files/?d=pets/b.jpg,b.jpg,7,dog,1,3,2025,2025,2.5\n"
    )
    assert import_file(run, path).added == 1
    assert labels_of(run) == {"b.jpg": "dog"}


def test_faults_name_the_row(tmp_path):
    run = make_run(tmp_path, ["a.jpg"])
    path = tmp_path / "x.csv"
    path.write_text("image_id,label\na.jpg,cat\nb.jpg,dog\n")
    found = import_file(run, path)
    assert [(one.where, one.image) for one in found.unknown] == [(f"{path}, row 3", "b.jpg")]
    path.write_text("image_id,label\na.jpg\n")
    with pytest.raises(DataError, match=r"x\.csv, row 2: 1 cells"):
        import_file(run, path)
    path.write_text("picture,label\na.jpg,cat\n")
    with pytest.raises(DataError, match="no labels in a form that is known"):
        import_file(run, path)
    with pytest.raises(DataError, match=r"needs a column image_id .*it has picture, label"):
        import_file(run, path, format="csv")


def test_answers_in_containers(tmp_path):
    run = make_run(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"])
    path = tmp_path / "x.csv"
    path.write_text(
        'image_id,label\na.jpg,"{""choices"": [""cat"", ""dog""]}"\n'
        'b.jpg,"{""choices"": [""cat""]}"\nc.jpg,"[""dog""]"\nd.jpg,1.0\ne.jpg,-1\n'
    )
    found = import_file(run, path)
    assert found.skipped == {"2 choices: cat, dog": 1, "no label": 1}
    assert labels_of(run) == {"b.jpg": "cat", "c.jpg": "dog", "d.jpg": "1"}


@pytest.mark.parametrize(
    "text", ["\rimage_id,label\r", "sep=;\nimage_id;label\n", "\n\nimage_id\tlabel\n"]
)
def test_rows_above_the_header(tmp_path, text):
    run = make_run(tmp_path, ["a.jpg"])
    delimiter = next(mark for mark in ";\t," if f"{mark}label" in text)
    (tmp_path / "x.csv").write_bytes(f"{text}a.jpg{delimiter}cat".encode())
    import_file(run, tmp_path / "x.csv")
    assert labels_of(run) == {"a.jpg": "cat"}


FORMULAS = ["=1.jpg", "@2.jpg", "+3.jpg", "-4.jpg", "'=5.jpg", "6.jpg"]


def test_formulas_of_others_leave_as_texts_and_come_back(tmp_path):
    labels = {"=1.jpg": "=HYPERLINK(1)", "@2.jpg": "'@x", "6.jpg": "-2+3"}
    run = make_run(tmp_path, FORMULAS, labels=labels)
    done = export_run(run, "csv", what="all", out=tmp_path / "x.csv")
    rows = list(csv.DictReader(io.StringIO(done.out.read_text())))
    assert not [cell for row in rows for cell in row.values() if cell.startswith(tuple("=+-@"))]
    other = make_run(tmp_path / "other", FORMULAS)
    import_file(other, done.out)
    assert labels_of(other) == labels
