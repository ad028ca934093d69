"""A ``run.json`` that lacks something, or holds something else: named, never a KeyError."""

import json

import pytest

from usl.core.errors import DataError
from usl.run.folder import Run
from usl.run.split import Split


def opened(folder, **sections):
    Split.start(["a.png"], ["train"]).write(folder)
    (folder / "run.json").write_text(json.dumps({"format": 1, **sections}))
    return Run.open(folder)


def test_what_is_missing_is_named(tmp_path):
    run = opened(tmp_path, encoder={"name": "pixels"})
    with pytest.raises(DataError, match=r"run\.json: has no 'source'"):
        run.collection()
    with pytest.raises(DataError, match=r"run\.json, encoder: has no 'key'"):
        run.info["encoder"]["key"]
    assert run.info.get("training") is None
    assert json.loads(json.dumps(run.info)) == {"format": 1, "encoder": {"name": "pixels"}}


@pytest.mark.parametrize("value", [None, 5, "x", [], True])
@pytest.mark.parametrize("name", ["source", "encoder", "selection", "training"])
def test_a_section_of_another_kind_is_named(tmp_path, name, value):
    with pytest.raises(DataError, match=rf"run\.json: {name} is no section"):
        opened(tmp_path, **{name: value})


def test_a_value_of_another_kind_is_named(tmp_path):
    with pytest.raises(DataError, match=r"run\.json: source\.options is \[5\]"):
        opened(tmp_path, source={"options": [5]})
