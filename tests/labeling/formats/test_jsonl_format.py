"""JSON lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_runs import STRANGE, labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.exchange.contract import Export, Item
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file
from usl.labeling.formats import jsonl as tool

letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
words = st.text(letters, max_size=10).map(str.strip).filter(bool)


@given(st.dictionaries(words, st.none() | words, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_round_trip(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("jsonl") / "x.jsonl"
    items = [Item(word, label=text, source="human") for word, text in labels.items()]
    tool.write(Export(path.parent, items, [], path), path)
    assert {entry.image: entry.label for entry in tool.read(path)} == labels


def test_a_run_there_and_back(tmp_path):
    run = make_run(tmp_path, STRANGE)
    done = export_run(run, "jsonl")
    records = [json.loads(line) for line in done.out.read_text("utf-8").split("\n")[:-1]]
    assert [(r["image_id"], r["rank"], r["label"]) for r in records] == [
        (word, rank, None) for rank, word in enumerate(STRANGE, start=1)
    ]
    path = tmp_path / "answers.ndjson"
    lines = [{"image_id": r["image_id"], "label": 3, "annotator": "ann"} for r in records]
    path.write_text("\n\n".join(map(json.dumps, lines)))
    assert guess_format(path) == "jsonl"
    assert import_file(run, path).added == len(STRANGE)
    assert set(labels_of(run).values()) == {"3"}


def test_faults_name_the_line(tmp_path):
    run = make_run(tmp_path, ["a.jpg"])
    path = tmp_path / "x.jsonl"
    path.write_text('{"image_id": "a.jpg", "label": "x"}\n{broken\n')
    with pytest.raises(DataError, match=r"x\.jsonl, line 2: not valid JSON"):
        import_file(run, path)
