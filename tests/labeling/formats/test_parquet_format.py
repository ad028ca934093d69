"""Parquet: types, nulls, labels as numbers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchange_runs import STRANGE, labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file


def test_a_run_there_and_back(tmp_path):
    guesses = dict.fromkeys(STRANGE[1:], ("cat", 0.25))
    run = make_run(tmp_path, STRANGE, picks=3, labels={STRANGE[0]: "dog"}, predictions=guesses)
    done = export_run(run, "parquet", what="all")
    table = pq.read_table(done.out)
    assert table.schema.field("rank").type == pa.int64()
    assert table["image_id"].to_pylist() == STRANGE
    assert table["label"].to_pylist() == ["dog"] + [None] * (len(STRANGE) - 1)
    assert table["prediction"].to_pylist()[:2] == [None, "cat"]
    assert table["confidence"].to_pylist()[:2] == [None, 0.25]
    numbers = pa.array([7] * (len(STRANGE) - 1) + [None])
    pq.write_table(pa.table({"id": STRANGE, "target": numbers}), tmp_path / "x.parquet")
    assert guess_format(tmp_path / "x.parquet") == "parquet"
    found = import_file(run, tmp_path / "x.parquet")
    assert (found.added, len(found.conflicts)) == (len(STRANGE) - 2, 1)
    assert found.skipped == {"no label": 1}
    assert labels_of(run)[STRANGE[0]] == "dog"
    assert labels_of(run)[STRANGE[1]] == "7"


def test_embeddings_have_tables(tmp_path):
    run = make_run(tmp_path, ["a", "b"], embeddings=True)
    assert export_run(run, "parquet").images == 2
    for to in ("label_studio", "cvat", "fiftyone", "huggingface", "folders"):
        with pytest.raises(DataError, match=f"no pictures for {to}. The formats csv, jsonl"):
            export_run(run, to)
        assert not (run.path / "exports" / f"{to}-requested").exists()
