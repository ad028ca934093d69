"""What stands before the rows of a text table, and whether its first row is a header."""

import io

import numpy as np
import pytest

from usl.core.errors import DataError
from usl.data import open_collection
from usl.data.tables import read_table

X = np.random.default_rng(0).normal(size=(30, 8))


def write(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("options", [{}, {"fmt": "%.6f"}, {"fmt": "%.4f", "delimiter": "\t"}])
@pytest.mark.parametrize("scale", [1, 100])
def test_numpys_files_have_no_header(tmp_path, options, scale):
    np.savetxt(tmp_path / "x.csv", scale * X, **{"delimiter": ",", **options})
    found = open_collection(tmp_path / "x.csv")
    np.testing.assert_allclose(found.features[:], scale * X, atol=1e-3)
    assert "row 1 holds numbers, so there is no header; it is data." in found.notes[0]
    assert found.ids[0] == "train/00000"


def test_whole_numbers_are_data_too(tmp_path):
    np.savetxt(tmp_path / "x.csv", [[5, 1, 2], [0, 1, 2]], fmt="%d", delimiter=",")
    assert open_collection(tmp_path / "x.csv").features[:].tolist() == [[5, 1, 2], [0, 1, 2]]


def test_the_header_that_numpy_writes_as_a_comment(tmp_path):
    out = io.StringIO()
    np.savetxt(out, X, delimiter=",", header="f0,f1,f2,f3,f4,f5,f6,f7")
    table = read_table(write(tmp_path, out.getvalue()))
    assert list(table.columns) == [f"f{number}" for number in range(8)]
    assert len(table) == 30
    assert table.numbers[0] == 2


@pytest.mark.parametrize("index", [True, False])
def test_columns_that_pandas_counts_are_a_header(tmp_path, index):
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame(X).to_csv(tmp_path / "x.csv", index=index)
    found = open_collection(tmp_path / "x.csv")
    np.testing.assert_allclose(found.features[:], X, rtol=1e-6)
    assert found.notes == ()


def test_an_index_of_names_that_pandas_writes_without_a_name(tmp_path):
    pandas = pytest.importorskip("pandas")
    names = [f"a/{number}.jpg" for number in range(30)]
    pandas.DataFrame(X, index=names).to_csv(tmp_path / "x.csv")
    found = open_collection(tmp_path / "x.csv")
    assert found.ids.tolist() == names
    assert found.features.shape == (30, 8)


@pytest.mark.parametrize(
    "row", ["a.jpg,0.1257,-0.1321", "cat,12,15", "0.5,", ",0.25,0.75", "sunset,1.5"]
)
def test_names_and_numbers_in_the_first_row_are_refused(tmp_path, row):
    with pytest.raises(DataError, match=r"t\.csv, row 1: it holds numbers .* a header is missing"):
        open_collection(write(tmp_path, f"{row}\n{row}\n"))


@pytest.mark.parametrize("row", ["path,2019,2020", "image_id,0,1,2", "name,1,2", "id,2021"])
def test_numbers_beside_known_names_are_a_header(tmp_path, row):
    cells = ",".join("7" for _ in row.split(","))
    assert list(read_table(write(tmp_path, f"{row}\n{cells}\n")).columns) == row.split(",")


@pytest.mark.parametrize(
    "above", ["sep=;\n", '"sep=;"\r\n', "# a comment\n", "\n\n", ";;\n", "#x;y\n\nsep=;\n", "\r"]
)
def test_rows_above_the_header_are_passed_over_and_counted(tmp_path, above):
    table = read_table(write(tmp_path, f"{above}image_id;label\na;b\n"))
    assert {name: table.values(name) for name in table.columns} == {
        "image_id": ["a"],
        "label": ["b"],
    }
    rows = len(above.replace("\r\n", "\n").replace("\r", "\n").splitlines())
    assert table.where(0).endswith(f"row {rows + 2}")


@pytest.mark.parametrize(
    "text", ['"path,label\nb.jpg,x\n', 'path,label\n"b.jpg,x\nc.jpg,y\n', 'a,b\n1,"2\n']
)
def test_a_quote_without_an_end_is_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"t\.csv.*a quote is opened and never closed"):
        read_table(write(tmp_path, text * 1))


def test_a_quote_in_the_middle_of_a_cell_is_part_of_it(tmp_path):
    table = read_table(write(tmp_path, 'image_id,label\na,5" disk\nb,x\n'))
    assert table.values("label") == ['5" disk', "x"]


def test_numbers_with_blanks_between_are_refused(tmp_path):
    np.savetxt(tmp_path / "x.txt", X)
    with pytest.raises(DataError, match=r"row 1: numbers with blanks between them\. Put commas"):
        open_collection(tmp_path / "x.txt")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark(tmp_path, encoding):
    (tmp_path / "t.csv").write_bytes("image_id,label\nä,x\n".encode(encoding))
    assert read_table(tmp_path / "t.csv").values("image_id") == ["ä"]
