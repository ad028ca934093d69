"""The same content in twelve spellings of a table gives the same collection."""

import csv
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from usl.data import open_collection


def delimited(delimiter=",", newline="\n", encoding="utf-8", above="", blanks=False):
    """A writer of text tables, with the standard library's own."""

    def write(path, columns):
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter, lineterminator=newline)
        for row in [columns, *zip(*columns.values(), strict=True)]:
            cells = ["" if cell is None else cell for cell in row]
            if blanks:
                quoted = ('"' + str(cell).replace('"', '""') + '"' for cell in cells)
                out.write(f"{delimiter}  ".join(quoted) + newline)
            else:
                writer.writerow(cells)
        text = out.getvalue()
        path.with_suffix(".csv").write_bytes((above + text).encode(encoding))
        return path.with_suffix(".csv")

    return write


def records(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def jsonl(path, columns):
    path = path.with_suffix(".jsonl")
    lines = [json.dumps(record, ensure_ascii=False) for record in records(columns)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def json_list(path, columns):
    path = path.with_suffix(".json")
    path.write_text(json.dumps(records(columns), indent=1), encoding="utf-8")
    return path


def parquet(path, columns):
    path = path.with_suffix(".parquet")
    pq.write_table(pa.table(columns), path)
    return path


SPELLINGS = {
    "plain": delimited(),
    "semicolons": delimited(";"),
    "tabs, CRLF": delimited("\t", "\r\n"),
    "CR alone": delimited(newline="\r"),
    "byte order mark": delimited(encoding="utf-8-sig"),
    "UTF-16": delimited(encoding="utf-16", newline="\r\n"),
    "sep=": delimited("|", above="sep=|\n"),
    "comments and blanks above": delimited(above="\n# made by hand, for a test\n\n"),
    "blanks before quotes": delimited(blanks=True),
    "JSON lines": jsonl,
    "a JSON list": json_list,
    "Parquet": parquet,
}

TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=8)
LABELS = st.one_of(
    st.lists(st.integers(-1, 12) | st.none(), min_size=8, max_size=8),
    st.lists(TEXTS.map(lambda text: f"k{text}".strip()), min_size=8, max_size=8),
)


def opened(columns, folder):
    for name, write in SPELLINGS.items():
        path = write(folder / "t", columns)
        yield name, open_collection(path)
        path.unlink()


def assert_same(columns, folder):
    found = dict(opened(columns, folder))
    assert len(found) == 12
    first = found["Parquet"]
    for name, other in found.items():
        assert other.kind == first.kind, name
        assert other.ids.tolist() == first.ids.tolist(), name
        assert other.subsets.tolist() == first.subsets.tolist(), name
        assert other.labels.tolist() == first.labels.tolist(), name
        if first.features is not None:
            np.testing.assert_allclose(other.features[:], first.features[:], rtol=1e-6)
        else:
            assert other.digests().tolist() == first.digests().tolist(), name
    return first


@settings(deadline=None, max_examples=25)
@example(labels=[0, 1, None, -1, 2, 0, 1, 2], ids=[f"ä {i}, x" for i in range(8)])
@example(labels=["k"] * 8, ids=[f'i{i}, "x",""' for i in range(8)])
@given(
    labels=LABELS,
    ids=st.lists(TEXTS.map(lambda text: f"i{text}".strip()), min_size=8, max_size=8, unique=True),
)
def test_features(labels, ids):
    rng = np.random.default_rng(0)
    columns = {"image_id": ids, "label": labels, "split": ["train"] * 6 + ["test"] * 2}
    columns |= {f"f{number}": rng.normal(size=8).round(4).tolist() for number in range(9)}
    with tempfile.TemporaryDirectory() as folder:
        found = assert_same(columns, Path(folder))
    assert found.kind == "embeddings"
    assert found.features.shape == (8, 9)
    assert found.ids.tolist() == ids
    wanted = [None if label in (None, -1) else str(label) for label in labels]
    assert found.labels.tolist() == wanted


def test_a_list_of_images(tmp_path):
    for number in range(8):
        Image.new("L", (4, 4), number).save(tmp_path / f"ä {number}.png")
    columns = {
        "img_path": [f"ä {number}.png" for number in range(8)],
        "label": [0, 1, None, -1, 3, 0, 1, 7],
        "split": ["train"] * 6 + ["test"] * 2,
        "x": [5, 6, 7, 8, 9, 1, 2, 3],
    }
    found = assert_same(columns, tmp_path)
    assert found.kind == "manifest"
    assert found.labels.tolist() == ["0", "1", None, None, "3", "0", "1", "7"]


def test_a_cell_larger_than_a_block(tmp_path, monkeypatch):
    from usl.data import tables

    monkeypatch.setattr(tables, "BLOCK_BYTES", 1000)
    note = "a,b\n" * 60_000
    columns = {"image_id": ["a", "b"], "label": ["x", note], "f0": [1.0, 2.0], "f1": [3.0, 4.0]}
    for _, found in opened(columns, tmp_path):
        assert found.labels.tolist() == ["x", note.strip()]
        assert found.features[:].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("as_", ["embeddings", "manifest"])
def test_what_a_person_says_decides_in_every_spelling(tmp_path, as_):
    for number in range(2):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
    columns = {"path": ["0.png", "1.png"], "x": [1, 2], "y": [3, 4]}
    for name, write in SPELLINGS.items():
        found = open_collection(write(tmp_path / "t", columns), as_=as_)
        assert found.kind == as_, name
        assert found.ids.tolist() == ["0.png", "1.png"], name
        assert found.options == {"as_": as_}
        assert found.notes == ()
