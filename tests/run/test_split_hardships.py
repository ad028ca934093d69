"""A split file with what stray quotes, other programs and odd values leave in it."""

import numpy as np
import pytest

from usl.core.errors import DataError
from usl.run.split import Split, first_rows

HEAD = "image_id,subset,state,label,weight,source\n"
ROWS = [f"{n}.png,train,labeled,{'cat' if n % 2 else 'dog'},1,human\n" for n in range(6)]
IDS = [f"{n}.png" for n in range(6)]


def read(folder, text):
    (folder / "split.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    return Split.read(folder)


@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("more", ["", ",note"])
def test_two_stray_quotes_swallow_no_rows(tmp_path, column, first, more):
    rows = [row.rstrip("\n") + (",n" if more else "") + "\n" for row in ROWS]
    for row, at in ((first, column), (first + 2, column)):
        cells = rows[row].rstrip("\n").split(",")
        cells[at] = f'"{cells[at]}' if row == first else f'{cells[at]}"'
        rows[row] = ",".join(cells) + "\n"
    with pytest.raises(DataError, match=rf"row {first + 2}"):
        read(tmp_path, HEAD.rstrip("\n") + more + "\n" + "".join(rows))


def test_a_note_of_several_lines_is_no_stray_quote(tmp_path):
    note = '"seen, twice\nby two, labeled later"\n'
    rows = "".join(row.rstrip("\n") + "," + note for row in ROWS)
    assert len(read(tmp_path, HEAD.rstrip("\n") + ",note\n" + rows)) == 6


@pytest.mark.parametrize("weight", ["1e308", "1e10", "inf", "nan", "-1", "-0.5", "1_0", "9" * 400])
def test_odd_weights_are_refused(tmp_path, weight):
    rows = [*ROWS[:2], ROWS[2].replace(",1,", f",{weight},")]
    with pytest.raises(DataError, match=r"row 4: weight .* is not a number of at least 0"):
        read(tmp_path, HEAD + "".join(rows))


@pytest.mark.parametrize("column", [0, 3])
def test_a_nul_is_refused(tmp_path, column):
    cells = ROWS[0].split(",")
    cells[column] += "\0"
    with pytest.raises(DataError, match=r"row 2: .*NUL"):
        read(tmp_path, HEAD + ",".join(cells))


def test_line_ends_of_old_macs(tmp_path):
    text = HEAD + "".join(ROWS)
    given = read(tmp_path, text)
    assert read(tmp_path, text.replace("\n", "\r")).labels.tolist() == given.labels.tolist()


def test_another_subset_than_the_source_has_is_refused(tmp_path):
    rows = [row.replace(",train,", ",test,") for row in ROWS]
    split = read(tmp_path, HEAD + "".join(rows))
    with pytest.raises(DataError, match=r"row 2: the subset of '0\.png' is test, but train in"):
        split.check(IDS, np.repeat("train", 6))


def test_no_rows_are_no_rows():
    assert first_rows(0) == "no row"


def test_a_long_word_is_refused_in_no_time(tmp_path):
    with pytest.raises(DataError, match="unknown state"):
        read(tmp_path, HEAD + f"a.png,train,{'x' * 3_000_000},,1,\n")
