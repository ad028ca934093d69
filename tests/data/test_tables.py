"""Tables as spreadsheets, scripts and databases leave them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from usl.core.errors import DataError
from usl.data import tables
from usl.data.tables import column_names, csv_text, read_table

ROWS = {"name": ["ä,1", "", "007"], "note": ["two\nlines", "x", ' "q" ']}


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_spreadsheet_variants(tmp_path, encoding, delimiter, newline):
    lines = ["name,note", '"ä,1","two\nlines"', ",x", "", '007," ""q"" "', ",", "  ", ",,,,", ""]
    text = newline.join(lines)
    if delimiter != ",":
        text = text.replace(",", delimiter).replace(f"ä{delimiter}", "ä,")
    path = write(tmp_path / "t.csv", text, encoding)
    table = read_table(path)
    assert {name: table.values(name) for name in table.columns} == ROWS
    assert table.numbers.tolist() == [2, 3, 5], "as a spreadsheet counts; line breaks in cells not"
    assert column_names(path) == ["name", "note"]


def test_one_column(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "path\na.jpg\n\nb c.jpg\n"))
    assert table.values("path") == ["a.jpg", "b c.jpg"]
    assert table.where(1).endswith("t.csv, row 4")


def test_rows_are_numbered_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK_BYTES", 64)
    lines = ["a,b", *(f"{i},{'x' * 20}" if i % 7 else "" for i in range(200)), " ", "201,y"]
    table = read_table(write(tmp_path / "t.csv", "\n".join(lines)))
    assert table.values("a") == [str(i) for i in range(200) if i % 7] + ["201"]
    assert table.numbers.tolist() == [i + 2 for i in range(200) if i % 7] + [203]
    with pytest.raises(DataError, match="row 204: 1 cells where the header has 2: 'lost'"):
        read_table(write(tmp_path / "u.csv", "\n".join([*lines, "lost"])))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; the first row must hold the column names"),
        ("\n\n", "empty; the first row"),
        ("a,b\n1,2,3\n", r"row 2: 3 cells where the header has 2: '1,2,3'\. Quote"),
        ("a,b\n1,2\n3\n", "row 3: 1 cells where the header has 2"),
        ("a,A,a\n1,2,3\n", "row 1: two columns are called 'a'"),
    ],
)
def test_broken_text(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / "t.csv", text))


def test_other_encodings_are_refused_with_the_fix(tmp_path):
    path = write(tmp_path / "t.csv", "name\na\nä\n", "latin1")
    with pytest.raises(DataError, match=r"line 3: the text is not UTF-8. In Excel, save it as"):
        read_table(path)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"t\.csv: cannot be read \(No such file"):
        read_table(tmp_path / "t.csv")


def test_jsonl(tmp_path):
    table = read_table(write(tmp_path / "t.jsonl", '{"a": 1}\n\n{"b": "x", "a": null}\n'))
    assert table.columns == {"a": [1, None], "b": [None, "x"]}
    assert table.where(1).endswith("line 3")
    for text in ('{"a": 1}\n{oops\n', '{"a": 1}\n[1]\n'):
        with pytest.raises(DataError, match="line 2"):
            read_table(write(tmp_path / "t.jsonl", text))


def test_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1, None], "b": [[1.0], [2.0]]}), path)
    assert read_table(path).values("a") == [1, None]
    assert column_names(path) == ["a", "b"]
    path.write_bytes(b"PAR1")
    assert column_names(path) == []
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_table(path)


def test_csv_text_quotes_only_what_needs_it():
    cells = pa.array(["plain", "a,b", 'q"', "l\nf", "c\rr", " x", "x ", "t\t", "s;", "", "=1+1"])
    lines = csv_text(["x", "y"], [cells, pa.array(np.arange(11))])
    assert lines.startswith('x,y\nplain,0\n"a,b",1\n"q""",2\n"l\nf",3\n')
    assert lines.endswith('" x",5\n"x ",6\n"t\t",7\n"s;",8\n,9\n\'=1+1,10\n')


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1, "b": "x"}, {"a": 2}]',
        '{"info": {"v": 1}, "whatever": [{"a": 1, "b": "x"}, {"a": 2}]}',
        '{"a": [1, 2], "b": ["x", null]}',
        '{"a": {"0": 1, "7": 2}, "b": {"0": "x", "7": null}}',
    ],
)
def test_a_json_list_under_any_name(tmp_path, text):
    path = write(tmp_path / "t.json", text)
    assert read_table(path).columns == {"a": [1, 2], "b": ["x", None]}
    assert column_names(path) == ["a", "b"]


def test_json_that_is_no_table(tmp_path):
    for text in ("[[1, 2]]", '{"a": 1', "[1]"):
        with pytest.raises(DataError, match=r"t\.json"):
            read_table(write(tmp_path / "t.json", text))


def test_line_ends_of_old_macs_as_any_others(tmp_path):
    text = 'path,label\na.png,cat\n"b,1.png",dog\n'
    table = read_table(write(tmp_path / "t.csv", text.replace("\n", "\r")))
    assert table.values("path") == ["a.png", "b,1.png"]
    assert table.numbers.tolist() == [2, 3]
    assert column_names(tmp_path / "t.csv") == ["path", "label"]
