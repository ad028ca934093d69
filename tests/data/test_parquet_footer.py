"""The figures of a Parquet file's directory are those that pyarrow has."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from usl.core.errors import DataError
from usl.data.parquet_files import read_columns
from usl.data.parquet_footer import read_footer

TABLE = pa.table(
    {
        "id": [f"{number}.png" for number in range(40)],
        "label": ["cat", None] * 20,
        "list": [[1.0, 2.0]] * 39 + [[]],
        "words": [["a", "b"]] * 40,
        "image": [{"bytes": b"x" * 30, "path": "p"}] * 40,
        "yes": [True] * 40,
        "number": np.arange(40),
    }
)


@pytest.mark.parametrize("how", ["snappy", "zstd", "none"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("rows", [7, 1000])
def test_figures_and_content(tmp_path, how, dictionary, rows):
    path = tmp_path / "x.parquet"
    pq.write_table(TABLE, path, compression=how, use_dictionary=dictionary, row_group_size=rows)
    known = pq.ParquetFile(path).metadata
    found = read_footer(path)
    columns = [
        known.row_group(group).column(number)
        for group in range(known.num_row_groups)
        for number in range(known.num_columns)
    ]
    assert found.rows == known.num_rows
    assert [(one.path, one.values, one.bytes) for one in found.chunks] == [
        (one.path_in_schema, one.num_values, one.total_uncompressed_size) for one in columns
    ]
    assert [one.texts for one in found.chunks] == [
        one.physical_type == "BYTE_ARRAY" for one in columns
    ]
    assert [any("DICT" in word for word in one.packed) for one in found.chunks] == [
        any("DICT" in word for word in one.encodings) for one in columns
    ]
    assert read_columns(path).equals(TABLE)
    assert read_columns(path, ["words", "id"]).equals(TABLE.select(["words", "id"]))


def test_a_file_without_rows(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(TABLE.slice(0, 0), path)
    assert read_columns(path).equals(TABLE.slice(0, 0))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 5, b"x" * 100, b"\xff" * 40 + b"PAR1"])
def test_no_directory_is_said(tmp_path, content):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.parquet is not a readable Parquet file"):
        read_footer(path)


def test_a_flipped_bit_in_a_page_is_told(tmp_path):
    path = tmp_path / "x.parquet"
    words = pa.table({"digest": [f"{number:032x}" for number in range(50)]})
    pq.write_table(words, path, write_page_checksum=True, compression="none")
    content = bytearray(path.read_bytes())
    content[content.index(b"0" * 30)] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.parquet is damaged"):
        read_columns(path)
